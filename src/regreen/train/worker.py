"""A worker: one engine and one stage, told what to play by the trainer over a socket.

Messages are taken in order. Weights are loaded between batches of jobs, never within one, so every
group of a batch was sampled by one version; where a run wants slow groups to hold up nobody
(``in_flight``), weights are loaded at once and open rollouts are read again by them. A worker that
loses the trainer ends.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from regreen.core.errors import RegreenError
from regreen.core.together import together
from regreen.train.rollouts import Job, Player, outcome_of
from regreen.train.trace import Played

__all__ = ["WorkerSpec", "serve", "work"]

_ALIVE_SECONDS = 2.0


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


def serve(address: str, key: bytes, name: str) -> None:
    """Connect to a trainer and play for it until it is gone.

    Args:
        address: ``HOST:PORT``.
        key: the shared secret.
        name: of this worker.
    """
    host, _, port = address.rpartition(":")
    with Client((host, int(port)), authkey=key) as connection:
        connection.send(("hello", name, os.getpid()))
        spec: WorkerSpec = connection.recv()
        work(connection, spec)


def work(connection: Connection, spec: WorkerSpec) -> None:
    """Play what comes over a connection until it is closed."""
    import torch

    torch.set_num_threads(spec.threads)
    try:
        asyncio.run(_Worker(connection, spec).run())
    except ConnectionError:
        return
    except Exception as error:
        known = error if isinstance(error, RegreenError) else None
        text = "\n".join(known.lines()) if known else f"{type(error).__name__}: {error}"
        with suppress(OSError):
            connection.send(("failed", text))
        raise


class _Worker:
    def __init__(self, connection: Connection, spec: WorkerSpec) -> None:
        self._connection = connection
        self._spec = spec
        self._sending = threading.Lock()
        self._player = spec.build(told=self._told, **spec.settings)
        self._inbox: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop,), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        await self._player.stage.open()
        playing: set[asyncio.Task[None]] = set()
        try:
            while (message := await self._inbox.get())[0] != "stop":
                if message[0] == "weights":
                    await self._player.engine.load(Path(message[1]), version=message[2])
                elif self._spec.in_flight:
                    task = asyncio.create_task(self._play(message[1]))
                    playing.add(task)
                    task.add_done_callback(playing.discard)
                else:
                    await self._play(message[1])
        finally:
            for task in playing:
                task.cancel()
            await self._player.stage.close()
            await self._player.engine.close()

    async def _play(self, jobs: list[Job]) -> None:
        async def one(job: Job) -> None:
            group = await self._player.group(job)
            await asyncio.to_thread(self._send, "group", group)

        await together(one(job) for job in jobs)

    def _told(self, job: Job, played: Played) -> None:
        self._send("told", played.rollout_id, outcome_of(played), job.purpose)

    def _send(self, *message: Any) -> None:
        with self._sending:
            self._connection.send(message)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read in a thread: the loop may be busy for as long as a step of the engine takes."""
        message: tuple[Any, ...] = ("stop",)
        with suppress(EOFError, OSError):
            while (message := self._connection.recv())[0] != "stop":
                loop.call_soon_threadsafe(self._inbox.put_nowait, message)
        if message[0] != "stop":
            os._exit(1)  # the trainer is gone, and with it everybody who could use what is played
        loop.call_soon_threadsafe(self._inbox.put_nowait, message)

    def _beat(self) -> None:
        with suppress(OSError, ValueError):
            while True:
                threading.Event().wait(_ALIVE_SECONDS)
                self._send("alive")
