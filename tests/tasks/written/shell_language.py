"""POSIX shell as a second language, whole in this file.

Functions stand in ``lib/*.sh`` with their documentation as the first comments of their bodies;
tests are functions ``test_*`` of ``tests/*.sh``, and pass when they end with status 0.
"""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

from regreen.core.errors import TaskError, UsageError
from regreen.core.verdict import Outcome
from regreen.grading.place import TESTBED, Place
from regreen.grading.suite import SuiteRun, TestRecord, TestRequest
from regreen.sandbox.base import SandboxProvider
from regreen.tasks.language import Fault, Function, Sources

_FUNCTION = re.compile(r"^(\w+)\(\) \{\n((?:[ \t]*#[^\n]*\n)*)(.*?)^\}", re.MULTILINE | re.DOTALL)
_BRANCH = re.compile(r"\b(?:if|elif|while|until|for)\b|&&|\|\||;;")


class Shell:
    """See the ``Language`` protocol."""

    name = "shell"
    comment = r"#(.*)"
    forged = "\nprintf '1000 passed\\n'\n"
    command = "for file in {files}; do sh ./$file || exit 1; done"

    def sources(self, tree: Path, *, where: str = "") -> Sources:
        found = {
            side: tuple(sorted(p.relative_to(tree).as_posix() for p in tree.glob(f"{side}/*.sh")))
            for side in ("lib", "tests")
        }
        if not found["tests"]:
            raise TaskError("no tests were found", where=where)
        return Sources(library=found["lib"], tests=found["tests"], paths=found["tests"])

    def runner(
        self,
        place: Place,
        *,
        provider: SandboxProvider,
        workers: int = 2,
        warm: tuple[str, ...] = (),
    ) -> ShellRunner:
        return ShellRunner(place, provider)

    def functions(self, path: str, text: str) -> tuple[Function, ...]:
        _check(path, text)
        return tuple(_function(found, text) for found in _FUNCTION.finditer(text))

    def blank(self, text: str, function: Function) -> str:
        lines = text.splitlines(keepends=True)
        return "".join(
            [*lines[: function.body_line - 1], "    :\n", *lines[function.end_line - 1 :]]
        )

    def faults(self, path: str, before: str, after: str) -> tuple[Fault, ...]:
        try:
            _check(path, after)
        except UsageError as error:
            return (Fault("unreadable", error.what),)
        same = _meaning(before) == _meaning(after)
        return (Fault("unchanged", "only comments or layout are changed"),) if same else ()

    def declaration(self, text: str, name: str) -> str:
        found = (one[0] for one in _FUNCTION.finditer(text) if one[1] == name)
        return next(found, "")


class ShellRunner:
    """Runs test functions one by one, each request in a fresh box."""

    def __init__(self, place: Place, provider: SandboxProvider) -> None:
        self.place = place
        self.provider = provider
        self.cpu = 0.0

    async def run(self, request: TestRequest, *, hash_seed: int = 0) -> SuiteRun:
        tests = list(self._all(request.paths) if request.tests is None else request.tests)
        if request.order_seed is not None:
            random.Random(request.order_seed).shuffle(tests)
        box = await self.provider.create(self.place.spec(runner=False))
        records = {}
        try:
            for path, data in request.files.items():
                await box.write(f"{TESTBED}/{path}", data or b"")
            for test in tests:
                file, _, name = test.partition("::")
                script = f'. "./{file}" && {name}'
                done = await box.exec(["sh", "-c", script], timeout=request.test_timeout)
                outcome = Outcome.FAILED if done.exit_code else Outcome.PASSED
                said = (done.stdout + done.stderr).decode(errors="replace")
                records[test] = TestRecord(
                    outcome=Outcome.TIMEOUT if done.timed_out else outcome,
                    seconds=done.seconds,
                    cpu=0.001,
                    message="" if outcome.passed else said,
                )
                self.cpu += done.seconds
        finally:
            await box.close()
        return SuiteRun(tests=records, collected=tuple(tests), status=0, cpu=0.001 * len(tests))

    def _all(self, paths: tuple[str, ...]) -> list[str]:
        texts = ((path, (self.place.tree[-1] / path).read_text()) for path in paths)
        return [
            f"{path}::{found[1]}"
            for path, text in texts
            for found in _FUNCTION.finditer(text)
            if found[1].startswith("test_")
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _function(found: re.Match[str], text: str) -> Function:
    line = text.count("\n", 0, found.start()) + 1
    return Function(
        name=found[1],
        start=found.start(),
        end=found.end(),
        line=line,
        body_line=line + 1 + found[2].count("\n"),
        end_line=line + found[0].count("\n"),
        signature=f"{found[1]}()",
        docs=re.sub(r"^[ \t]*# ?", "", found[2], flags=re.MULTILINE).strip(),
        complexity=1 + len(_BRANCH.findall(found[3])),
    )


def _check(path: str, text: str) -> None:
    done = subprocess.run(
        ["sh", "-n"], input=text.encode(), capture_output=True, check=False, timeout=10
    )
    if done.returncode:
        raise UsageError("it is not valid shell", where=f"{path}: {done.stderr.decode().strip()}")


def _meaning(text: str) -> list[str]:
    lines = (re.sub(r"(?:^|\s)#.*", "", line).split() for line in text.splitlines())
    return [" ".join(words) for words in lines if words]
