"""Boxes and verdicts of tasks: the act box an agent works in, and the fresh box that judges.

The two never share anything but read-only layers. What the agent did is taken from the upper of
its overlay, as a patch, and that patch alone reaches the judge's box.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from regreen.core.errors import AgentError, InfrastructureError, PrerequisiteError, TaskError
from regreen.core.task import Environment, Task, Twins, base_message
from regreen.core.verdict import Verdict
from regreen.grading.grade import unresolved
from regreen.grading.judge import Audit, Auditor, Case, Judge
from regreen.grading.pairs import pairs_of, twin_seed
from regreen.grading.patch import FileState, apply_patch, patch_between, patch_paths
from regreen.grading.place import TESTBED, Place, compile_environment, compile_tree
from regreen.grading.script import decided_by_script
from regreen.grading.session import SessionTrial, seed_of, session
from regreen.grading.submission import MAX_PATCH_BYTES, Read, Submission, admit
from regreen.grading.twinning import prove_twins, tests_to_twin
from regreen.grading.twins import GENERATOR
from regreen.sandbox.base import BoxSpec, Limits, Sandbox, SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.sandbox.overlay import merged_file, merged_tree, read_changes, write_layer

__all__ = ["Workshop", "stack"]

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
shift 2
[ $# -eq 0 ] || git update-index --skip-worktree -- "$@"
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
        total_timeout: wall seconds of one run of a task's tests.
        auditor: reads diffs before they are run.
    """

    def __init__(
        self,
        provider: SandboxProvider,
        store: LayerStore,
        *,
        limits: Limits | None = None,
        test_timeout: float = 60.0,
        total_timeout: float = 1800.0,
        auditor: Auditor | None = None,
    ) -> None:
        self.provider = provider
        self.store = store
        self.limits = limits or Limits()
        self.auditor = auditor
        self._judge = Judge(
            provider=provider, test_timeout=test_timeout, total_timeout=total_timeout
        )
        self._locks: dict[str, asyncio.Lock] = {}

    def missing(self, task: Task) -> tuple[str, ...]:
        """Layers of a task that this machine does not hold."""
        environment = _environment(task)
        wanted = (
            *(environment.repo_layer, environment.env_layer),
            *(environment.build_layer, environment.shim_layer),
        )
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
        shim = (self._layer(environment.shim_layer).path,) if environment.shim_layer else ()
        return Place(
            tree=(*build, self._layer(environment.repo_layer).path),
            env=(*shim, *lowers),
            limits=self.limits,
        )

    async def reader(self, task: Task) -> Callable[[str], FileState | None]:
        """Reads files of the tree an agent starts from."""
        place = await self.place(task)
        return _reader((self._broken(task, place).path, *place.tree))

    async def act_lowers(self, task: Task) -> tuple[Path, ...]:
        """Lowers of the tree an agent starts from, its repository included; topmost first."""
        place = await self.place(task)
        broken = self._broken(task, place)
        history = await self._history(task, place, broken)
        return (history.path, broken.path, *place.tree)

    async def act_box(
        self, task: Task, *, wall: Callable[[BoxSpec], BoxSpec] | None = None
    ) -> Sandbox:
        """A box with the task's broken tree as a one-commit repository, hidden tests absent.

        Args:
            task: whose box it is.
            wall: sets what the box may reach; a loopback interface alone when None.
        """
        place = await self.place(task)
        over = (await self.act_lowers(task))[:2]
        options = _environment(task).options
        told = {"PYTEST_ADDOPTS": shlex.join(options)} if options else {}
        spec = place.spec(over=over, env_writable=True, runner=False, variables=told)
        return await self.provider.create(wall(spec) if wall else spec)

    async def patch_of(self, sandbox: Sandbox, task: Task) -> str:
        """What the agent changed below /testbed, as a git patch; its own git data left out."""
        place = await self.place(task)
        lowers = (self._broken(task, place).path, *place.tree)
        upper = await sandbox.snapshot(TESTBED, self.store)
        after = _states(upper.path, lowers)
        read = _reader(lowers)
        before = {path: read(path) for path in after}
        return patch_between(before, after)

    async def verify_patch(self, task: Task, patch: str) -> Verdict:
        """Judge a patch: base, patch, tests put in place, run in a fresh box; then the twins.

        Raises:
            TaskError: the task itself cannot be run.
            InfrastructureError: the boxes fail without the patch, too.
        """
        place = await self.place(task)
        broken = self._broken(task, place)
        read = _reader((broken.path, *place.tree))
        try:
            submission = self._admitted(task, patch, place, broken)
        except TaskError as exc:
            return unresolved(task, f"{exc.what}: {exc.where}")
        audit = self.auditor(task, patch, read) if self.auditor and submission.kept else Audit()
        hidden, texts, special = _tests(task, read)
        candidate = self._stack({**submission.kept, **special})
        base = self._stack(special)
        case = Case(
            task=task,
            place=await self._compiled(task, place),
            candidate=(candidate.path, broken.path),
            base=(base.path, broken.path),
            hidden=hidden,
            texts=texts,
            twins=partial(
                pairs_of, task, await self._twins_for(task, submission), texts, self.store
            ),
            submission=submission,
            audit=audit,
        )
        return await self._judge.verdict(case)

    def _admitted(self, task: Task, patch: str, place: Place, broken: Layer) -> Submission:
        """A patch on the tree as the agent saw it, or on the repository alone.

        What an installation leaves in the tree is new to whoever made the patch elsewhere.
        """
        try:
            return admit(task, patch, _reader((broken.path, *place.tree)))
        except TaskError:
            if len(place.tree) == 1:
                raise
            return admit(task, patch, _reader((broken.path, place.tree[-1])))

    async def _twins_for(self, task: Task, submission: Submission) -> Twins:
        """No twins for what changes nothing: it has nothing to tamper with."""
        none = Twins(generator=GENERATOR)
        if not submission.kept or not (await self.place(task)).python.takes_twins:
            return none
        return await self.twins(task)

    async def _compiled(self, task: Task, place: Place) -> Place:
        """The place with the tree's bytecode, which every run would else compile anew."""
        named = _environment(task)
        key = f"{named.repo_layer}:{named.build_layer}:{named.env_layer}"
        async with self._lock(key):
            made = await compile_tree(place, key, store=self.store, provider=self.provider)
        # what was compiled of the repair would run as it is, read by a patch that repairs nothing
        touched = patch_paths(task.patch) | patch_paths(task.test_patch)
        hidden = () if made is place else _bytecode_of(touched, made.tree[-1])
        if not hidden:
            return made
        return replace(made, tree=(self._stack(dict.fromkeys(hidden)).path, *made.tree))

    async def twins(self, task: Task) -> Twins:
        """The task's twins: as its row says, or made and proved here, once per machine."""
        if task.twins is not None and task.twins.generator == GENERATOR:
            return task.twins
        if decided_by_script(task):  # it has no test that could have a twin
            return Twins(generator=GENERATOR)
        key = f"twins:{GENERATOR}:{task.instance_id}:{task.base_commit}"
        async with self._lock(key):
            known = self.store.alias(key)
            if known is None:
                made = await self._prove_twins(task)
                staged = self.store.stage()
                (staged / "twins.json").write_text(made.model_dump_json())
                known = self.store.commit(staged)
                self.store.remember(key, known)
        return Twins.model_validate_json((known.path / "twins.json").read_bytes())

    async def _prove_twins(self, task: Task) -> Twins:
        place = await self.place(task)
        broken = self._broken(task, place)
        read = _reader((broken.path, *place.tree))
        hidden, texts, special = _tests(task, read)
        gold = self._stack({**apply_patch(task.patch, read), **special})
        base = self._stack(special)
        seed = seed_of(task)
        request = self._judge.request(task, hidden)
        async with (
            session(self.provider, place, (gold.path, broken.path), hash_seed=seed) as healthy,
            session(self.provider, place, (base.path, broken.path), hash_seed=seed) as unhealthy,
        ):
            trial = SessionTrial(request, {"gold": healthy, "base": unhealthy})
            wanted = await trial.targets(tests_to_twin(task.FAIL_TO_PASS, task.PASS_TO_PASS))
            return await prove_twins(wanted, texts, seed=twin_seed(task), trial=trial)

    def _broken(self, task: Task, place: Place) -> Layer:
        """The layer that turns the healthy tree into the task's base: bug in, hidden tests out."""
        key = f"broken:2:{task.base_commit}:{_environment(task).repo_layer}"
        known = self.store.alias(key)
        if known is None:
            read = _reader(place.tree)
            changes = dict(apply_patch(task.patch, read, reverse=True))
            changes.update(apply_patch(task.test_patch, read, reverse=True))
            known = self._stack(_with_folders(changes, place.tree))
            self.store.remember(key, known)
        return known

    def _stack(self, changes: Mapping[str, FileState | None]) -> Layer:
        """Changes as a lower: files, and whiteouts for what is gone."""
        return stack(changes, self.store)

    async def _history(self, task: Task, place: Place, broken: Layer) -> Layer:
        """``.git`` with the base tree as its only commit, made once per task."""
        key = f"history:2:{task.base_commit}"
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
                    ["sh", "-c", _COMMIT, "sh", when, base_message(task.repo), *_rebuilt(place)],
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


