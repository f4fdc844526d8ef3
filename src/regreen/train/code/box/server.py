"""The warm server: a zygote that forks and knows nothing, and a keeper that knows and never forks.

A fork inherits all memory. Were requests read where forks are made, a candidate could find in its
own memory what others were asked and answered. So the zygote only forks and waits; the forked
process takes its order from the keeper itself. The next one stands ready while the host judges.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import socket
import struct
import sys
from typing import NoReturn

from regreen.train.code.box import candidate, checker, keeper
from regreen.train.code.box.walls import Walls

__all__ = ["main"]


def main() -> None:
    """Serve until standard input ends."""
    channel = int(os.environ.pop("REGREEN_CHANNEL_FD"))
    os.set_inheritable(channel, False)
    opening = json.loads(_frame())
    sys.path[:] = [entry for entry in sys.path if not entry.startswith("/opt/regreen")]
    for name in opening["warm"]:
        __import__(name)
    walls = Walls(base64.b64decode(opening["seccomp"]))
    candidate.rehearse()
    candidates = _zygote(walls, channel)
    judge = keeper.Keeper(candidates, _zygote(walls, channel))
    _tell(channel, {"ready": sys.version.split()[0]})
    while data := _frame():
        _tell(channel, judge.run(json.loads(data)))


def _zygote(walls: Walls, channel: int) -> keeper.Brood:
    """Fork a zygote off; whoever does so must not have read a request."""
    orders, taken = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    news, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        for mine in (orders, news):
            mine.close()
        os.close(channel)
        os.close(0)
        _breed(walls, taken, told)
    taken.close()
    told.close()
    return keeper.Brood(orders, news)


def _breed(walls: Walls, orders: socket.socket, news: socket.socket) -> NoReturn:
    """The zygote: one process after the other, each told with the end of the one before it."""
    gc.collect()
    gc.freeze()  # what is shared is left out of every collection in the forks
    status, seconds = 0, 0.0
    while True:
        pid = walls.fork()
        if pid == 0:
            _hatch(walls, orders)
        news.send(keeper.NEWS.pack(pid, status, seconds))
        _, ended, usage = os.wait4(pid, 0)
        status = os.waitstatus_to_exitcode(ended)
        seconds = usage.ru_utime + usage.ru_stime


def _hatch(walls: Walls, orders: socket.socket) -> NoReturn:
    """In the fork: wait for an order, which brings the request and the descriptors to use."""
    status = keeper.UNBORN
    try:
        walls.close_in()
        _, files, _, _ = socket.recv_fds(orders, 16, 8)
        status = 71
        with open(files[0], "rb") as paper:  # noqa: PTH123
            request = json.loads(paper.read())
        for index, fd in enumerate(files[1:]):
            os.dup2(fd, index)
        os.closerange(len(files) - 1, 4096)
        walls.restrain(seconds=request["seconds"], memory=request["memory"])
        (checker if request["kind"] == "checks" else candidate).play(request)
    finally:
        os._exit(status)


def _tell(channel: int, row: dict[str, object]) -> None:
    data = json.dumps(row).encode() + b"\n"
    while data:
        data = data[os.write(channel, data) :]


def _frame() -> bytes:
    """One length-prefixed message of standard input; empty at its end."""
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
