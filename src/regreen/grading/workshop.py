"""Boxes and verdicts of tasks: the act box an agent works in, and the fresh box that judges.

The two never share anything but read-only layers. What the agent did is taken from the upper of
its overlay, as a patch, and that patch alone reaches the judge's box.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from regreen.core.errors import InfrastructureError, PrerequisiteError, TaskError
from regreen.core.task import Environment, Task, base_message
from regreen.core.verdict import Verdict
from regreen.grading.grade import grade, unresolved
from regreen.grading.patch import FileState, apply_patch, patch_between
from regreen.grading.place import TESTBED, Place, compile_environment
from regreen.grading.protect import Protection
from regreen.grading.runner import run_alone
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.sandbox.base import Limits, Sandbox, SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.sandbox.overlay import merged_file, merged_tree, read_changes, write_layer

__all__ = ["Workshop"]

_COMMIT = """set -e
export GIT_AUTHOR_NAME=regreen GIT_AUTHOR_EMAIL=regreen@localhost
export GIT_COMMITTER_NAME=regreen GIT_COMMITTER_EMAIL=regreen@localhost
export GIT_AUTHOR_DATE="$1" GIT_COMMITTER_DATE="$1"
git -c init.defaultBranch=main init -q
git config user.name regreen
git config user.email regreen@localhost
git config core.hooksPath /dev/null
git config gc.auto 0
git add -A -f
git commit -q --no-verify -m "$2"
rm -rf .git/hooks .git/logs .git/description .git/COMMIT_EDITMSG
mkdir -p .git/info
cat >.git/info/exclude
"""


_DROPPINGS = frozenset(
    ("__pycache__", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache")
)
"""Directories that tools leave; what lies in them is nobody's repair."""


