r"""A box with a warm process that forks for every run of a candidate program.

One box, one run at a time; a run costs a fork, not an interpreter. Expected values never enter
it: inputs go in, what was observed comes out as plain data, and whoever asked compares outside.

    async with WarmBox() as box:
        seen = await box.run("def f(a, b): return a + b", [Call("f", (1, 2)), Call("f", (3, "x"))])
        [one.fate for one in seen], seen[0].value      # ["returned", "raised"], 3
        seen = await box.run("print(int(input()) + 1)", [Feed("41")])
        seen[0].value                                  # "42\n"
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from regreen.core.errors import InfrastructureError, UsageError
from regreen.grading.box import isolate
from regreen.sandbox import provider as make_provider
from regreen.sandbox.base import BoxSpec, Job, Limits, Sandbox, SandboxProvider
from regreen.train.code.box import plain
from regreen.train.code.judge_filter import judge_program
from regreen.train.code.observed import (
    Call,
    Checked,
    Fate,
    Feed,
    Observed,
    read_checks,
    read_observations,
)

__all__ = ["Call", "Checked", "Fate", "Feed", "Observed", "WarmBox", "WarmBoxConfig"]

_ROOT = "/opt/regreen"
_BINDS = (
    (Path(isolate.__file__), f"{_ROOT}/regreen/grading/box/isolate.py"),
    (Path(plain.__file__).parent, f"{_ROOT}/regreen/train/code/box"),
)
_START = (
    f"import sys; sys.path.append({_ROOT!r}); "
    "from regreen.train.code.box.server import main; main()"
)
_READY_SECONDS, _GRACE_SECONDS = 60.0, 30.0


class WarmBoxConfig(BaseModel):
    """How runs are carried out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output_bytes: int = Field(default=1 << 20, ge=1)
    """Longest result, or output, of one case; a longer one is ``flooded``. All cases of a run
    together may have 16 times as much."""
    restarts: int = Field(default=2, ge=0)
    """Cases that may hang, flood or kill their process before the rest is ``not_run``."""
    patience: float = Field(default=5.0, ge=1)
    """Wall seconds a case may take for each of its processor seconds: for sleepers, and for
    machines with more to do than cores."""
    warm: tuple[str, ...] = (
        "array", "bisect", "cmath", "collections", "copy", "datetime", "decimal", "fractions",
        "functools", "heapq", "itertools", "math", "operator", "re", "statistics", "string",
        "typing", "dataclasses", "enum", "textwrap",
    )  # fmt: skip
    """Modules in memory before the first fork."""
    box_bytes: int = Field(default=4 << 30, ge=1 << 29)
    """Memory the whole box may use; two processes of a run and 256 MiB must fit, else a candidate
    could kill the box, which is nobody's fault, instead of itself."""


