"""The warm server of candidate programs: it imports, forks keepers and waits, and reads no request.

A fork inherits all memory. Were requests read here, a candidate could find in its own memory what
earlier ones were asked and answered; so each keeper is forked first and then takes exactly one
request from standard input itself. The next keeper stands ready while the host judges the last.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import struct
import sys

from regreen.train.code.box import keeper
from regreen.train.code.box.walls import Walls

__all__ = ["main"]

_EMPTY = 3


def main() -> None:
    """Serve until standard input ends."""
    channel = int(os.environ.pop("REGREEN_CHANNEL_FD"))
    os.set_inheritable(channel, False)
    opening = json.loads(_frame())
    sys.path[:] = [entry for entry in sys.path if not entry.startswith("/opt/regreen")]
    for name in opening["warm"]:
        __import__(name)
    walls = Walls(base64.b64decode(opening["deny"]), base64.b64decode(opening["judge"]))
    gc.collect()
    gc.freeze()  # what is shared is left out of every collection in the forks
    _tell(channel, {"ready": sys.version.split()[0]})
    while True:
        pid = walls.fork()
        if pid == 0:
            _keep(walls, channel)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == _EMPTY:
            os._exit(0)
        if status != 0:
            _tell(channel, {"broken": f"the keeper of a run ended with status {status}"})


def _keep(walls: Walls, channel: int) -> None:
    status = 70
    try:
        walls.close_in()
        data = _frame()
        status = _EMPTY
        if data:
            _tell(channel, keeper.keep(json.loads(data), walls))
            status = 0
    finally:
        os._exit(status)


def _tell(channel: int, row: dict[str, object]) -> None:
    data = json.dumps(row).encode() + b"\n"
    while data:
        data = data[os.write(channel, data) :]


def _frame() -> bytes:
    """One length-prefixed message; nothing behind it is taken from the pipe."""
    head = _exactly(4)
    return _exactly(struct.unpack("<I", head)[0]) if head else b""


def _exactly(size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