def stack(changes: Mapping[str, FileState | None], store: LayerStore) -> Layer:
    """Changes as a lower of their own: files, and whiteouts for what is gone."""
    staged = store.stage()
    files = {path for path, state in changes.items() if state is not None}
    folders = _folders(files)
    # a folder in a file's place hides it, and a file in a folder's place all that was below it
    gone = (path for path in changes if path not in files | folders)
    write_layer(staged, {path: None for path in gone if not files & _folders((path,))})
    for path, state in changes.items():
        if state is not None:
            state.write(staged / path)
    return store.commit(staged)


def _folders(paths: Iterable[str]) -> set[str]:
    """Every folder above some paths, the root left out."""
    return {str(above) for path in paths for above in PurePosixPath(path).parents if above.name}


def _with_folders(
    changes: Mapping[str, FileState | None], lowers: tuple[Path, ...]
) -> dict[str, FileState | None]:
    """Changes, with the folders gone that they leave empty: their names tell of the repair."""
    files = {path: state for path, state in changes.items() if state is not None}
    left = _folders({*merged_tree(lowers), *files} - (changes.keys() - files.keys()))
    gone: dict[str, FileState | None] = {}
    for path in changes.keys() - files.keys():
        above = [str(one) for one in PurePosixPath(path).parents if one.name]
        gone[next((one for one in reversed(above) if one not in left), path)] = None
    return {**gone, **files}


