"""One writer per run: a kernel lock on a file, which dies with the process that holds it.

A lock that outlives a crash would have to be broken by hand; ``flock`` needs no such step.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import BinaryIO

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error

__all__ = ["WriterLock"]


class WriterLock:
    """Holds ``path`` until :meth:`release` or :meth:`remove`.

    Raises:
        UsageError: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        file = self._taken()
        while not _is_at(file, path):  # whoever held it took it away before it was ours
            file.close()
            file = self._taken()
        self._file = file
        with contextlib.suppress(OSError):  # the note is for people; a full disk may refuse it
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            file.flush()

    def _taken(self) -> BinaryIO:
        path = self.path
        try:
            file = path.open("a+b")
        except OSError as error:
            raise disk_error(error, path) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read(200).decode(errors="replace").strip() or "another process"
            file.close()
            what = f"this run is being written by {holder}"
            mend = "wait until it ends, or choose another --run directory"
            raise UsageError(what, where=str(path.parent), mend=mend) from error
        return file

    def remove(self) -> None:
        """Let others write, and leave no file behind; calling it twice is harmless."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.release()

    def release(self) -> None:
        """Let others write; calling it twice is harmless."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
