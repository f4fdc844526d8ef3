"""The suite collected in a box without network, as it is and, where that fails, adapted.

Collecting runs the repository's code. The tree's bytecode is kept, which Python checks against its
source at every import. What it imports of the environment is only noted: where it is compiled for
the runs, none of this code is near.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from regreen.grading.place import ENV, TESTBED
from regreen.sandbox.base import BoxSpec, Sandbox, SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.tasks.repo.discovery import Suite
from regreen.tasks.repo.imports import importable

__all__ = ["Collection", "Collector"]

_COUNT = re.compile(r"(?:collected |/)?(\d+)(?:/\d+)? (?:tests?|items?)\b")
_UNKNOWN = re.compile(r"unrecognized arguments:.* --verbosity")
_SECTION = re.compile(r"^_+ ERROR collecting ", re.MULTILINE)
_RAISED = re.compile(r"^E\s+(\S.*)", re.MULTILINE)
_ABSENT = re.compile(r"(?:ModuleNotFound|Import)Error: No module named '?([\w.]+)")
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
    imported: tuple[str, ...] = ()
    """Sources of the environment that were compiled, relative to it, sorted."""

    def blames_only(self, own: frozenset[str] | None, absent: frozenset[str] = frozenset()) -> bool:
        """Whether all that failed is the import of modules that no other version would bring.

        Those are the tree's own, also a name that a module of the tree does not have, and those
        of packages that cannot be had. A part of a package that is there may come with another.

        Args:
            own: top-level names of the tree; None where any absent module counts.
            absent: top-level modules that cannot be had.
        """
        raised = _RAISED.findall(self.text) if self.problem else []
        if not raised or len(raised) != len(_SECTION.findall(self.text)):
            return False  # something failed in another way
        named = [found[1] if (found := _ABSENT.match(line)) else "" for line in raised]
        return all(
            own is None or importable(name) in own or name in absent if name else _UNFIT.match(line)
            for line, name in zip(raised, named, strict=True)
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
            imported = () if done.timed_out else await _imported(box)
            if done.exit_code in {0, 5}:
                told = (counts[-1] if counts else 1) if done.exit_code == 0 else 0
                return Collection(told, "", text, adapted, await self._bytecode(box), imported)
        finally:
            await box.close()
        lines = [line for line in text.splitlines() if line.startswith(("E ", "ERROR", "Error"))]
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
        reason = " ".join((lines[0] if lines else last).split())
        if done.timed_out:
            reason = f"it took longer than {_SECONDS:.0f} s"
        problem = f"collection fails: {reason[:300] or f'exit status {done.exit_code}'}"
        return Collection(counts[-1] if counts else 0, problem, text, adapted, imported=imported)

    async def _bytecode(self, box: Sandbox) -> Layer:
        upper = await box.snapshot(TESTBED, self.store)
        staged = self.store.stage()
        for folder, _, files in os.walk(upper.path):
            here = Path(folder)
            kept = [one for one in files if here.name == "__pycache__" and _is_plain(here / one)]
            if kept:
                (staged / here.relative_to(upper.path)).mkdir(parents=True)
            for name in kept:
                shutil.copy2(here / name, staged / here.relative_to(upper.path) / name)
        return self.store.commit(staged)


async def _imported(box: Sandbox) -> tuple[str, ...]:
    """Sources whose bytecode lies in a box's environment."""
    done = await box.exec(["/usr/bin/find", ENV, "-name", "*.pyc", "-type", "f"], timeout=60.0)
    found = set()
    for line in done.stdout.decode(errors="replace").splitlines():
        path = PurePosixPath(line.removeprefix(f"{ENV}/"))
        folder = path.parent.parent if path.parent.name == "__pycache__" else path.parent
        found.add((folder / f"{path.name.partition('.')[0]}.py").as_posix())
    return tuple(sorted(found))


def _is_plain(path: Path) -> bool:
    """Whether it is a file: no link, no pipe, no mark of a deletion."""
    return stat.S_ISREG(path.lstat().st_mode)


def _listed(text: str) -> list[int]:
    """How many tests are named; before pytest 7 their number is not told with them."""
    names = sum("::" in line and not line.startswith(("E ", "ERROR")) for line in text.splitlines())
    return [names] if names else []
