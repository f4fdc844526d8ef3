"""Tasks that a script decides: one exit status in a fresh box, in any language.

The script is handed to the shell as text and never lies in the box as a file, because a shell reads
a file while it runs it: what is judged could write further lines. Nothing it prints is looked at.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from regreen.core.errors import InfrastructureError
from regreen.core.task import Task
from regreen.core.verdict import Verdict
from regreen.grading.place import TESTBED, Place
from regreen.sandbox.base import Mount, SandboxProvider

__all__ = ["MAX_SCRIPT_BYTES", "WORKSPACE", "ScriptRun", "decided_by_script", "run_script", "score"]

WORKSPACE = "/workspace"
"""Empty and writable beside the tree, for what a script makes."""
MAX_SCRIPT_BYTES = 100_000
"""A longer text cannot be handed to a shell as one argument (Linux allows 128 KiB)."""
_START = 'exec 2>&1; exec bash -c "$1" "$2"'
_TAIL = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRun:
    """One run of a script."""

    exit_code: int
    """Its exit status; 124 when the time limit ended it."""
    tail: str
    """The end of what it printed."""
    seconds: float
    """Wall seconds."""
    timed_out: bool = False
    """Whether the time limit ended it."""

    @property
    def passed(self) -> bool:
        """Whether it said: resolved."""
        return self.exit_code == 0 and not self.timed_out


def decided_by_script(task: Task) -> bool:
    """Whether a task names no test and has a script of the building agent in their place."""
    return task.source == "built" and bool(task.eval_script) and not task.FAIL_TO_PASS


async def run_script(
    provider: SandboxProvider,
    place: Place,
    over: tuple[Path, ...],
    script: str,
    *,
    files: Mapping[str, bytes | None] | None = None,
    seconds: float,
    hash_seed: int = 0,
) -> ScriptRun:
    """Run a script once, in a box of its own without network.

    Args:
        provider: makes the box.
        place: the tree and the environment.
        over: lowers on top of the tree.
        script: text for bash; it starts in the tree.
        files: put into the tree first; None removes one.
        seconds: wall seconds until its whole process tree is killed.
        hash_seed: ``PYTHONHASHSEED``, for scripts that start a Python.

    Raises:
        InfrastructureError: the box failed, or the files cannot be put in place.
    """
    spec = place.spec(over=over, runner=False, variables={"PYTHONHASHSEED": str(hash_seed)})
    workspace = Mount(target=WORKSPACE, lowers=())
    box = await provider.create(replace(spec, mounts=(*spec.mounts, workspace)))
    try:
        for path, data in (files or {}).items():
            target = f"{TESTBED}/{path}"
            if data is not None:
                await box.write(target, data)
            elif (await box.exec(["rm", "-rf", "--", target])).exit_code:
                msg = "a test file cannot be removed before a script runs"
                raise InfrastructureError(msg, where=shlex.quote(path))
        argv = ["bash", "-c", _START, "bash", script, f"{WORKSPACE}/evaluation.sh"]
        ran = await box.exec(argv, timeout=seconds, output_limit=8 * _TAIL)
    finally:
        await box.close()
    text = ran.stdout.decode("utf-8", "replace")
    return ScriptRun(
        exit_code=ran.exit_code,
        tail=text[-_TAIL:],
        seconds=round(ran.seconds, 3),
        timed_out=ran.timed_out,
    )


def score(run: ScriptRun) -> Verdict:
    """The verdict of a run: there are no tests to tell apart, so the reason is the status."""
    last = run.tail.strip().rpartition("\n")[2][:300]
    reason = "the script ran out of time" if run.timed_out else f"it ended with {run.exit_code}"
    return Verdict(
        resolved=run.passed,
        fail_to_pass={},
        pass_to_pass={},
        reason="" if run.passed else f"{reason}: {last}" if last else reason,
        seconds=run.seconds,
    )
