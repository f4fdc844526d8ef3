"""The environment of a pure-Python tree from what is installed here: no network, no installer.

pytest and what it needs are dependencies of regreen, so they are always at hand; copied into a
layer laid out as ``uv venv --relocatable`` lays it out, they serve a library without dependencies.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import replace
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from regreen.core.errors import TaskError
from regreen.core.task import Environment
from regreen.grading.place import ENV, TESTBED
from regreen.sandbox.base import BoxSpec, Mount, SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.tasks.build.distributions import (
    copy_distributions,
    installed_tools,
    pins,
    with_dependencies,
)
from regreen.tasks.build.environments import BuiltEnvironment
from regreen.tasks.build.interpreters import Interpreter, find_interpreter
from regreen.tasks.repo.discovery import find_suite
from regreen.tasks.repo.packages import package_roots
from regreen.tasks.repo.project import Project
from regreen.tasks.repo.sources import Checkout

__all__ = ["installed_environment", "installed_tools", "is_installed"]

_SECONDS = 120.0
_INSTALL = "uv pip install --no-deps"
_SCRIPT = """\
#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"
' '''
import sys
from {module} import {attribute}
if __name__ == "__main__":
    sys.exit({call}())
"""


async def installed_environment(
    checkout: Checkout, *, store: LayerStore, provider: SandboxProvider
) -> BuiltEnvironment:
    """Make /opt/env for a tree that needs nothing but pytest, and see its suite collected.

    Args:
        checkout: the tree; its packages come on the path, nothing of it is built.
        store: takes the layer.
        provider: makes the box, without network, in which the suite is collected.

    Raises:
        TaskError: the tree needs other packages, or its tests cannot be collected.
        PrerequisiteError: pytest is not installed in a way it can be copied.
    """
    started = time.monotonic()
    tree = checkout.tree.path
    interpreter = find_interpreter()
    project = Project(tree)
    distributions = with_dependencies("pytest")
    _refuse_other_needs(project, distributions, where=checkout.spec)
    own = canonicalize_name(project.name)  # pytest then gets what it needs from the tree
    distributions = tuple(one for one in distributions if canonicalize_name(one.name) != own)
    env = _environment(distributions, interpreter, _bases(tree), store)
    requirements = pins(distributions)
    built = BuiltEnvironment(
        env=env,
        build=None,
        requirements=requirements,
        install=(f"{_INSTALL} {' '.join(requirements)}",),
        python=interpreter.version,
        interpreter=interpreter,
        as_of=checkout.date.isoformat(),
        rung="installed",
        collected=await _collected(checkout, env, interpreter, store=store, provider=provider),
        notes=(),
        seconds=0.0,
    )
    return replace(built, seconds=round(time.monotonic() - started, 1))


def is_installed(environment: Environment) -> bool:
    """Whether a task's environment was made by ``installed_environment``."""
    return len(environment.install) == 1 and environment.install[0].startswith(_INSTALL)


def _refuse_other_needs(
    project: Project, distributions: tuple[Distribution, ...], *, where: str
) -> None:
    here = {one.partition("==")[0] for one in pins(distributions)}
    for text in project.dependencies:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if needed and re.sub(r"[-_.]+", "-", requirement.name).lower() not in here:
            what = f"the tree needs {requirement.name}, which is not copied from this installation"
            raise TaskError(what, where=where, mend="build its environment with the network")


def _bases(tree: Path) -> tuple[str, ...]:
    """Directories that come on the path: the root, and what holds the packages."""
    return tuple(
        sorted({TESTBED, *(str(Path(TESTBED, root).parent) for root in package_roots(tree))})
    )


def _environment(
    distributions: tuple[Distribution, ...],
    interpreter: Interpreter,
    bases: tuple[str, ...],
    store: LayerStore,
) -> Layer:
    """A virtual environment, laid out by hand so that nothing of this machine's gets into it."""
    base = [interpreter.version, str(interpreter.path), *bases]
    key = json.dumps(["regreen.installed:1", pins(distributions), base])
    if known := store.alias(key):
        return known
    staged = store.stage()
    try:
        major, minor = interpreter.version.split(".")[:2]
        site = staged / "lib" / f"python{major}.{minor}" / "site-packages"
        copy_distributions(distributions, site)
        (site / "testbed.pth").write_text("\n".join(bases) + "\n")
        _lay_out(staged, interpreter)
        for one in distributions:
            _write_scripts(one, staged / "bin")
        layer = store.commit(staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    store.remember(key, layer)
    return layer


def _lay_out(root: Path, interpreter: Interpreter) -> None:
    bin_ = root / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "python").symlink_to(interpreter.path)
    major, minor = interpreter.version.split(".")[:2]
    for name in (f"python{major}", f"python{major}.{minor}"):
        (bin_ / name).symlink_to("python")
    (root / "pyvenv.cfg").write_text(
        f"home = {interpreter.path.parent}\n"
        "implementation = CPython\n"
        f"version_info = {interpreter.version}\n"
        "include-system-site-packages = false\n"
        "relocatable = true\n"
    )


def _write_scripts(distribution: Distribution, folder: Path) -> None:
    for point in distribution.entry_points.select(group="console_scripts"):
        text = _SCRIPT.format(
            module=point.module, attribute=point.attr.partition(".")[0], call=point.attr
        )
        path = folder / point.name
        path.write_text(text)
        path.chmod(0o755)


async def _collected(
    checkout: Checkout,
    env: Layer,
    interpreter: Interpreter,
    *,
    store: LayerStore,
    provider: SandboxProvider,
) -> int:
    """How many tests pytest collects in a box without network, counted once per tree."""
    suite = find_suite(checkout.tree.path, where=checkout.spec)
    key = json.dumps(["regreen.collected:1", checkout.tree.digest, env.digest, suite.command.args])
    if known := store.alias(key):
        return int((known.path / "count").read_text())
    spec = BoxSpec(
        mounts=(
            Mount(target=TESTBED, lowers=(checkout.tree.path,)),
            Mount(target=ENV, lowers=(env.path,)),
        ),
        binds=interpreter.binds,
        env={"PATH": f"{ENV}/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    argv = [f"{ENV}/bin/pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    argv += ["--continue-on-collection-errors"]
    box = await provider.create(spec)
    try:
        done = await box.exec([*argv, *suite.command.args], timeout=_SECONDS)
    finally:
        await box.close()
    text = (done.stdout + done.stderr).decode(errors="replace")
    found = re.search(r"(\d+) tests? collected", text)
    if found is None or int(found[1]) == 0:
        errors = [one[1:] for one in text.splitlines() if one.startswith("E ")] or [text[-300:]]
        reason = " ".join(errors[-1].split()) or f"it ended with status {done.exit_code}"
        what = f"pytest cannot collect the tests: {reason}"
        mend = "mend the tests, or build the environment with the network"
        raise TaskError(what, where=checkout.spec, mend=mend)
    staged = store.stage()
    (staged / "count").write_text(found[1])
    store.remember(key, store.commit(staged))
    return int(found[1])
