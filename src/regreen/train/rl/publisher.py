"""How the weights of a run reach those who play: by a folder, or past the disk to all at once.

Past the disk, a folder is written only when somebody asks who has none of these weights: a worker
that has just come, or one whose transfer broke. Every rank helps to put cut weights together either
way, so the first one, which alone knows the workers, tells the others what is to be done.
"""

from __future__ import annotations

from collections.abc import Callable

from regreen.core.errors import InfrastructureError, RegreenError
from regreen.model import Decoder
from regreen.train.compute.parallel import World
from regreen.train.play.executor import Executor
from regreen.train.play.worker_pool import WorkerPool
from regreen.train.weights.broadcast import BroadcastSender
from regreen.train.weights.meeting import Meeting
from regreen.train.weights.sender import FileSender

__all__ = ["Publisher"]


class Publisher:
    """Hands on each version.

    Args:
        executor: who plays; None on ranks that only update.
        files: writes folders.
        here: the trainer's processes.
        past_disk: send to workers directly where possible.
        note: is told of transfers that broke.
    """

    def __init__(
        self,
        executor: Executor | None,
        files: FileSender,
        here: World,
        *,
        past_disk: bool,
        note: Callable[[str], None],
    ) -> None:
        self._executor, self._files, self._here, self._note = executor, files, here, note
        self._pool = executor if past_disk and isinstance(executor, WorkerPool) else None
        own = executor is not None and executor.own_weights
        self._writes, self._past_disk = here.broadcast((not own, self._pool is not None))

    @property
    def wanted(self) -> bool:
        """Whether somebody has none of the weights that count; for the first rank."""
        return self._pool is not None and self._pool.lacking

    def publish(self, model: Decoder, version: int) -> None:
        """Sample by these weights from now on; every rank calls it.

        Raises:
            InfrastructureError: the disk is full, or nobody is left to play.
        """
        if self._past_disk:
            self._send(model, version)
            if self._here.broadcast(self.wanted):
                self.write(model, version)
        elif self._writes:
            self.write(model, version)
        else:
            assert self._executor is not None
            self._executor.publish(None, version)

    def write(self, model: Decoder, version: int) -> None:
        """Write a folder and tell those who lack it; every rank calls it.

        Raises:
            InfrastructureError: the disk is full; the same on every rank.
        """
        folder = self._files.send(model, version)
        if self._executor is not None:
            self._executor.publish(folder, version)

    def _send(self, model: Decoder, version: int) -> None:
        """To all workers that can take it; what breaks leaves them lacking."""
        meeting: Meeting | None = None
        end: RegreenError | None = None
        try:
            meeting = None if self._pool is None else self._pool.meet(version)
        except RegreenError as error:
            end = error
        anybody, end = self._here.broadcast((meeting is not None, end))
        if end is not None:
            raise end
        if not anybody:
            return
        try:
            BroadcastSender(meeting).send(model, version)
        except InfrastructureError as error:
            end = error
            self._note(f"weights {version} go to workers by a folder: {error}")
        if self._pool is not None:
            self._pool.met(whole=end is None)