class Workshop:
    """Makes the boxes of tasks' stages and judges patches.

    Args:
        provider: makes boxes.
        store: holds the layers the tasks name.
        limits: of every box.
        test_timeout: wall seconds of one test when judging.
        total_timeout: wall seconds of a whole judgement.
    """

    def __init__(
        self,
        provider: SandboxProvider,
        store: LayerStore,
        *,
        limits: Limits | None = None,
        test_timeout: float = 60.0,
        total_timeout: float = 1800.0,
    ) -> None:
        self.provider = provider
        self.store = store
        self.limits = limits or Limits()
        self.test_timeout = test_timeout
        self.total_timeout = total_timeout
        self._locks: dict[str, asyncio.Lock] = {}

    def missing(self, task: Task) -> tuple[str, ...]:
        """Layers of a task that this machine does not hold."""
        environment = _environment(task)
        wanted = (environment.repo_layer, environment.env_layer, environment.build_layer)
        return tuple(digest for digest in wanted if digest and not self.store.get(digest))

    async def place(self, task: Task) -> Place:
        """Where the task's healthy tree and environment lie.

        Raises:
            PrerequisiteError: a layer is not on this machine.
        """
        environment = _environment(task)
        if self.missing(task):
            msg = f"the environment of {task.instance_id} is not on this machine"
            raise PrerequisiteError(
                msg, where=environment.source, mend="regreen tasks validate TASKS builds it"
            )
        env = self._layer(environment.env_layer)
        async with self._lock(env.digest):
            lowers = await compile_environment(env, store=self.store, provider=self.provider)
        build = (self._layer(environment.build_layer).path,) if environment.build_layer else ()
        return Place(
            tree=(*build, self._layer(environment.repo_layer).path), env=lowers, limits=self.limits
        )

    async def reader(self, task: Task) -> Callable[[str], FileState | None]:
        """Reads files of the tree an agent starts from."""
        place = await self.place(task)
        return _reader((self._broken(task, place).path, *place.tree))

    async def act_box(self, task: Task) -> Sandbox:
        """A box with the task's broken tree as a one-commit repository, hidden tests absent."""
        place = await self.place(task)
        broken = self._broken(task, place)
        history = await self._history(task, place, broken)
        return await self.provider.create(
            place.spec(over=(history.path, broken.path), env_writable=True, runner=False)
        )

    async def patch_of(self, sandbox: Sandbox, task: Task) -> str:
        """What the agent changed below /testbed, as a git patch; its own git data left out."""
        place = await self.place(task)
        lowers = (self._broken(task, place).path, *place.tree)
        upper = await sandbox.snapshot(TESTBED, self.store)
        after = {
            path: state for path, state in _states(upper.path, lowers).items() if _counts(path)
        }
        read = _reader(lowers)
        before = {path: read(path) for path in after}
        return patch_between(before, after)

    async def verify_patch(self, task: Task, patch: str) -> Verdict:
        """Judge a patch: broken tree, patch, tests restored, run in a fresh box."""
        place = await self.place(task)
        broken = self._broken(task, place)
        lowers = (broken.path, *place.tree)
        try:
            changes = apply_patch(patch, _reader(lowers))
        except TaskError as exc:
            return unresolved(task, f"{exc.what}: {exc.where}")
        protection = Protection.of_task(task)
        kept = {path: state for path, state in changes.items() if not protection.covers(path)}
        kept.update(apply_patch(task.test_patch, _reader(lowers)))
        layer = self._stack(kept)
        begin = time.monotonic()
        request = TestRequest(
            tests=(*task.FAIL_TO_PASS, *task.PASS_TO_PASS),
            test_timeout=self.test_timeout,
            total_timeout=self.total_timeout,
        )
        run = await self._run(place, (layer.path, broken.path), request)
        return grade(task, run, seconds=time.monotonic() - begin)

    async def _run(self, place: Place, over: tuple[Path, ...], request: TestRequest) -> SuiteRun:
        """A plain box; where the tests killed the runner itself, one they cannot look out of."""
        try:
            box = await self.provider.create(place.spec(over=over))
            return await run_alone(box, request, isolate=False)
        except InfrastructureError:
            spec = place.spec(over=over, writable=False, nested=True)
            return await run_alone(await self.provider.create(spec), request, isolate=True)

    def _broken(self, task: Task, place: Place) -> Layer:
        """The layer that turns the healthy tree into the task's base: bug in, hidden tests out."""
        key = f"broken:1:{task.base_commit}:{_environment(task).repo_layer}"
        known = self.store.alias(key)
        if known is None:
            read = _reader(place.tree)
            changes = dict(apply_patch(task.patch, read, reverse=True))
            changes.update(apply_patch(task.test_patch, read, reverse=True))
            known = self._stack(changes)
            self.store.remember(key, known)
        return known

    def _stack(self, changes: Mapping[str, FileState | None]) -> Layer:
        """Changes as a lower: files, and whiteouts for what is gone."""
        staged = self.store.stage()
        write_layer(staged, {path: None for path, state in changes.items() if state is None})
        for path, state in changes.items():
            if state is not None:
                state.write(staged / path)
        return self.store.commit(staged)

    async def _history(self, task: Task, place: Place, broken: Layer) -> Layer:
        """``.git`` with the base tree as its only commit, made once per task."""
        key = f"history:1:{task.base_commit}"
        async with self._lock(key):
            known = self.store.alias(key)
            if known is not None:
                return known
            build = len(place.tree) - 1
            box = await self.provider.create(
                Place(tree=place.tree[build:], env=place.env, limits=self.limits).spec(
                    over=(broken.path,), runner=False
                )
            )
            try:
                when = task.created_at or "2000-01-01T00:00:00+00:00"
                done = await box.exec(
                    ["sh", "-c", _COMMIT, "sh", when, base_message(task.repo)],
                    stdin=_excluded(place).encode(),
                    timeout=120,
                )
                if done.exit_code:
                    msg = "the task's repository could not be made"
                    raise InfrastructureError(msg, where=done.stderr.decode(errors="replace"))
                upper = await box.snapshot(TESTBED, self.store)
            finally:
                await box.close()
            self.store.remember(key, upper)
            return upper

    def _layer(self, digest: str) -> Layer:
        layer = self.store.get(digest)
        assert layer is not None, "missing() was asked first"
        return layer

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())


def _excluded(place: Place) -> str:
    """Patterns that keep what the installation left in the tree out of ``git status``."""
    names = [
        path.relative_to(layer).as_posix()
        for layer in place.tree[:-1]
        for path in sorted(layer.rglob("*"))
        if path.is_file()
    ]
    return "\n".join(
        [*(f"/{name}" for name in names), *sorted(f"{name}/" for name in _DROPPINGS), "*.pyc", ""]
    )


def _environment(task: Task) -> Environment:
    if task.environment is None:
        msg = f"{task.instance_id} names no environment we can make"
        raise TaskError(msg, where=task.image or "no image either", mend="convert the task first")
    return task.environment


def _reader(lowers: tuple[Path, ...]) -> Callable[[str], FileState | None]:
    def read(path: str) -> FileState | None:
        found = merged_file(lowers, path)
        return FileState.read(found) if found else None

    return read


def _counts(path: str) -> bool:
    parts = path.split("/")
    return parts[0] != ".git" and not _DROPPINGS & set(parts)


def _states(upper: Path, lowers: tuple[Path, ...]) -> dict[str, FileState | None]:
    """Files an upper sets, and None for those it removes, whole directories spelled out."""
    found: dict[str, FileState | None] = {}
    removed: list[str] = []
    for change in read_changes(upper):
        if change.kind in ("file", "symlink"):
            found[change.path] = FileState.read(change.source)
        elif change.kind in ("deleted", "opaque"):
            removed.append(change.path)
    if removed:
        for path in merged_tree(lowers):
            gone = any(path == name or path.startswith(name + "/") for name in removed)
            if gone and path not in found:
                found[path] = None
    return found
