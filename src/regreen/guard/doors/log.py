"""The record of what boxes asked for: one JSON object a line, written when the answer is out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import UsageError

__all__ = ["RequestLog"]

_LONGEST = 2000


class RequestLog:
    """Appends rows to a file; without a file it forgets them.

    Args:
        path: the file, made with its directory; None keeps no log.
        clock: tells the time.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: Path | None, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._file = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
        except OSError as exc:
            what = f"the log of requests cannot be written: {exc.strerror}"
            raise UsageError(what, where=str(path), mend="name a file you can write") from exc

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row, its texts cut to a sane length."""
        if self._file is None:
            return
        short = {
            key: value[:_LONGEST] if isinstance(value, str) else value for key, value in row.items()
        }
        now = self._clock.now().isoformat(timespec="milliseconds")
        self._file.write(json.dumps({"time": now, **short}, ensure_ascii=True) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        if self._file is not None:
            self._file.close()
            self._file = None