class WarmBox:
    """Runs candidate programs; a dead box is replaced at the next run.

    Each run has processes, files (an empty ``/tmp`` of 16 MiB) and IPC of its own, no network, no
    new processes (threads are allowed), no ``/proc``, and knows nothing of other runs. Results are
    deterministic for programs that do not ask for the time: the hash seed and ``random`` start at
    0, and limits count processor time. Concurrent callers wait for each other: use several boxes.

    Args:
        provider: makes the box; ``namespace`` when None. A given one is not closed.
        config: how runs are carried out.
    """

    def __init__(
        self, provider: SandboxProvider | None = None, *, config: WarmBoxConfig | None = None
    ) -> None:
        self.config = config or WarmBoxConfig()
        self._provider, self._owned = provider, provider is None
        self._turn = asyncio.Lock()
        self._box: Sandbox | None = None
        self._job: Job | None = None
        self._lines: AsyncIterator[bytes] | None = None
        self._number = 0

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Start the box now; ``run`` does it too.

        Raises:
            PrerequisiteError: this machine cannot make boxes.
            InfrastructureError: the box did not start.
        """
        async with self._turn:
            await self._live()

    async def close(self) -> None:
        """End the box; calling it twice is harmless."""
        async with self._turn:
            await self._drop()
            if self._owned and self._provider is not None:
                await self._provider.close()
                self._provider = None

    async def run(
        self,
        program: str,
        cases: Sequence[Call] | Sequence[Feed],
        *,
        seconds: float = 2.0,
        memory: int = 256 << 20,
    ) -> list[Observed]:
        """Run one program on its cases, all ``Call`` or all ``Feed``.

        The cases of a function share one process, so its globals live from case to case; after a
        case that hangs or dies a new one goes on. A program is started anew for each input.

        Args:
            program: Python source.
            cases: what it is asked.
            seconds: processor seconds of one case, and of loading.
            memory: bytes the candidate may allocate.

        Returns:
            One observation for each case, in order.

        Raises:
            UsageError: cases of both kinds, arguments that are no plain data, or more memory than
                the box has.
            InfrastructureError: the box died, which is never the candidate's fault; the next run
                gets a new one.
        """
        if not cases:
            return []
        self._check_memory(memory)
        request = self._request(program, cases, seconds, memory)
        patience = request["patience"] * (len(cases) + 1 + self.config.restarts)
        async with self._turn:
            row = await self._ask(request, patience + _GRACE_SECONDS)
        return read_observations(row, request["kind"], len(cases))

    async def check(
        self,
        program: str,
        tests: str,
        *,
        entry: str = "",
        seconds: float = 2.0,
        memory: int = 256 << 20,
    ) -> list[Checked]:
        """Run tests that are a program; they get a process of their own, in another namespace.

        The function they test crosses over: its arguments and results are plain data.

        Args:
            program: Python source of the candidate.
            tests: Python source with ``check(candidate)``, or functions ``test_…`` without
                parameters; ``from solution import f`` works, as does the name of ``entry`` itself.
            entry: name of the function, handed to ``check``.
            seconds: processor seconds of one test, of both processes together.
            memory: bytes each of them may allocate.

        Returns:
            One row for each test in the order of the source; tests that were not reached have none,
            and a last row that failed says why.

        Raises:
            TaskError: the tests cannot be run so.
            InfrastructureError: the box died.
        """
        self._check_memory(memory)
        self._number += 1
        request: dict[str, Any] = {
            "number": self._number, "kind": "checks", "program": program, "tests": tests,
            "entry": entry, "seconds": seconds, "memory": memory,
            "patience": seconds * self.config.patience, "output": self.config.output_bytes,
        }  # fmt: skip
        async with self._turn:
            row = await self._ask(request, 1000 * request["patience"] + _GRACE_SECONDS)
        return read_checks(row)

    def _check_memory(self, memory: int) -> None:
        if 2 * memory + (256 << 20) > self.config.box_bytes:
            what = f"a run with {memory} bytes of memory does not fit twice into the box"
            raise UsageError(what, mend="raise WarmBoxConfig.box_bytes, or lower the limit")

    def _request(
        self, program: str, cases: Sequence[Call | Feed], seconds: float, memory: int
    ) -> dict[str, Any]:
        rows: list[Any]
        try:
            if all(isinstance(case, Call) for case in cases):
                kind = "calls"
                rows = [
                    [c.function, plain.dumps(list(c.args)), plain.dumps(dict(c.kwargs))]
                    for c in cases
                    if isinstance(c, Call)
                ]
            else:
                kind, rows = "feeds", [c.text for c in cases if isinstance(c, Feed)]
        except plain.Unplain as exc:
            what = f"an argument cannot be handed to a candidate: {exc}"
            raise UsageError(what, mend="use builtin values only") from exc
        if len(rows) != len(cases):
            what = "the cases of one run are of two kinds"
            raise UsageError(what, mend="give only Call or only Feed")
        self._number += 1
        return {
            "number": self._number,
            "kind": kind,
            "program": program,
            "cases": rows,
            "seconds": seconds,
            "memory": memory,
            "patience": seconds * self.config.patience,
            "output": self.config.output_bytes,
            "restarts": self.config.restarts,
        }

    async def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """One answer of the server, or no box any more."""
        try:
            job = await self._live()
            await job.send(_frame(request))
            async with asyncio.timeout(timeout):
                return await self._answer(request["number"])
        except TimeoutError as exc:
            await self._drop()
            what = "the box of candidates fell silent"
            raise InfrastructureError(what) from exc
        except BaseException:  # cancelled too: half a request may stand in the pipe
            await self._drop()
            raise

    async def _answer(self, number: int) -> dict[str, Any]:
        assert self._lines is not None
        try:
            row: dict[str, Any] = json.loads(await anext(self._lines))
        except (StopAsyncIteration, ValueError) as exc:
            what = "the box of candidates is gone"
            raise InfrastructureError(what, where=self._last_words()) from exc
        if row.get("number") != number:
            what = "the box of candidates lost a run"
            raise InfrastructureError(what, where=str(row)[:300])
        return row

    async def _live(self) -> Job:
        """The server's job, started if need be."""
        if self._job is not None:
            return self._job
        self._provider = self._provider or make_provider("namespace")
        spec = BoxSpec(
            binds=_BINDS,
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            workdir="/tmp",
            limits=Limits(memory_bytes=self.config.box_bytes, pids=256),
            nested=True,
        )
        self._box = await self._provider.create(spec)
        python = str(Path(sys.executable).resolve())
        env = {"PYTHONHASHSEED": "0", "PYTHONPATH": ""}
        argv = [python, "-P", "-s", "-c", _START]
        self._job = await self._box.start(argv, env=env, interactive=True, channel=True)
        opening = {
            "seccomp": base64.b64encode(judge_program()).decode(),
            "warm": list(self.config.warm),
        }
        await self._job.send(_frame(opening))
        self._lines = self._job.messages()
        try:
            row = json.loads(await asyncio.wait_for(anext(self._lines), _READY_SECONDS))
        except (StopAsyncIteration, TimeoutError, ValueError) as exc:
            what = "the box of candidates did not start"
            raise InfrastructureError(what, where=self._last_words()) from exc
        assert "ready" in row
        return self._job

    def _last_words(self) -> str:
        assert self._job is not None
        return self._job.output()[1][-600:].decode(errors="replace").strip() or "no message"

    async def _drop(self) -> None:
        box, self._box, self._job, self._lines = self._box, None, None, None
        if box is not None:
            await asyncio.shield(box.close())


def _frame(row: dict[str, Any]) -> bytes:
    data = json.dumps(row).encode()
    return struct.pack("<I", len(data)) + data
