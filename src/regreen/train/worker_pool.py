"""Workers in processes of their own: those started here, and any that connect from elsewhere.

One socket, one shared key, messages pickled: whoever has the key is trusted as the trainer's own
code is. A local worker that ends or falls silent is started again; its groups begin anew, and if
workers keep ending before they finish anything the run stops and shows their last words.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from regreen.core.errors import InfrastructureError, UsageError
from regreen.train.executor import Event, Finished, Lost, Told
from regreen.train.rollouts import Job
from regreen.train.worker import WorkerSpec

__all__ = ["KEY_VARIABLE", "WorkerPool", "worker_key"]

KEY_VARIABLE = "REGREEN_WORKER_KEY"
"""Environment variable that holds the secret that workers of other machines show."""

_START = (
    "import sys; from regreen.train.worker import serve; "
    "serve(sys.argv[1], bytes.fromhex(sys.stdin.readline()), sys.argv[2])"
)
_CONNECT_SECONDS = 120.0
_MOST_FUTILE = 4
"""Workers that may end one after the other without a finished group between them."""

_Key = tuple[str, int]


@dataclass(slots=True)
class _Worker:
    name: str
    connection: Connection
    pid: int
    local: bool
    seen: float
    jobs: dict[_Key, Job] = field(default_factory=dict)
    why: str = ""


class WorkerPool:
    """Hands jobs to worker processes; see ``Executor``.

    Args:
        spec: what every worker is.
        count: workers to start here.
        logs: where those write what they print.
        silence: seconds without a sign after which a worker is taken for dead.
        address: where workers from elsewhere connect, ``HOST:PORT``; only from here by default.
        key: the secret they show; drawn when None.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        count: int,
        logs: Path,
        silence: float = 120.0,
        address: str = "127.0.0.1:0",
        key: bytes | None = None,
    ) -> None:
        self._spec = spec
        self._count = count
        self._logs = logs
        self._silence = silence
        self.key = key or secrets.token_bytes(32)
        """What a worker must show."""
        host, _, port = address.rpartition(":")
        self._listener = Listener((host, int(port)), backlog=16, authkey=self.key)
        bound = self._listener.address
        assert isinstance(bound, tuple)
        self.address = f"{bound[0]}:{bound[1]}"
        """Where workers connect."""
        self._news: queue.Queue[tuple[_Worker, tuple[Any, ...]]] = queue.Queue()
        self._workers: list[_Worker] = []
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._waiting: list[Job] = []
        self._done: set[_Key] = set()
        self._weights: tuple[str, int] | None = None
        self._futile, self._started, self._closed = 0, 0, False
        threading.Thread(target=self._accept, daemon=True).start()
        for _ in range(count):
            self._start()

    @property
    def pids(self) -> list[int]:
        """Processes of the workers that are connected."""
        return [worker.pid for worker in self._workers]

    def publish(self, folder: Path, version: int) -> None:
        """See ``Executor``."""
        self._weights = (str(folder), version)
        for worker in list(self._workers):
            self._tell(worker, "weights", *self._weights)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See ``Executor``; waits for the first workers."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        while len(self._workers) < max(1, self._count) and not self._waiting:
            event = self._take(1.0)
            assert event is None or isinstance(event, Lost)
            if time.monotonic() > deadline:
                what = f"{len(self._workers)} of {self._count} workers came"
                mend = f"look at the logs there, or connect workers to {self.address}"
                raise InfrastructureError(what, where=str(self._logs), mend=mend)
        for job in jobs:
            self._done.discard(_key(job))
        self._deal(list(jobs))

    def next(self, timeout: float | None = None) -> Event | None:
        """See ``Executor``."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            event = self._take(min(1.0, left if left is not None else 1.0))
            if event is not None:
                return event

    def close(self) -> None:
        """See ``Executor``."""
        self._closed = True
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.connection.send(("stop",))
        with contextlib.suppress(OSError):
            self._listener.close()
        for process in self._processes.values():
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for worker in self._workers:
            worker.connection.close()
        self._workers.clear()

    # -- inside -----------------------------------------------------------------------------

    def _start(self) -> None:
        name = f"worker-{self._started}"
        self._started += 1
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _START, self.address, name],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the trainer's to take
            )
        assert process.stdin is not None
        process.stdin.write(self.key.hex().encode() + b"\n")
        process.stdin.close()
        self._processes[process.pid] = process

    def _accept(self) -> None:
        """Greet workers in a thread, and read each in one of its own."""
        while not self._closed:
            try:
                connection = self._listener.accept()
                _, name, pid = connection.recv()
                connection.send(self._spec)
            except Exception:  # a stranger without the key, or half a greeting
                if self._closed:
                    return
                time.sleep(0.05)
                continue
            local = pid in self._processes
            worker = _Worker(name, connection, pid, local, time.monotonic())
            self._news.put((worker, ("hello",)))
            threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def _listen(self, worker: _Worker) -> None:
        try:
            while True:
                message = worker.connection.recv()
                worker.seen = time.monotonic()
                self._news.put((worker, message))
        except Exception as error:  # a broken pickle is a broken worker, too
            self._news.put((worker, ("gone", repr(error))))

    def _take(self, timeout: float) -> Event | None:
        """The next piece of news, if it is one for the trainer."""
        self._kill_silent()
        try:
            worker, message = self._news.get(timeout=max(0.0, timeout))
        except queue.Empty:
            self._check_started()
            return None
        kind = message[0]
        if kind == "hello":
            self._greet(worker)
        elif kind == "told":
            return Told(*message[1:])
        elif kind == "failed":
            worker.why = message[1]
        elif kind == "gone":
            return self._lose(worker, message[1])
        elif kind == "group":
            key = (message[1].purpose, message[1].place)
            worker.jobs.pop(key, None)
            self._futile = 0
            if key not in self._done:
                self._done.add(key)
                return Finished(message[1])
        return None

    def _greet(self, worker: _Worker) -> None:
        self._workers.append(worker)
        if self._weights is not None:
            self._tell(worker, "weights", *self._weights)
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._deal(waiting)

    def _deal(self, jobs: list[Job]) -> None:
        """Give every worker its share of jobs that are to be played together."""
        if not self._workers:
            self._waiting += jobs
            return
        workers = sorted(self._workers, key=lambda worker: (len(worker.jobs), worker.name))
        for at, worker in enumerate(workers):
            share = jobs[at :: len(workers)]
            if share:
                worker.jobs.update({_key(job): job for job in share})
                self._tell(worker, "play", share)

    def _tell(self, worker: _Worker, *message: Any) -> None:
        with contextlib.suppress(OSError):  # its reader will say that it is gone
            worker.connection.send(message)

    def _lose(self, worker: _Worker, why: str) -> Event | None:
        if worker not in self._workers:
            return None
        self._workers.remove(worker)
        worker.connection.close()
        jobs = [job for key, job in worker.jobs.items() if key not in self._done]
        process = self._processes.pop(worker.pid, None)
        if process is not None:
            process.kill()
            code = process.wait()
            why = worker.why or (f"ended by signal {-code}" if code < 0 else f"status {code}")
            self._replace(worker.name, why)
        self._deal(jobs)
        return Lost(worker.name, worker.why or why, len(jobs))

    def _replace(self, name: str, why: str) -> None:
        """Start another, unless they keep ending."""
        self._futile += 1
        if self._futile > _MOST_FUTILE:
            what = f"{self._futile} workers ended one after the other: {why}"
            where = str(self._logs / f"{name}.log")
            raise InfrastructureError(what, where=where, mend="mend its cause, then --resume")
        if not self._closed:
            self._start()

    def _check_started(self) -> None:
        """Notice a worker that ended before it came."""
        known = {worker.pid for worker in self._workers}
        for pid, process in list(self._processes.items()):
            code = process.poll()
            if code is not None and pid not in known:
                del self._processes[pid]
                self._replace(f"worker-{self._started - 1}", f"status {code}")

    def _kill_silent(self) -> None:
        for worker in self._workers:
            if time.monotonic() - worker.seen > self._silence and worker.local:
                worker.why = f"silent for {self._silence:g} s"
                worker.seen = time.monotonic()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)


def _key(job: Job) -> _Key:
    return job.purpose, job.place


def worker_key() -> bytes:
    """The secret of the environment.

    Raises:
        UsageError: there is none, or one that is too short.
    """
    text = os.environ.get(KEY_VARIABLE, "")
    if len(text) < 16:
        what = "workers of other machines need a secret of at least 16 characters"
        mend = f"export {KEY_VARIABLE}=$(openssl rand -hex 32), there too"
        raise UsageError(what, where=KEY_VARIABLE, mend=mend)
    return text.encode()
