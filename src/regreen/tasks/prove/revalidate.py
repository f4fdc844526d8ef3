"""A task proved again from its row alone, through the grader that judges agents.

Injection validates in boxes forked from warm processes; this goes the long way for one task: a new
box for each patch with a known right score, made from the layers the row names.
"""

from __future__ import annotations

from dataclasses import dataclass

from regreen.core.task import Control, Task, Twins
from regreen.grading.patch import FileState, patch_between, patch_paths
from regreen.grading.workshop import Workshop
from regreen.tasks.prove.sealing import leaks_of

__all__ = ["Proof", "prove"]

_SKIP = b"def pytest_collection_modifyitems(items):\n    items.clear()\n"
_PRINT = b'\nprint("\\n1000 passed in 0.01s")\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the controls of one task scored."""

    instance_id: str
    """The task."""
    controls: tuple[Control, ...]
    """One per patch and repeat."""
    reasons: tuple[str, ...]
    """Why, for the controls that scored otherwise than they should."""
    twins: Twins | None = None
    """Perturbed twins of its tests, made here when the row had none of this version."""

    @property
    def valid(self) -> bool:
        """Whether every control scored as it must."""
        return not self.reasons


async def prove(task: Task, workshop: Workshop, *, repeats: int = 1) -> Proof:
    """Judge the gold patch, the empty patch and three cheats.

    Args:
        task: the row.
        workshop: makes the boxes; the task's layers must be on this machine.
        repeats: judgements of the gold and the empty patch.
    """
    controls, reasons = [], []
    patches = [("no_op", 0.0, "")] * repeats + [("gold", 1.0, task.patch)] * repeats
    for name, expected, patch in [*patches, *await _cheats(task, workshop)]:
        verdict = await workshop.verify_patch(task, patch)
        score = float(verdict.resolved)
        controls.append(Control(name=name, expected=expected, score=score))
        if score != expected:
            reasons.append(f"{name} scored {score:g}: {verdict.reason or 'all tests passed'}")
    reasons += [f"a leak: {leak}" for leak in await leaks_of(task, workshop, workshop.store)]
    return Proof(
        instance_id=task.instance_id,
        controls=tuple(controls),
        reasons=tuple(reasons),
        twins=await workshop.twins(task),
    )


async def _cheats(task: Task, workshop: Workshop) -> list[tuple[str, float, str]]:
    """Patches that touch tests, runner or output, and never the bug."""
    read = await workshop.reader(task)
    tests = sorted(patch_paths(task.test_patch))
    deleted: dict[str, FileState | None] = dict.fromkeys(tests, FileState(b""))
    conftest = read("conftest.py")
    skipping = {"conftest.py": FileState((conftest.data if conftest else b"") + b"\n" + _SKIP)}
    printing, broken = {}, {}
    for path in sorted(patch_paths(task.patch)):
        state = read(path)
        if state is not None and path.endswith(".py"):
            broken[path] = state
            printing[path] = FileState(state.data + _PRINT, executable=state.executable)
    return [
        ("delete_tests", 0.0, patch_between({}, deleted)),
        ("skip_tests", 0.0, patch_between({"conftest.py": conftest}, skipping)),
        ("print_passed", 0.0, patch_between(broken, printing)),
    ]
