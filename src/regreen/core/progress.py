"""Progress: what has finished, what runs now and in which phase, and when it will be done.

The state knows nothing of terminals; two displays read it: one redraws, one writes a line at most
every few seconds.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO

from regreen.core.clock import Clock

__all__ = ["LiveDisplay", "PlainDisplay", "Progress"]

_ROWS = 12


@dataclass(frozen=True)
class _Item:
    phase: str
    started: float


class Progress:
    """The state of one piece of work; its methods are safe to call from any thread.

    Args:
        title: what is being worked on.
        total: items in all.
        done: items finished before.
        good: the outcome whose share is shown.
        clock: times the rate.
    """

    def __init__(self, title: str, *, total: int, done: int, good: str, clock: Clock) -> None:
        self.title = title
        self.total = total
        self.good = good
        self.listeners: list[Callable[[], None]] = []
        self.outcomes: Counter[str] = Counter()
        self._before = done
        self._clock = clock
        self._start = clock.monotonic()
        self._running: dict[str, _Item] = {}
        self._guard = threading.Lock()

    def phase(self, key: str, phase: str) -> None:
        """Item ``key`` runs and is now in ``phase``; the first call starts it."""
        now = self._clock.monotonic()
        with self._guard:
            started = self._running[key].started if key in self._running else now
            self._running[key] = _Item(phase, started)
        self._changed()

    def finish(self, key: str, outcome: str) -> None:
        """Item ``key`` ended; ``outcome`` is counted, whatever its name."""
        with self._guard:
            self._running.pop(key, None)
            self.outcomes[outcome] += 1
        self._changed()

    def known(self, count: int) -> None:
        """More items turn out to have been finished before; they say nothing of the rate."""
        with self._guard:
            self._before += count
        self._changed()

    @property
    def finished(self) -> int:
        """Items finished, those before included."""
        return self._before + sum(self.outcomes.values())

    def running(self) -> list[tuple[str, str, float]]:
        """Key, phase and seconds since its start of each running item, the longest first."""
        now = self._clock.monotonic()
        with self._guard:
            items = sorted(self._running.items(), key=lambda pair: pair[1].started)
        return [(key, item.phase, now - item.started) for key, item in items]

    def eta(self) -> float | None:
        """Seconds still to go at the rate so far; None before the first item finished."""
        elapsed = self._clock.monotonic() - self._start
        count = sum(self.outcomes.values())
        return (self.total - self.finished) * elapsed / count if count and elapsed > 0 else None

    def line(self) -> str:
        """The state in one line."""
        elapsed = self._clock.monotonic() - self._start
        count = sum(self.outcomes.values())
        parts = [f"{self.title} {self.finished}/{self.total}"]
        if count:
            share = self.outcomes[self.good] / count
            parts.append(f"{self.good} {self.outcomes[self.good]}/{count} ({share:.0%})")
        others = [(n, c) for n, c in sorted(self.outcomes.items()) if n != self.good]
        parts += [f"{name} {number}" for name, number in others]
        if count and elapsed > 0:
            parts.append(f"{60 * count / elapsed:.1f}/min")
        left = self.eta()
        if self.finished < self.total and left is not None:
            parts.append(f"about {_span(left)} left")
        else:
            parts.append(f"{_span(elapsed)}")
        return " · ".join(parts)

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()


class PlainDisplay:
    """Writes the state as a line, at most every ``every`` seconds: for logs and pipes."""

    def __init__(
        self, progress: Progress, write: Callable[[str], None], *, every: float, clock: Clock
    ) -> None:
        self._progress = progress
        self._write = write
        self._every = every
        self._clock = clock
        self._last = clock.monotonic()

    def changed(self) -> None:
        """The state changed; say so if it is time."""
        now = self._clock.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._write(self._progress.line())


class LiveDisplay:
    """Redraws the state four times a second: a line, one row per running item and a bar."""

    def __init__(self, progress: Progress, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._progress = progress
        self._live = Live(
            get_renderable=self._draw,
            console=Console(file=stream),
            refresh_per_second=4,
            transient=True,
        )

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def above(self, text: str) -> None:
        """Print above the display, which would otherwise be drawn over it."""
        from rich.text import Text

        self._live.console.print(Text(text), soft_wrap=True)

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        running = self._progress.running()
        table = Table.grid(padding=(0, 2))
        for key, phase, seconds in running[:_ROWS]:
            cells = (key, phase, _span(seconds))
            table.add_row(*(Text("".join(c for c in cell if c.isprintable())) for cell in cells))
        if len(running) > _ROWS:
            table.add_row(Text(f"and {len(running) - _ROWS} more", style="dim"))
        bar = ProgressBar(total=max(self._progress.total, 1), completed=self._progress.finished)
        return Group(Text(self._progress.line()), table, bar)  # a bar ends no line: it comes last


def _span(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
