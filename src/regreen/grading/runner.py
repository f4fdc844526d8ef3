"""The host's end of the test runner: one long-lived process in a box, asked over a channel.

The same process serves both uses. Cold: a fresh box, one request, closed after it. Warm: pytest
is imported once and every request runs in a fork that makes itself a fresh box (``isolate``),
which saves the interpreter's start and pytest's import, most of a short test run's cost.
"""

from __future__ import annotations

import asyncio
import base64
import json
import platform
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from regreen.core.errors import InfrastructureError
from regreen.core.verdict import Outcome
from regreen.grading.interpreter import own_python
from regreen.grading.suite import Coverage, SuiteRun, TestRecord, TestRequest
from regreen.sandbox.base import Job, Sandbox
from regreen.sandbox.seccomp import deny_list_program

__all__ = ["BOX_CODE", "RUNNER_BINDS", "TestRunner", "run_alone"]

BOX_CODE = "/opt/regreen/regreen_box"
RUNNER_BINDS = ((Path(__file__).parent / "box", BOX_CODE),)
_START = (
    "import sys; sys.path[:] = [entry for entry in sys.path if entry]; "
    "sys.path.append(sys.argv[1].rpartition('/')[0]); "
    "from regreen_box.runner import main; main()"
)
"""Before anything is imported, the tree goes off the path, where ``-c`` puts it; ``-P`` would do
the same, but Python has it since 3.11 only."""
GRACE_SECONDS = 30.0


