"""A worker: one engine and one stage, told what to play by the trainer over a socket.

Messages are taken in order. Weights are loaded between batches of jobs, never within one, so every
group of a batch was sampled by one version; where a run wants slow groups to hold up nobody
(``in_flight``), weights are loaded at once and open rollouts are read again by them. Weights that
come past the disk are taken meanwhile and wait for their turn. A worker without a trainer ends.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from regreen.core.errors import InfrastructureError, ModelError, RegreenError
from regreen.core.together import together
from regreen.inference.engine.lockstep import LockStep
from regreen.model import Decoder
from regreen.train.play.receiver import Invitation, Receiver
from regreen.train.play.rollouts import Job, Player, outcome_of, worth_another
from regreen.train.trace import Played

__all__ = ["WorkerSpec", "serve"]

_ALIVE_SECONDS = 2.0
_END_SECONDS = 10.0
"""How long boxes may take to close once the trainer is gone."""


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What a worker is; it travels to the worker's process."""

    build: Callable[..., Player]
    """A function of a module; makes the player from ``settings`` and ``told``."""
    settings: dict[str, Any]
    """Its keyword arguments, plain data and configurations."""
    threads: int = 1
    """Threads of a tensor operation."""
    in_flight: bool = False
    """Load weights while rollouts are open."""


def serve(address: str, key: bytes, name: str, url: str = "") -> None:
    """Connect to a trainer and play for it until it is gone.

    Args:
        address: ``HOST:PORT``.
        key: the shared secret.
        name: of this worker.
        url: of the server that samples; none samples here.
    """
    host, _, port = address.rpartition(":")
    with Client((host, int(port)), authkey=key) as connection, _Line(connection) as line:
        line.greet(name)
        try:
            _work(line, connection.recv(), url, host)
        except (ConnectionError, EOFError):
            return
        except Exception as error:
            known = error if isinstance(error, RegreenError) else None
            text = "\n".join(known.lines()) if known else f"{type(error).__name__}: {error}"
            with suppress(OSError):
                of_server = error if url and isinstance(error, ModelError) else None
                line.send("failed", text, of_server)
            raise


class _Line:
    """The way to the trainer; once it has greeted, it says that the worker is alive."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.ended = threading.Event()
        self._sending = threading.Lock()

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()

    def greet(self, name: str) -> None:
        """Say who is there, the first thing that the trainer hears."""
        self.send("hello", name, os.getpid())
        threading.Thread(target=self._beat, daemon=True).start()

    def send(self, *message: Any) -> None:
        """Say something; any thread may."""
        with self._sending:
            self.connection.send(message)

    def _beat(self) -> None:
        with suppress(OSError, ValueError):
            while not self.ended.wait(_ALIVE_SECONDS):
                self.send("alive")


def _work(line: _Line, spec: WorkerSpec, url: str, host: str) -> None:
    import torch

    torch.set_num_threads(spec.threads)
    asyncio.run(_Worker(line, spec, url, host).run())


class _Worker:
    def __init__(self, line: _Line, spec: WorkerSpec, url: str, host: str) -> None:
        self._line = line
        self._spec = spec
        self._host = host
        self._inbox: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self._newest = -1
        self._refused = ""
        server = {"url": url} if url else {}
        self._player = spec.build(told=self._told, **spec.settings, **server)

    async def run(self) -> None:
        """Play until told to stop, then close what was opened."""
        serving = asyncio.ensure_future(self._serve())
        given = asyncio.get_running_loop(), serving
        threading.Thread(target=self._listen, args=given, daemon=True).start()
        try:
            await asyncio.wait({serving})
        finally:
            serving.cancel()
            await asyncio.wait({serving})
            ends = self._player.stage.close(), self._player.engine.close()
            closed = await asyncio.gather(*ends, return_exceptions=True)
            self._line.ended.set()
        if self._refused:
            mend = "give the trainer a larger silence_seconds, or start the worker again"
            raise InfrastructureError(self._refused, mend=mend)
        if not serving.cancelled():
            serving.result()
        for error in closed:
            if isinstance(error, BaseException):
                raise error

    async def _serve(self) -> None:
        await self._player.engine.check()
        await self._player.stage.open()
        try:
            async with asyncio.TaskGroup() as playing:
                while True:
                    await self._obey(await self._inbox.get(), playing)
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several

    async def _obey(self, message: tuple[Any, ...], playing: asyncio.TaskGroup) -> None:
        if message[0] == "weights":
            await self._load(Path(message[1]), message[2])
        elif message[0] == "received":
            await self._adopt(message[1])
        elif self._spec.in_flight:
            playing.create_task(self._play(message[1]))
        else:
            await self._play(message[1])

    async def _load(self, folder: Path, version: int) -> None:
        try:
            await self._player.engine.load(folder, version=version)
            self._line.send("loaded", version, isinstance(self._player.engine, LockStep))
        except ModelError:
            if version == self._newest:
                raise
            # This worker was behind and the folder is gone; what is played until the newer ones
            # are loaded bears the version that it was sampled by.

    async def _adopt(self, taken: Future[tuple[Decoder, int] | None]) -> None:
        if (found := await asyncio.wrap_future(taken)) is not None:
            copy, version = found
            self._receiver.adopt(copy)
            self._engine.updated(version)
        # Else the trainer knows that it was lost: a folder comes before anything is to be played.

    async def _play(self, jobs: list[Job]) -> None:
        async def one(job: Job) -> None:
            group = await self._player.group(job)
            faults = [played.fault for played in group.rollouts if played.fault is not None]
            if any(fault.boundary == "model" and worth_another(fault) for fault in faults):
                await self._player.engine.check()  # a worker without its engine plays nothing
            await asyncio.to_thread(self._line.send, "group", group)

        await together(one(job) for job in jobs)

    def _told(self, job: Job, played: Played) -> None:
        self._line.send("told", played.rollout_id, outcome_of(played), job.purpose)

    def _listen(self, loop: asyncio.AbstractEventLoop, serving: asyncio.Future[None]) -> None:
        """Read in a thread: the loop may be busy for as long as a step of the engine takes."""
        try:
            with suppress(EOFError, OSError):
                while (message := self._line.connection.recv())[0] != "stop":
                    self._hear(message, loop)
        finally:
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(serving.cancel)
            if not self._line.ended.wait(_END_SECONDS):
                os._exit(1)  # whoever could use what is played is gone

    def _hear(self, message: tuple[Any, ...], loop: asyncio.AbstractEventLoop) -> None:
        if message[0] == "meet":
            self._meet(message[1])
            return
        if message[0] == "given up":
            self._refused = f"the trainer goes on without this worker: {message[1]}"
            return
        if message[0] == "weights":
            self._newest = message[2]
        elif message[0] == "receive":
            self._newest = message[1]
            message = ("received", self._receiver.receive())
        loop.call_soon_threadsafe(self._inbox.put_nowait, message)

    def _meet(self, invitation: Invitation) -> None:
        self._receiver.meet(invitation, lambda: self._line.send("coming", invitation.number))

    @property
    def _engine(self) -> LockStep:
        engine = self._player.engine
        assert isinstance(engine, LockStep), (
            "weights come past the disk to an engine of this process"
        )
        return engine

    @cached_property
    def _receiver(self) -> Receiver:
        with socket.socket(fileno=os.dup(self._line.connection.fileno())) as link:
            own = link.getsockname()[0]
        return Receiver(self._engine.model, self._host, own)
