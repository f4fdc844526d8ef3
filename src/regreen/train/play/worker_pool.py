"""Workers in processes of their own: those started here, and any that connect from elsewhere.

One socket, one shared key, messages pickled: whoever has the key is trusted as the trainer's own
code is. A local worker that ends or falls silent is started again; its groups begin anew, and if
workers keep ending before they finish anything the run stops and shows their last words.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path
from typing import Any

from regreen.core.errors import InfrastructureError, ModelError
from regreen.inference.errors import EndpointUnreachable
from regreen.train.play.executor import Event, Finished, Lost, Told
from regreen.train.play.muster import Muster
from regreen.train.play.rollouts import Job
from regreen.train.play.worker import WorkerSpec
from regreen.train.play.worker_link import listening, shut
from regreen.train.weights.meeting import Meeting

__all__ = ["WorkerPool"]

_START = (
    "import sys; from regreen.train.play.worker import serve; "
    "serve(sys.argv[1], bytes.fromhex(sys.stdin.readline()), sys.argv[2], sys.argv[3])"
)
_ALONE_SECONDS = 600.0
"""How long a trainer waits for a worker while there is none."""
_GATHER_SECONDS = 60.0
"""How long the first jobs wait for all workers that were started here."""
_START_SECONDS = 300.0
"""How long such a worker may take to come, at least."""
_END_SECONDS = 12.0
"""How long workers may take to end once they are told to."""
_MOST_FUTILE = 4
"""Workers that may end without a finished group between them, beside one for each started here."""

_Key = tuple[str, int]


@dataclass(slots=True, eq=False)
class _Worker:
    name: str
    link: socket.socket
    connection: Connection
    pid: int
    seen: float
    jobs: dict[_Key, Job] = field(default_factory=dict)
    why: str = ""
    version: int = -1
    ready: bool = False
    """Whether it has loaded weights since it came."""
    meets: bool = False
    coming: int = 0
    held: list[list[Job]] = field(default_factory=list)
    """What it is to play once it is told the weights."""


class WorkerPool:
    """Hands jobs to worker processes; see ``Executor``.

    Args:
        spec: what every worker is.
        count: workers to start here.
        urls: the server of each of them; none where they sample themselves.
        logs: where those write what they print.
        silence: seconds without a sign after which a worker is taken for dead.
        address: where workers from elsewhere connect, ``HOST:PORT``; only from here by default.
        key: the secret they show; drawn when None.

    Raises:
        UsageError: nothing can listen at this address.
    """

    own_weights = False

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        count: int,
        urls: Sequence[str] = (),
        logs: Path,
        silence: float = 120.0,
        address: str = "127.0.0.1:0",
        key: bytes | None = None,
    ) -> None:
        self._spec = pickle.dumps(spec)
        self._count, self._logs, self._silence = count, logs, silence
        self.key = key or secrets.token_bytes(32)
        """What a worker must show."""
        self._server = listening(address)
        host, port = self._server.getsockname()[:2]
        self.address = f"{host}:{port}"
        """Where workers connect."""
        self._news: queue.Queue[tuple[_Worker, tuple[Any, ...]]] = queue.Queue()
        self._kept: deque[Event] = deque()
        self._workers: list[_Worker] = []
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._servers: dict[str, str] = {}
        self._begins: dict[str, float] = {}
        self._waiting: list[Job] = []
        self._done: set[_Key] = set()
        self._weights: tuple[str, int] | None = None
        self._version = -1
        self._muster = Muster(
            silence, tell=self._tell, look=self._catch_up, there=self._workers.__contains__
        )
        self._futile, self._started = 0, 0
        self._came, self._closed = False, False
        self._begun = self._looked = self._peopled = time.monotonic()
        threading.Thread(target=self._accept, daemon=True).start()
        for place in range(count):
            self._start(urls[place] if urls else "")

    @property
    def pids(self) -> list[int]:
        """Processes of the workers that are connected."""
        return [worker.pid for worker in self._workers]

    def publish(self, folder: Path | None, version: int) -> None:
        """See ``Executor``."""
        assert folder is not None, "workers read weights from a folder"
        self._weights, self._version = (str(folder), version), version
        for worker in list(self._workers):
            self._fill(worker)

    @property
    def lacking(self) -> bool:
        """Whether a worker waits for a folder of the newest weights."""
        return any(worker.version != self._version for worker in self._workers)

    def meet(self, version: int) -> Meeting | None:
        """Have workers take these weights past the disk, whatever they play; then call ``met``.

        Returns:
            Where they wait for it; None where nobody does.

        Raises:
            InfrastructureError: nobody is left to play.
        """
        self._catch_up()
        self._version = version
        return self._muster.begin(self._workers, version)

    def met(self, *, whole: bool) -> None:
        """Note whether all of them have it; if not, they wait for a folder."""
        self._muster.end(self._version, whole=whole)
        for worker in self._workers:
            self._play_held(worker)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See ``Executor``; the first jobs wait for all workers that were started, in ``next``."""
        self._done.difference_update(map(_key, jobs))
        self._deal(list(jobs))

    def next(self, timeout: float | None = None) -> Event | None:
        """See ``Executor``."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._kept:
            left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
            if (event := self._take(max(0.0, left))) is not None:
                return event
            if left <= 0 or self.lacking:
                return None
        return self._kept.popleft()

    def close(self) -> None:
        """See ``Executor``."""
        self._closed = True
        self._muster.leave()
        for worker in self._workers:
            self._tell(worker, "stop")
        shut(self._server)
        deadline = time.monotonic() + _END_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for worker in self._workers:
            shut(worker.link)
        self._workers.clear()
        self._processes.clear()

    # -- workers come ---------------------------------------------------------------------

    def _start(self, server: str) -> None:
        name = f"worker-{self._started}"
        self._started += 1
        self._servers[name], self._begins[name] = server, time.monotonic()
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _START, self.address, name, server],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the trainer's to take
            )
        self._processes[name] = process
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended already, which is noticed elsewhere
            process.stdin.write(self.key.hex().encode() + b"\n")
            process.stdin.close()

    def _accept(self) -> None:
        """Meet whoever connects, each in a thread: a stranger may say nothing for ever."""
        while not self._closed:
            try:
                link, _ = self._server.accept()
            except OSError:
                time.sleep(0.05)
                continue
            threading.Thread(target=self._meet, args=(link,), daemon=True).start()

    def _meet(self, link: socket.socket) -> None:
        """Greet a worker that shows the key, then read what it says."""
        with Connection(os.dup(link.fileno())) as connection:
            try:
                deliver_challenge(connection, self.key)
                answer_challenge(connection, self.key)
                _, name, pid = connection.recv()
                connection.send_bytes(self._spec)
            except Exception:  # a stranger without the key, or half a greeting
                shut(link)
                return
            worker = _Worker(name, link, connection, pid, time.monotonic())
            self._news.put((worker, ("hello",)))
            try:
                while True:
                    message = connection.recv()
                    worker.seen = time.monotonic()
                    self._news.put((worker, message))
            except Exception as error:  # a broken pickle is a broken worker, too
                self._news.put((worker, ("gone", f"connection lost: {error!r}")))

    # -- what they say --------------------------------------------------------------------

    def _take(self, timeout: float) -> Event | None:
        """The next piece of news, if it is one for the trainer."""
        self._look()
        try:
            worker, message = self._news.get(timeout=timeout)
        except queue.Empty:
            return None
        kind = message[0]
        if kind == "hello":
            self._greet(worker)
        elif worker not in self._workers:
            return None  # it was given up before it said so
        elif kind == "told":
            return Told(*message[1:])
        elif kind == "loaded":
            worker.ready = True
            worker.meets = message[2] and worker.version == message[1]
        elif kind == "coming":
            worker.coming = message[1]
        elif kind == "failed":
            worker.why = message[1]
            self._judge(worker, message[2])
        elif kind == "gone":
            return self._lose(worker, message[1])
        elif kind == "group":
            return self._finish(worker, message[1])
        return None

    def _catch_up(self) -> None:
        """Hear what was said, and wait a moment if it was nothing."""
        waited = 0.02
        while (event := self._take(waited)) is not None or not self._news.empty():
            waited = 0.0
            if event is not None:
                self._kept.append(event)

    def _finish(self, worker: _Worker, group: Any) -> Event | None:
        key = (group.purpose, group.place)
        worker.jobs.pop(key, None)
        self._futile = 0
        if key in self._done:
            return None
        self._done.add(key)
        return Finished(group)

    def _greet(self, worker: _Worker) -> None:
        self._workers.append(worker)
        self._fill(worker)
        self._deal_waiting()

    def _deal_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._deal(waiting)

    def _fill(self, worker: _Worker) -> None:
        """Tell a worker the newest weights, if they lie in a folder, then what waits for them."""
        if self._weights is None or self._weights[1] != self._version:
            return
        if worker.version == self._version:
            return
        self._tell(worker, "weights", *self._weights)
        worker.version = self._version
        self._play_held(worker)

    def _play_held(self, worker: _Worker) -> None:
        if worker.version == self._version:
            held, worker.held = worker.held, []
            for share in held:
                self._tell(worker, "play", share)

    def _deal(self, jobs: list[Job]) -> None:
        """Give every worker its share of jobs that are to be played together."""
        if not self._workers or not self._came:
            self._waiting += jobs
            return
        workers = sorted(self._workers, key=lambda worker: (len(worker.jobs), worker.name))
        for at, worker in enumerate(workers):
            share = jobs[at :: len(workers)]
            if share:
                worker.jobs.update({_key(job): job for job in share})
                if worker.version == self._version:
                    self._tell(worker, "play", share)
                else:
                    worker.held.append(share)

    def _tell(self, worker: _Worker, *message: Any) -> None:
        with contextlib.suppress(OSError):  # its reader will say that it is gone
            worker.connection.send(message)

    # -- workers go -----------------------------------------------------------------------

    def _look(self) -> None:
        """See who has fallen silent, who ended before he came, and whether anybody is left."""
        now = time.monotonic()
        away, self._looked = now - self._looked > self._silence / 2, now
        for worker in self._workers:
            if away:  # it was this process that heard nothing
                worker.seen = now
            elif now - worker.seen > self._silence:
                self._give_up(worker)
        self._look_for_others(now)
        late = now - self._begun > _GATHER_SECONDS
        if not self._came and (late or len(self._workers) >= self._count):
            self._came = True
            self._deal_waiting()
        if self._workers:
            self._peopled = now
        elif now - self._peopled > _ALONE_SECONDS:
            what = f"no worker has been here for {_ALONE_SECONDS:g} s"
            mend = f"connect workers to {self.address} (regreen train worker), then --resume"
            raise InfrastructureError(what, where=self.address, mend=mend)

    def _look_for_others(self, now: float) -> None:
        """Replace who ended before he came, or does not come."""
        known = {worker.name for worker in self._workers}
        for name, process in list(self._processes.items()):
            if name in known:
                continue
            if now - self._begins[name] > max(self._silence, _START_SECONDS):
                process.kill()
                process.wait()
            code = process.poll()
            if code is not None:
                del self._processes[name]
                self._replace(name, self._last_words(name, code))

    def _give_up(self, worker: _Worker) -> None:
        worker.why, worker.seen = f"silent for {self._silence:g} s", time.monotonic()
        self._tell(worker, "given up", worker.why)
        process = self._processes.get(worker.name)
        if process is not None:
            process.kill()
        self._news.put((worker, ("gone", worker.why)))

    def _lose(self, worker: _Worker, why: str) -> Event:
        self._workers.remove(worker)
        shut(worker.link)
        jobs = [job for key, job in worker.jobs.items() if key not in self._done]
        process = self._processes.pop(worker.name, None)
        if process is not None:
            process.kill()
            code = process.wait()
            why = worker.why or self._last_words(worker.name, code)
            self._replace(worker.name, why)
        self._deal(jobs)
        return Lost(worker.name, worker.why or why, len(jobs))

    def _judge(self, worker: _Worker, error: ModelError | None) -> None:
        """End the run by what is wrong with a server, unless others can go on until it is back."""
        others = any(other.ready for other in self._workers if other is not worker)
        away = isinstance(error, EndpointUnreachable) and others
        if error is not None and worker.name in self._processes and not away:
            raise error

    def _replace(self, name: str, why: str) -> None:
        """Start another in its place, unless they keep ending."""
        self._futile += 1
        if self._futile > _MOST_FUTILE + self._count:
            what = f"{self._futile} workers ended one after the other: {why}"
            where = str(self._logs / f"{name}.log")
            raise InfrastructureError(what, where=where, mend="mend its cause, then --resume")
        if not self._closed:
            self._start(self._servers.pop(name))

    def _last_words(self, name: str, code: int) -> str:
        if code < 0:
            return f"ended by signal {-code}"
        with contextlib.suppress(OSError):
            said = (self._logs / f"{name}.log").read_text("utf-8", "replace").split("\n")
            return next((line for line in reversed(said) if line.strip()), f"status {code}")
        return f"status {code}"


def _key(job: Job) -> _Key:
    return job.purpose, job.place