def _bytecode_of(paths: Iterable[str], compiled: Path) -> tuple[str, ...]:
    """What a layer of bytecode holds of some files, relative to it."""
    return tuple(
        found.relative_to(compiled).as_posix()
        for path in map(PurePosixPath, sorted(paths))
        for found in sorted((compiled / path.parent / "__pycache__").glob("*.pyc"))
        if path.suffix == ".py" and found.name.partition(".cpython-")[0] == path.stem
    )


def _rebuilt(place: Place) -> list[str]:
    """Tracked files that the installation wrote anew; their change is nobody's work."""
    return [
        path.relative_to(layer).as_posix()
        for layer in place.tree[:-1]
        for path in sorted(layer.rglob("*"))
        if path.is_file() and (place.tree[-1] / path.relative_to(layer)).is_file()
    ]


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


def _tests(
    task: Task, read: Read
) -> tuple[dict[str, bytes | None], dict[str, str], dict[str, FileState | None]]:
    """A task's hidden files, the text of every file its tests stand in, and special hidden files.

    Links and programs cannot be sent to a runner; they are part of the tree from the start.
    """
    placed = apply_patch(task.test_patch, read)
    special: dict[str, FileState | None] = {
        path: state for path, state in placed.items() if state and not state.plain
    }
    hidden = {p: state.data if state else None for p, state in placed.items() if p not in special}
    texts = {}
    for test in (*task.FAIL_TO_PASS, *task.PASS_TO_PASS):
        path = test.partition("::")[0]
        state = placed[path] if path in placed else read(path)
        if state is not None:
            texts[path] = state.data.decode("utf-8", "surrogateescape")
    return hidden, texts, special


def _counts(path: str) -> bool:
    parts = path.split("/")
    return parts[0] != ".git" and not _DROPPINGS & set(parts)


def _states(upper: Path, lowers: tuple[Path, ...]) -> dict[str, FileState | None]:
    """Files an upper sets, and None for those it removes, whole directories spelled out.

    Raises:
        AgentError: they are more than a patch may hold.
    """
    found: dict[str, FileState | None] = {}
    removed: list[str] = []
    size = 0
    for change in read_changes(upper):
        if not _counts(change.path):
            continue
        if change.kind in ("file", "symlink"):
            size += change.source.lstat().st_size
            if size > MAX_PATCH_BYTES:
                msg = "the changes are too large for a patch"
                raise AgentError(msg, where=f"more than {MAX_PATCH_BYTES >> 20} MiB in files")
            found[change.path] = FileState.read(change.source)
        elif change.kind in ("deleted", "opaque"):
            removed.append(change.path)
    if removed:
        for path in merged_tree(lowers):
            gone = any(path == name or path.startswith(name + "/") for name in removed)
            if gone and path not in found and _counts(path):
                found[path] = None
    return found
