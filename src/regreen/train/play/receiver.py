"""New weights for a worker past the disk: taken by a thread beside the play, into a copy.

Nobody samples by the copy, so the trainer waits for no rollout, and a transfer that breaks spoils
nothing. A worker that is behind holds a copy for each version that it has yet to play by; the run's
staleness bounds how many.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass

import torch

from regreen.core.errors import InfrastructureError
from regreen.model import Decoder
from regreen.train.weights.broadcast import receive
from regreen.train.weights.meeting import Meeting

__all__ = ["Invitation", "Receiver"]


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where a worker meets the trainer and the others; it travels to the worker."""

    number: int
    """Which meeting."""
    host: str
    """The trainer's address, for workers of its machine."""
    port: int
    """The port there."""
    rank: int
    """The worker's place, from 1."""
    size: int
    """How many meet."""
    seconds: float
    """How long one waits for another."""


class Receiver:
    """Carries out what the trainer asks for, one after the other.

    Args:
        model: what the worker samples by.
        host: the address at which this worker reached the trainer.
        own: the address from which it did.
    """

    def __init__(self, model: Decoder, host: str, own: str) -> None:
        self._model, self._host, self._own = model, host, own
        self._free: list[Decoder] = []
        self._meeting: Meeting | None = None
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def meet(self, invitation: Invitation, come: Callable[[], None]) -> None:
        """Leave the meeting there is, and go to another.

        Args:
            invitation: where.
            come: called when the trainer was reached.
        """
        self._orders.put(lambda: self._meet(invitation, come))

    def receive(self) -> Future[tuple[Decoder, int] | None]:
        """Take the next version: its weights and number, to be given to ``adopt``; None if lost."""
        found: Future[tuple[Decoder, int] | None] = Future()
        self._orders.put(lambda: self._receive(found))
        return found

    @torch.no_grad()
    def adopt(self, copy: Decoder) -> None:
        """Make the model's weights those of a copy, which is free again."""
        for mine, theirs in zip(self._model.parameters(), copy.parameters(), strict=True):
            mine.copy_(theirs)
        self._free.append(copy)

    # -- in the thread ----------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            self._orders.get()()

    def _meet(self, invitation: Invitation, come: Callable[[], None]) -> None:
        self._leave()
        near = self._own.startswith("127.")
        with suppress(Exception):  # the trainer sends a folder to whoever has not come
            self._meeting = Meeting(
                invitation.host if near else self._host,
                invitation.port,
                invitation.rank,
                invitation.size,
                timeout_seconds=invitation.seconds,
                own=invitation.host if near else self._own,
                reached=lambda port: come(),
            )

    def _receive(self, found: Future[tuple[Decoder, int] | None]) -> None:
        if not found.set_running_or_notify_cancel():
            return
        try:
            found.set_result(None if self._meeting is None else self._taken(self._meeting))
        except InfrastructureError:
            self._leave()
            found.set_result(None)
        except Exception as error:  # handed to whoever waits
            found.set_exception(error)

    def _taken(self, meeting: Meeting) -> tuple[Decoder, int]:
        copy = self._free.pop() if self._free else deepcopy(self._model)
        try:
            return copy, receive(meeting, copy)
        except BaseException:
            self._free.append(copy)
            raise

    def _leave(self) -> None:
        if self._meeting is not None:
            self._meeting.close()
            self._meeting = None
