"""The console: the only place that prints. Results go to stdout, everything else to stderr.

Text from a rollout may hold escape codes that move a terminal's cursor or change its title, so on a
terminal control characters are shown, not sent. rich is loaded on a terminal only.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from pydantic import BaseModel

from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import RegreenError
from regreen.core.progress import LiveDisplay, PlainDisplay, Progress

__all__ = ["Console"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Console:
    """Where a command writes.

    Args:
        stdout: for results; the process's own by default.
        stderr: for everything else.
        quiet: leaves notes and progress out, never results and errors.
        verbose: adds the traceback to errors.
        environ: ``CI`` and ``TERM`` decide about the live display.
        clock: times progress.
    """

    def __init__(
        self,
        *,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        quiet: bool = False,
        verbose: bool = False,
        environ: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.quiet = quiet
        self.verbose = verbose
        self._environ = os.environ if environ is None else environ
        self._clock = clock or SystemClock()
        self._display: LiveDisplay | None = None

    @property
    def stdout(self) -> TextIO:
        """Looked up at each use, so a redirection made later is followed."""
        return self._stdout or sys.stdout

    @property
    def stderr(self) -> TextIO:
        """As :attr:`stdout`."""
        return self._stderr or sys.stderr

    def result(self, text: str) -> None:
        """Print a result."""
        _write(self.stdout, text)

    def json(self, value: Any) -> None:
        """Print a result as JSON; pydantic models and paths are converted."""
        text = json.dumps(value, indent=2, default=_plain)
        print(text, file=self.stdout, flush=True)

    def note(self, text: str) -> None:
        """Print something a person may like to know; nothing when quiet."""
        if not self.quiet:
            self._aside(text)

    def error(self, error: BaseException, *, verbose: bool | None = None) -> None:
        """Print what, where and how to mend; the traceback when verbose."""
        if self.verbose if verbose is None else verbose:
            self._aside("".join(traceback.format_exception(error)).rstrip())
        if isinstance(error, RegreenError):
            lines = error.lines()
        else:
            lines = [f"error: {type(error).__name__}: {error}", " mend: run again with -v"]
        self._aside("\n".join(lines))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print a result as aligned columns; numbers are set flush right."""
        cells = [[str(cell) for cell in row] for row in rows]
        if self.stdout.isatty():
            _rich_table(self.stdout, columns, cells, _numeric(rows, len(columns)))
            return
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        right = _numeric(rows, len(columns))
        for row in (columns, *cells):
            pairs = zip(row, widths, right, strict=True)
            line = "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in pairs)
            _write(self.stdout, line.rstrip())

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal that can be redrawn, and no CI job's log."""
        environ = self._environ
        return self.stderr.isatty() and not environ.get("CI") and environ.get("TERM") != "dumb"

    @contextmanager
    def progress(
        self, title: str, *, total: int, done: int = 0, good: str = "resolved", every: float = 5.0
    ) -> Iterator[Progress]:
        """Show what runs until the block ends.

        Args:
            title: what is being worked on.
            total: items in all.
            done: items finished before, which a resume skips; they are not in the rate.
            good: the outcome whose share is shown.
            every: seconds between lines where nothing can be redrawn.
        """
        progress = Progress(title, total=total, done=done, good=good, clock=self._clock)
        if self.quiet:
            yield progress
        elif self.live:
            try:
                with LiveDisplay(progress, self.stderr) as self._display:
                    yield progress
            finally:
                self._display = None
                self.note(progress.line())
        else:
            display = PlainDisplay(progress, self.note, every=every, clock=self._clock)
            progress.listeners.append(display.changed)
            try:
                yield progress
            finally:
                self.note(progress.line())

    def _aside(self, text: str) -> None:
        if self._display is not None:
            self._display.above(_shown(text))
        else:
            _write(self.stderr, text)


def _shown(text: str) -> str:
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def _write(stream: TextIO, text: str) -> None:
    safe = _shown(text) if stream.isatty() else text
    try:
        print(safe, file=stream, flush=True)
    except UnicodeEncodeError:  # an ASCII locale, or a lone surrogate in a file name
        encoding = stream.encoding or "ascii"
        print(safe.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _numeric(rows: Sequence[Sequence[Any]], width: int) -> list[bool]:
    def is_number(cell: Any) -> bool:
        return isinstance(cell, int | float) or bool(
            re.match(r"-?\d[\d.,:]*\s?\S{0,3}\Z", str(cell))
        )

    return [bool(rows) and all(is_number(row[index]) for row in rows) for index in range(width)]


def _rich_table(
    stream: TextIO, columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]
) -> None:
    from rich import box
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, is_right in zip(columns, right, strict=True):
        table.add_column(Text(name), justify="right" if is_right else "left")
    for row in cells:
        table.add_row(*(Text(_CONTROL.sub("?", cell)) for cell in row))
    RichConsole(file=stream).print(table)
