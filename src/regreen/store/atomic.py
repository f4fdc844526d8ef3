"""Replace a file as a whole: a reader sees the old content or the new one, never a part.

The temporary file stands beside its target, because a rename is atomic within one file system only.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, cast

from regreen.core.errors import InfrastructureError, RegreenError, UsageError

__all__ = ["disk_error", "replacing", "write_text"]

_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EFBIG}
_MENDS = {
    errno.ENOSPC: "free some disk space, then run the same command with --resume",
    errno.EDQUOT: "raise the disk quota or free some space, then run again with --resume",
    errno.EACCES: "choose a directory you may write to, or change its permissions",
    errno.EPERM: "choose a directory you may write to, or change its permissions",
    errno.EROFS: "choose a directory on a file system that is not mounted read-only",
    errno.ENOENT: "check the path; its directory must exist",
    errno.EISDIR: "name a file, not a directory",
    errno.ENOTDIR: "a part of this path is a file; choose another path",
}


def disk_error(error: OSError, path: Path | str) -> RegreenError:
    """Say whose fault an ``OSError`` is: a full or broken machine's, else the path's."""
    what = error.strerror or str(error)
    mend = _MENDS.get(error.errno or 0, "check the path and the disk, then run again")
    kind = InfrastructureError if error.errno in _MACHINE else UsageError
    return kind(f"the file cannot be used: {what}", where=str(path), mend=mend)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file whose content becomes ``path`` when the block ends without an exception.

    Raises:
        UsageError: the directory cannot be written to.
        InfrastructureError: the disk is full or failing; the old content stands.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".tmp", delete=False
        ) as file:
            temporary = Path(file.name)
            yield cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        temporary = None
        sync_directory(path.parent)
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8; a lone surrogate becomes ``?``."""
    with replacing(path) as file:
        file.write(text.encode("utf-8", errors="replace"))


def sync_directory(path: Path) -> None:
    """Make a rename or a new name in ``path`` survive a power cut, where the system allows it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
