"""Wall seconds of a piece of work over all processes that had a part in it, killed ones too.

A thread writes the time down every few seconds: whoever is killed has no last moment to do so, and
the time since the last checkpoint was spent all the same.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import RegreenError, UsageError
from regreen.store.atomic import write_text

__all__ = ["Stopwatch"]

_SCHEMA, _VERSION = "regreen.seconds", 1
_EVERY_SECONDS = 5.0


class Stopwatch:
    """Runs from its making; goes on where the file leaves off.

    Args:
        path: the file, in a folder that exists; None to keep the time to oneself.
        clock: tells the time.

    Raises:
        UsageError: the file is none of these.
    """

    def __init__(self, path: Path | None, clock: Clock | None = None) -> None:
        self._path, self._clock = path, clock or SystemClock()
        self.before = 0.0 if path is None else _read(path)
        """Seconds of earlier processes."""
        self._begun = self._clock.monotonic()
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        if path is not None:
            self._keeper.start()

    @property
    def seconds(self) -> float:
        """Spent so far, those of earlier processes included."""
        return self.before + self._clock.monotonic() - self._begun

    def close(self) -> None:
        """Write the time a last time; calling it twice is harmless."""
        if not self._ended.is_set():
            self._ended.set()
            if self._path is not None:
                self._keeper.join()
            self._write()

    def _keep(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        row = {"schema_name": _SCHEMA, "schema_version": _VERSION, "seconds": self.seconds}
        try:
            write_text(self._path, json.dumps(row) + "\n")
        except RegreenError:
            return  # a full disk ends the work elsewhere, with a better message


def _read(path: Path) -> float:
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        if (row["schema_name"], row["schema_version"]) == (_SCHEMA, _VERSION):
            return float(row["seconds"])
        what = "the time spent was written by another version"
    except FileNotFoundError:
        return 0.0
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"the time spent cannot be read: {error}"
    raise UsageError(what, where=str(path), mend="delete the file; time is counted anew")
