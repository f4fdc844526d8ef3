"""Whom the trainer meets to hand on weights past the disk: one meeting while they stay the same.

Workers come and go and a meeting has a fixed size, so whenever they differ there is another, at a
port of its own. Only workers that have loaded a folder are asked: they are up, and listen.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from regreen.core.errors import InfrastructureError
from regreen.train.play.receiver import Invitation
from regreen.train.weights.meeting import Meeting

__all__ = ["Member", "Muster"]

_LONGEST_SECONDS = 120.0
"""How long anybody waits for another at most; other ranks of the trainer wait for all of it."""


class Member(Protocol):
    """A worker, as far as it matters here."""

    link: socket.socket
    """The connection to it."""
    version: int
    """Of the weights that it has, or that it was told of."""
    meets: bool
    """Whether it can take weights: it has loaded a folder since it came, or since one broke."""
    coming: int
    """The last meeting that it came to."""


class _NotComeError(Exception):
    """Somebody who was invited is gone, or silent."""


class Muster:
    """The meetings of one trainer, one at a time.

    Args:
        seconds: after which somebody who says nothing is taken for dead.
        tell: sends a message to a worker.
        look: takes note of what workers have said, or waits a moment.
        there: whether a worker is still connected.
    """

    def __init__(
        self,
        seconds: float,
        *,
        tell: Callable[..., None],
        look: Callable[[], None],
        there: Callable[..., bool],
    ) -> None:
        self._seconds = min(seconds, _LONGEST_SECONDS)
        self._tell, self._look, self._there = tell, look, there
        self._members: tuple[Member, ...] = ()
        self._meeting: Meeting | None = None
        self._number = 0

    def begin(self, workers: Sequence[Member], version: int) -> Meeting | None:
        """Have all of them that can take these weights; ``end`` says how it went.

        Returns:
            Where they wait for them; None where nobody does.
        """
        meeting = self._meeting_of([worker for worker in workers if worker.meets])
        for member in self._members if meeting is not None else ():
            self._tell(member, "receive", version)
        return meeting

    def end(self, version: int, *, whole: bool) -> None:
        """Note whether all of them have it; if not, none takes part before it is filled."""
        if not whole:
            self._break()
        for member in self._members:
            member.version = version

    def leave(self) -> None:
        """End the meeting there is; those who wait in it are told at once."""
        if self._meeting is not None:
            self._meeting.close()
        self._members, self._meeting = (), None

    def _meeting_of(self, workers: Sequence[Member]) -> Meeting | None:
        """The meeting of these; None where there are none, or one does not come."""
        wanted = tuple(workers)
        if self._meeting is not None and self._members == wanted:
            return self._meeting
        self.leave()
        if not wanted:
            return None
        self._members, self._number = wanted, self._number + 1
        host = _address(wanted)
        try:
            self._meeting = Meeting(
                host, 0, 0, len(wanted) + 1, timeout_seconds=self._seconds, own=host,
                reached=lambda port: self._invite(host, port),
            )  # fmt: skip
        except _NotComeError:
            self._break()
        except InfrastructureError:
            if any(member.coming != self._number for member in wanted):
                raise  # what was heard meanwhile ends the run
            self._break()
        return self._meeting

    def _break(self) -> None:
        for member in self._members:
            member.meets = False
        self.leave()

    def _invite(self, host: str, port: int) -> None:
        """Tell all, and wait until they are at the door: torch would wait for one that is gone."""
        size = len(self._members) + 1
        for rank, member in enumerate(self._members, 1):
            invitation = Invitation(self._number, host, port, rank, size, self._seconds)
            self._tell(member, "meet", invitation)
        deadline = time.monotonic() + self._seconds
        while any(member.coming != self._number for member in self._members):
            self._look()
            gone = not all(map(self._there, self._members))
            if gone or time.monotonic() > deadline:
                raise _NotComeError


def _address(members: Sequence[Member]) -> str:
    """This machine's for all of them: one that is known outside, if anybody is there."""
    found = [str(member.link.getsockname()[0]) for member in members]
    return next((one for one in found if not one.startswith("127.")), found[0])
