"""Reading and writing files of a box through its own commands.

Through commands and not through the host's view of the upper, because only the box knows what its
mounts, links and permissions make of a path. Programs are named by absolute path: the box's
``PATH`` may begin with a directory that the agent fills.
"""

from __future__ import annotations

import errno
import os

from regreen.core.errors import InfrastructureError
from regreen.sandbox.base import Sandbox

__all__ = ["read_file", "write_file"]

_READ = """
[ -e "$1" ] || exit 66
[ -d "$1" ] && exit 67
exec /bin/cat -- "$1"
"""
_WRITE = """
[ -d "$1" ] && exit 67
parent=${1%/*}
[ -d "${parent:-/}" ] || /bin/mkdir -p -- "$parent" || exit 68
[ ! -e "$1" ] || [ -w "$1" ] || /bin/rm -f -- "$1"
/bin/cat >"$1" && exec /bin/chmod -- "$2" "$1"
"""
_SECONDS = 300.0


def _error(code: int, path: str, stderr: bytes) -> OSError:
    known = {66: errno.ENOENT, 67: errno.EISDIR}
    if code in known:
        return OSError(known[code], os.strerror(known[code]), path)
    text = stderr.decode("utf-8", "replace").strip()
    for number in (errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EFBIG, errno.ENOENT):
        if os.strerror(number) in text:
            return OSError(number, os.strerror(number), path)
    return OSError(errno.EIO, text or os.strerror(errno.EIO), path)


async def read_file(box: Sandbox, path: str, limit: int) -> bytes:
    """Content of a file.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it is a directory, may not be read, or is larger than ``limit``.
        InfrastructureError: the box is gone or did not answer.
    """
    argv = ["/bin/sh", "-c", _READ, "sh", path]
    result = await box.exec(argv, cwd="/", timeout=_SECONDS, output_limit=limit)
    if result.timed_out:
        msg = "reading a file of the box took too long"
        raise InfrastructureError(msg, where=path)
    if result.exit_code:
        raise _error(result.exit_code, path, result.stderr)
    if result.dropped:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return result.stdout


async def write_file(box: Sandbox, path: str, data: bytes, mode: int) -> None:
    """Create or replace a file, making parent directories.

    Raises:
        OSError: the box does not allow it.
        InfrastructureError: the box is gone, full, or did not answer.
    """
    argv = ["/bin/sh", "-c", _WRITE, "sh", path, f"{mode:o}"]
    result = await box.exec(argv, cwd="/", stdin=data, timeout=_SECONDS)
    if result.timed_out:
        msg = "writing a file of the box took too long"
        raise InfrastructureError(msg, where=path)
    if result.exit_code:
        error = _error(result.exit_code, path, result.stderr)
        if error.errno == errno.ENOSPC:
            what = "the box has no space left"
            raise InfrastructureError(what, where=path, mend="raise Limits.memory_bytes")
        raise error