class TestRunner:
    """A runner process in a box; one request at a time.

    Args:
        box: a box with ``RUNNER_BINDS``, the tree at its workdir and Python at /opt/env.
        isolate: run each request in a fresh nested box; needs ``BoxSpec.nested``.
        legacy: the environment's Python is too old for the runner, which then runs in ours and
            starts the tests in it: without coverage, warm starts and moved clocks.
    """

    __test__ = False  # the name is not a test class's

    def __init__(self, box: Sandbox, *, isolate: bool, legacy: bool = False) -> None:
        self.box = box
        self.isolate = isolate
        self.legacy = legacy
        self._job: Job | None = None
        self._nonce = secrets.token_hex(16)
        self._lines: AsyncIterator[bytes] | None = None
        self._number = 0
        self.start_cpu = 0.0
        """CPU seconds the runner needed to start."""

    async def start(
        self, *, python: str = "/opt/env/bin/python", hash_seed: int = 0, warm: tuple[str, ...] = ()
    ) -> None:
        """Start the process and wait until it is ready.

        Args:
            python: the environment's interpreter in the box.
            hash_seed: ``PYTHONHASHSEED`` of all its runs.
            warm: modules to import before the first fork; none of the repository is.

        Raises:
            InfrastructureError: it did not start.
        """
        env = {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": ""}
        argv = [own_python() if self.legacy else python, "-c", _START, BOX_CODE]
        self._job = await self.box.start(argv, env=env, interactive=True, channel=True)
        seccomp = deny_list_program(platform.machine()) if self.isolate else b""
        opening = {
            "nonce": self._nonce,
            "path": ["/opt/tools"],
            "warm": [] if self.legacy else list(warm),
            "legacy": python if self.legacy else "",
            "seccomp": base64.b64encode(seccomp).decode(),
        }
        await self._job.send(json.dumps(opening).encode() + b"\n")
        self._lines = self._job.messages()
        row = await self._next(120.0)
        if row["event"] != "ready":
            msg = "the test runner answered out of turn"
            raise InfrastructureError(msg, where=str(row))
        self.start_cpu = row["cpu"]

    async def run(self, request: TestRequest) -> SuiteRun:
        """Run one request to its end.

        Raises:
            InfrastructureError: the runner process died or fell silent.
        """
        assert self._job is not None, "start() comes first"
        self._number += 1
        await self._job.send(json.dumps(self._message(request)).encode() + b"\n")
        collector = _Collector()
        patience = request.total_timeout + request.collect_timeout + GRACE_SECONDS
        while True:
            row = await self._next(patience)
            if row["id"] == self._number and collector.take(row):
                return collector.result()

    def _message(self, request: TestRequest) -> dict[str, Any]:
        return {
            "number": self._number,
            "isolate": self.isolate,
            "tests": None if request.tests is None else list(request.tests),
            "paths": list(request.paths),
            "args": list(request.args),
            "files": {
                name: None if data is None else data.decode("latin-1")
                for name, data in request.files.items()
            },
            "exclude": list(request.exclude),
            "cases": request.cases,
            "whole": list(request.whole),
            "cases_of_whole": request.cases_of_whole,
            "modes": dict(request.modes),
            "order_of": list(request.order_of),
            "select": None
            if request.select is None
            else {name: list(places) for name, places in request.select.items()},
            "order_seed": request.order_seed,
            "clock_offset": request.clock_offset,
            "test_timeout": request.test_timeout,
            "collect_timeout": request.collect_timeout,
            "total_timeout": request.total_timeout,
            "stop_after_failures": request.stop_after_failures,
            "messages": request.messages,
            "max_workers": request.max_workers,
            "coverage": request.coverage,
            "cover": list(request.cover),
            "keep_output": request.keep_output,
        }

    async def _next(self, timeout: float) -> dict[str, Any]:
        assert self._lines is not None
        try:
            line = await asyncio.wait_for(anext(self._lines), timeout)
        except (StopAsyncIteration, TimeoutError) as exc:
            msg = "the test runner ended or fell silent"
            raise InfrastructureError(msg, where=await self._last_words()) from exc
        row: dict[str, Any] = json.loads(line)
        if row.get("nonce") != self._nonce:
            msg = "a line without the run's nonce on the result channel"
            raise InfrastructureError(msg)
        return row

    async def _last_words(self) -> str:
        assert self._job is not None
        _, stderr = self._job.output()
        return stderr[-600:].decode(errors="replace").strip() or "no message"

    async def close(self) -> None:
        """End the process and its box."""
        await self.box.close()


async def run_alone(
    box: Sandbox, request: TestRequest, *, isolate: bool, legacy: bool = False
) -> SuiteRun:
    """One request in a box of its own, which is closed after it.

    Raises:
        InfrastructureError: the runner did not start or died. Tests can do that to it unless
            ``isolate`` is set: then they see no process but their own.
    """
    runner = TestRunner(box, isolate=isolate, legacy=legacy)
    try:
        await runner.start()
        return await runner.run(request)
    finally:
        await runner.close()


def _printable(text: str) -> str:
    """What a test said, without half characters: no row, file or terminal takes those."""
    return text.encode("utf-8", "replace").decode()


class _Collector:
    """Folds the runner's lines into a SuiteRun."""

    def __init__(self) -> None:
        self.tests: dict[str, TestRecord] = {}
        self.collected: list[str] = []
        self.duplicates: list[str] = []
        self.errors: dict[str, str] = {}
        self.lines: dict[str, dict[str, tuple[int, ...]]] = {}
        self.fixtures: dict[str, tuple[str, ...]] = {}
        self.order: dict[str, tuple[str, ...]] = {}
        self.forked: frozenset[str] | None = None
        self.modules: tuple[str, ...] = ()
        self.problem = ""
        self.status: int | None = None
        self.forged = False
        self.cpu = 0.0

    def take(self, row: dict[str, Any]) -> bool:
        """Note one line; True when it was the last."""
        event = row["event"]
        if event == "result":
            if row["id_test"] in self.tests:
                self.duplicates.append(row["id_test"])
            self.tests[row["id_test"]] = TestRecord(
                outcome=Outcome(row["outcome"]),
                seconds=row["seconds"],
                cpu=row["cpu"],
                message=_printable(row["message"]),
                lines=tuple(n for n in row["lines"] if isinstance(n, int)),
            )
        elif event == "collected":
            known = set(self.collected)
            self.collected += [name for name in row["ids"] if name not in known]
            self.duplicates += row["duplicates"]
            self.fixtures.update({k: tuple(v) for k, v in row["fixtures"].items()})
            self.order.update({k: tuple(v) for k, v in row["order"].items()})
        elif event == "collect_error":
            self.errors[row["id_test"]] = _printable(row["message"])
        elif event == "coverage":
            self.lines[row["file"]] = {k: tuple(v) for k, v in row["contexts"].items()}
        elif event == "modules":
            self.modules = tuple(row["names"])
        elif event == "forked":
            self.forked = frozenset(row["ids"])
        elif event == "finished":
            self.status = row["status"]
        elif event == "done":
            self.problem, self.cpu = _printable(row["problem"]), row["cpu"]
            self.forged = row["forged"]
            return True
        return False

    def result(self) -> SuiteRun:
        """The run as observed."""
        coverage = None
        if self.forked is not None:
            coverage = Coverage(lines=self.lines, fixtures=self.fixtures, forked=self.forked)
        return SuiteRun(
            tests=self.tests,
            collected=tuple(self.collected),
            duplicates=tuple(self.duplicates),
            collect_errors=self.errors,
            problem=self.problem,
            status=self.status,
            forged=self.forged,
            order=self.order,
            coverage=coverage,
            modules=self.modules,
            cpu=self.cpu,
        )
