"""What a builder's box leaves behind: its environment, and new files in the tree, as layers.

Files that the repository has are not taken: a task whose tree was altered to make a script pass
would not be the change any more. The builder is told what stays behind.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from regreen.grading.place import ENV, TESTBED
from regreen.sandbox.base import Sandbox
from regreen.sandbox.layers import Layer, LayerStore
from regreen.sandbox.overlay import copy_merged, merged_tree, read_changes
from regreen.tasks.build.buildbox import UV
from regreen.tasks.build.settle import keep_changes, settle_environment
from regreen.tasks.builder.states import ChangeStates

__all__ = ["SCRIPT", "Harvest", "harvest", "script_of"]

SCRIPT = "evaluation.sh"
_PLACES = ("/workspace/evaluation.sh", f"{TESTBED}/evaluation.sh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """Layers of a box."""

    env: Layer
    """Mounted at /opt/env."""
    build: Layer | None
    """New files of the tree; None when there are none."""
    left_behind: tuple[str, ...]
    """Files of the repository that were altered and are not kept."""
    python: str = ""
    """Version of the environment's Python, where it has one."""
    requirements: tuple[str, ...] = ()
    """What is installed beside it, ``name==version``, sorted."""


async def script_of(box: Sandbox) -> str | None:
    """The script as it lies in the box, beside the tree or in it; None when there is none."""
    for place in _PLACES:
        try:
            return (await box.read(place, limit=1 << 20)).decode("utf-8", "replace")
        except FileNotFoundError:
            continue
    return None


async def harvest(box: Sandbox, states: ChangeStates, store: LayerStore) -> Harvest:
    """Freeze what was installed.

    Raises:
        AgentError: it is more than a layer may hold.
    """
    installed = await box.snapshot(ENV, store)
    env = states.env
    if env is None or any(installed.path.iterdir()):
        env = _settled((installed.path, *((env.path,) if env else ())), store)
    upper = await box.snapshot(TESTBED, store)
    build, left = _new_files(upper, states, store)
    python, requirements = await _python(box)
    return Harvest(env=env, build=build, left_behind=left, python=python, requirements=requirements)


async def _python(box: Sandbox) -> tuple[str, tuple[str, ...]]:
    program = f"{ENV}/bin/python"
    asked = await box.exec(
        [program, "-I", "-c", "import platform; print(platform.python_version())"]
    )
    if asked.exit_code:
        return "", ()
    listed = await box.exec([UV, "pip", "freeze", "--python", program, "--exclude-editable"])
    lines = listed.stdout.decode("utf-8", "replace").splitlines()
    return asked.stdout.decode().strip(), tuple(sorted(line for line in lines if "=" in line))


def _settled(lowers: tuple[Path, ...], store: LayerStore) -> Layer:
    staged = store.stage()
    try:
        copy_merged(lowers, staged)
        settle_environment(staged)
        return store.commit(staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _new_files(
    upper: Layer, states: ChangeStates, store: LayerStore
) -> tuple[Layer | None, tuple[str, ...]]:
    own = frozenset(merged_tree(states.lowers(None))) | states.sources | states.tests
    kept, staged = store.stage(), store.stage()
    try:
        keep_changes(upper.path, states.base.path, kept)
        found = False
        for path, source in merged_tree([kept]).items():
            if path in own or path == SCRIPT:
                continue
            (staged / path).parent.mkdir(parents=True, exist_ok=True)
            source.rename(staged / path)
            found = True
        altered = {
            change.path
            for change in read_changes(upper.path)
            if change.kind != "directory" and change.path in own
        }
        left = tuple(sorted(altered - states.sources - states.tests))
        return (store.commit(staged) if found else None), left
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        shutil.rmtree(staged, ignore_errors=True)
