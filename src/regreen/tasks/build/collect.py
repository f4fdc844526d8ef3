"""The suite collected in a box without network, as it is and, where that fails, adapted.

Collecting runs the repository's code. What it compiles is kept, of the tree and of the environment:
that spares every later run of the tests a part of its start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from regreen.grading.place import ENV, TESTBED
from regreen.sandbox.base import BoxSpec, Sandbox, SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.tasks.build.bytecode import keep_tree
from regreen.tasks.repo.discovery import Suite

__all__ = ["Collection", "Collector"]

_COUNT = re.compile(r"(?:collected |/)?(\d+)(?:/\d+)? (?:tests?|items?)\b")
_UNKNOWN = re.compile(r"unrecognized arguments:.* --verbosity")
_RAISED = re.compile(r"^E\s+((?:\w+\.)*\w*(?:Error|Exception|Warning)\b.*)", re.MULTILINE)
_ABSENT = re.compile(r"(?:ModuleNotFound|Import)Error: No module named '?(\w+)")
_UNFIT = re.compile(rf"ImportError: cannot import name .*\({TESTBED}/")
_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Collection:
    """What pytest collected."""

    count: int
    """Tests; 1 when pytest collected some and told no number."""
    problem: str
    """Why something could not be collected; empty when everything was."""
    text: str
    """What pytest printed."""
    adapted: bool = False
    """Whether it was collected adapted."""
    bytecode: Layer | None = None
    """What was compiled of the tree; None when something could not be collected."""
    compiled: Layer | None = None
    """What was written over the environment, bytecode most of all; None when it took too long."""

    def blames_only(self, absent: frozenset[str] | None) -> bool:
        """Whether all that failed is the import of modules that are not there.

        A part that a module of the tree does not have counts as one. No other version of a package
        changes that, nor does what is put back for old code.

        Args:
            absent: top-level names that cannot be had; None where any name counts.
        """
        raised = _RAISED.findall(self.text) if self.problem else []
        return bool(raised) and all(
            (absent is None or found[1] in absent) if found else _UNFIT.match(line)
            for line in raised
            for found in [_ABSENT.match(line)]
        )

    def beats(self, other: Collection) -> bool:
        """Whether it shows more of the suite than another attempt."""
        return bool(other.problem) and (not self.problem or self.count > other.count)


@dataclass(frozen=True, slots=True)
class Collector:
    """Collects one suite, again and again as its environment changes.

    Args:
        provider: makes the boxes.
        store: takes the bytecode.
        suite: what to collect.
        plain: description of the box.
        adapted: of the same box with the standard library as it was; None where it is not wanted.
        own: top-level names of the repository's packages and modules.
    """

    provider: SandboxProvider
    store: LayerStore
    suite: Suite
    plain: BoxSpec
    adapted: BoxSpec | None = None
    own: frozenset[str] = frozenset()

    async def look(self) -> Collection:
        """Collect; where that fails and it is wanted, adapted as well. The better one counts."""
        found = await self._collect(self.plain, adapted=False)
        hopeless = "SyntaxError" in found.text or found.blames_only(None)
        if found.problem and self.adapted and not hopeless:
            other = await self._collect(self.adapted, adapted=True)
            return other if other.beats(found) else found
        return found

    async def _collect(self, spec: BoxSpec, *, adapted: bool) -> Collection:
        argv = [f"{ENV}/bin/python", "-m", "pytest", "--collect-only", "-p", "no:cacheprovider"]
        box = await self.provider.create(spec)
        try:
            # the verbosity is set, not lowered: a -q of the project's own would hide the count
            for quiet in ("--verbosity=-1", "-q"):
                done = await box.exec([*argv, quiet, *self.suite.command.args], timeout=_SECONDS)
                text = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
                if not _UNKNOWN.search(text):  # before pytest 3.9
                    break
            counts = [int(one) for one in _COUNT.findall(text[-2000:])] or _listed(text)
            compiled = None if done.timed_out else await box.snapshot(ENV, self.store)
            if done.exit_code in {0, 5}:
                told = (counts[-1] if counts else 1) if done.exit_code == 0 else 0
                return Collection(told, "", text, adapted, await self._bytecode(box), compiled)
        finally:
            await box.close()
        lines = [line for line in text.splitlines() if line.startswith(("E ", "ERROR", "Error"))]
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
        reason = " ".join((lines[0] if lines else last).split())
        if done.timed_out:
            reason = f"it took longer than {_SECONDS:.0f} s"
        problem = f"collection fails: {reason[:300] or f'exit status {done.exit_code}'}"
        return Collection(counts[-1] if counts else 0, problem, text, adapted, compiled=compiled)

    async def _bytecode(self, box: Sandbox) -> Layer:
        upper = await box.snapshot(TESTBED, self.store)
        staged = self.store.stage()
        keep_tree(upper.path, staged)
        return self.store.commit(staged)


def _listed(text: str) -> list[int]:
    """How many tests are named; before pytest 7 their number is not told with them."""
    names = sum("::" in line and not line.startswith(("E ", "ERROR")) for line in text.splitlines())
    return [names] if names else []
