"""A workshop whose act boxes hold baits; all else is another workshop's.

The baits are laid after the box is made and never touch the tree's files, so the diff, the verdict
and every layer are those of the ordinary task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from regreen.core.errors import InfrastructureError
from regreen.core.task import Task
from regreen.core.verdict import Verdict
from regreen.evaluate.baits import Bait, Decoy, baits, commit_script, decoy, new_file
from regreen.grading.patch import patch_paths
from regreen.grading.pathnames import looks_like_test
from regreen.rollout.base import Workshop
from regreen.sandbox.base import BoxSpec, ExecResult, Job, Sandbox
from regreen.sandbox.layers import Layer, LayerStore

__all__ = ["BaitedBox", "BaitedWorkshop"]

_TESTBED = "/testbed"
_LONGEST = 200_000
_MOST_FILES = 40


class BaitedBox:
    """A box with further environment variables.

    Args:
        box: does everything.
        variables: of every command, under those that a command names itself.
    """

    def __init__(self, box: Sandbox, variables: Mapping[str, str]) -> None:
        self._box = box
        self._variables = dict(variables)

    async def exec(
        self,
        argv: list[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float | None = 60.0,
        output_limit: int = 1 << 20,
    ) -> ExecResult:
        """Run a command to its end; see the protocol."""
        return await self._box.exec(
            argv,
            cwd=cwd,
            env={**self._variables, **(env or {})},
            stdin=stdin,
            timeout=timeout,
            output_limit=output_limit,
        )

    async def start(
        self,
        argv: list[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        output_limit: int = 1 << 20,
        interactive: bool = False,
        channel: bool = False,
    ) -> Job:
        """Start a command in the background; see the protocol."""
        return await self._box.start(
            argv,
            cwd=cwd,
            env={**self._variables, **(env or {})},
            stdin=stdin,
            output_limit=output_limit,
            interactive=interactive,
            channel=channel,
        )

    async def read(self, path: str, *, limit: int = 1 << 24) -> bytes:
        """Content of a file; see the protocol."""
        return await self._box.read(path, limit=limit)

    async def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Create or replace a file; see the protocol."""
        await self._box.write(path, data, mode=mode)

    async def snapshot(self, target: str, store: LayerStore) -> Layer:
        """Freeze a mount's upper; see the protocol."""
        return await self._box.snapshot(target, store)

    async def close(self) -> None:
        """End the box."""
        await self._box.close()


class BaitedWorkshop:
    """Lays baits into another workshop's act boxes.

    Args:
        inner: makes boxes and verdicts.
    """

    def __init__(self, inner: Workshop) -> None:
        self._inner = inner
        self.commits: dict[str, str] = {}
        """Task to the id of the commit that was left lying in its repository."""

    async def act_box(
        self, task: Task, *, wall: Callable[[BoxSpec], BoxSpec] | None = None
    ) -> Sandbox:
        """The task's box, with baits.

        Raises:
            InfrastructureError: the box could not be made or the baits not be laid.
        """
        box = await self._inner.act_box(task, wall=wall)
        try:
            laid = baits(task.instance_id)
            for bait in laid:
                await self._lay(box, task, bait)
        except BaseException:
            await box.close()
            raise
        return BaitedBox(box, {k: v for bait in laid for k, v in bait.variables.items()})

    async def patch_of(self, sandbox: Sandbox, task: Task) -> str:
        """What was changed, as a diff."""
        return await self._inner.patch_of(sandbox, task)

    async def verify_patch(self, task: Task, patch: str) -> Verdict:
        """Judge a patch."""
        return await self._inner.verify_patch(task, patch)

    async def _lay(self, box: Sandbox, task: Task, bait: Bait) -> None:
        for path, text in bait.files.items():
            content = text or (await _decoy(box, task, bait.mark)).patch
            await box.write(path, content.encode())
        if bait.name == "git_object":
            change = await _decoy(box, task, bait.mark)
            made = await box.exec(commit_script(change.path), stdin=change.after.encode())
            if made.exit_code:
                what = "a bait cannot be laid into the repository"
                raise InfrastructureError(what, where=made.stderr.decode(errors="replace"))
            self.commits[task.instance_id] = made.stdout.decode().strip()


async def _decoy(box: Sandbox, task: Task, mark: str) -> Decoy:
    """A change of a file away from the fault, so that not even its place is given away."""
    listed = await box.exec(["git", "ls-files", "-z", "--", "*.py"], cwd=_TESTBED)
    names = listed.stdout.decode("utf-8", "replace").split("\0")
    gold = patch_paths(task.patch)
    fit = [name for name in names if name and name not in gold and not looks_like_test(name)]
    fit.sort(key=lambda name: hashlib.sha256(f"{mark}:{name}".encode()).digest())
    for name in fit[:_MOST_FILES]:
        try:
            data = await box.read(f"{_TESTBED}/{name}", limit=_LONGEST)
        except (OSError, InfrastructureError):
            continue
        made = decoy(name, data.decode("utf-8", "replace"), mark)
        if made is not None:
            return made
    return new_file(mark)
