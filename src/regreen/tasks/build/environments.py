"""Build a repository's Python environment once, in a layer that all its tasks share.

``uv`` runs in a box with a network; what it made is then collected in a box without one. No step
asks a model: a ladder of rungs goes from everything the project declares to its bare dependencies,
and the rung that worked is part of the record.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as installed_version
from pathlib import Path

from regreen.core.errors import PrerequisiteError, TaskError
from regreen.grading.place import ENV, TESTBED
from regreen.sandbox.base import BoxSpec, Limits, Mount, SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.tasks.build.buildbox import BuildBox, build_spec, scratch_cache
from regreen.tasks.build.builder import open_builder
from regreen.tasks.build.collect import Collection, Collector
from regreen.tasks.build.distributions import TOOLS as TOOL_NAMES
from regreen.tasks.build.distributions import installed_tools, pins, with_dependencies
from regreen.tasks.build.interpreters import Interpreter, as_of, find_interpreter
from regreen.tasks.build.rungs import NOT_BUILT, climb, describes_build, version_variables
from regreen.tasks.build.settle import keep_changes, settle_environment
from regreen.tasks.build.shims import Adaptation, shim_layer
from regreen.tasks.build.suitable import add_missing, lacking, own_names, settle_runner
from regreen.tasks.repo.discovery import Suite, find_suite
from regreen.tasks.repo.project import Project
from regreen.tasks.repo.sources import Checkout

__all__ = ["TOOLS", "BrokenTree", "BuiltEnvironment", "CollectsNothing", "build", "build_tools"]

TOOLS = ("coverage==7.17.3", "time-machine==3.6.0")
_OLDER_TOOLS = ("coverage==7.10.7", "time-machine==2.19.0")
"""The last for Python 3.9, the oldest that the test runner itself runs in, and 3.10."""
_SCHEMA = "regreen.environment:13"


class CollectsNothing(TaskError):
    """Everything was installed, and pytest finds no test: the tree may be broken."""


class BrokenTree(CollectsNothing):
    """The tests cannot import the tree's own parts, which no package can change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltEnvironment:
    """An environment at hand, and how it was made."""

    env: Layer
    """Mounted at /opt/env."""
    build: Layer | None
    """What the installation left in the tree, mounted over it at /testbed; often nothing."""
    requirements: tuple[str, ...]
    """What is installed, ``name==version``, sorted, the project itself left out."""
    install: tuple[str, ...]
    """The commands that made it, in order, for a tree at /testbed."""
    python: str
    """Version of the interpreter."""
    interpreter: Interpreter
    """The interpreter; ``interpreter.binds`` is what a box must show besides the layers."""
    as_of: str
    """Latest upload time of any package, ISO 8601."""
    rung: str
    """The rung that worked, for example ``groups``."""
    collected: int
    """Tests collected in a box without network."""
    adapted: bool = False
    """Whether the suite is collected only with what left the standard library put back."""
    bytecode: Layer | None = None
    """What was compiled of the tree while its suite was collected."""
    imported: tuple[str, ...] = ()
    """Sources of the environment that were imported then, relative to it."""
    notes: tuple[str, ...]
    """What a person should know: packages that could not be had, errors of collection."""
    lacks: tuple[str, ...] = ()
    """Modules that collecting the suite asked for and that could not be had."""
    seconds: float
    """Wall seconds of the build; of an earlier one when the environment was cached."""


async def build(
    checkout: Checkout,
    *,
    store: LayerStore,
    provider: SandboxProvider,
    python: str | None = None,
    requirements: tuple[str, ...] = (),
    adaptable: bool = False,
    offline: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> BuiltEnvironment:
    """The environment of a checkout: from the store when it was built before, else built.

    Args:
        checkout: the repository.
        store: takes the layers, and uv's cache of this repository.
        provider: makes the boxes.
        python: version or path of an interpreter of this machine; the running one when None.
        requirements: more packages to install, in uv's notation.
        adaptable: where the suite cannot be collected as it is, try it adapted for old code.
        offline: refuse to build; what is cached still serves.
        note: is told about each step, one line at a time.

    Raises:
        TaskError: the repository has no tests, or no rung installs it.
        CollectsNothing: no test can be collected.
        PrerequisiteError: the interpreter or the network is missing.
        InfrastructureError: the box or the disk failed.
    """
    suite = find_suite(checkout.tree.path, where=checkout.spec)
    interpreter = find_interpreter(python)
    date = as_of(checkout.date, interpreter).isoformat()
    key = json.dumps(
        [
            *(_SCHEMA, checkout.tree.digest, date, interpreter.version, str(interpreter.prefix)),
            *(checkout.version, installed_version("uv"), sorted(requirements)),
            *(("adaptable",) if adaptable else ()),
        ]
    )
    if known := _recall(store, key, interpreter):
        return known
    if offline:
        what = f"the environment of {checkout.spec} is not built yet, and the network is off"
        raise PrerequisiteError(what, where=checkout.spec, mend="run once with the network")
    started = time.monotonic()
    built = await _build(
        checkout,
        suite,
        interpreter,
        store=store,
        provider=provider,
        date=date,
        requirements=requirements,
        adaptable=adaptable,
        note=note,
    )
    built = replace(built, seconds=round(time.monotonic() - started, 1))
    _remember(store, key, built)
    return built


async def _build(
    checkout: Checkout,
    suite: Suite,
    interpreter: Interpreter,
    *,
    store: LayerStore,
    provider: SandboxProvider,
    date: str,
    requirements: tuple[str, ...],
    adaptable: bool,
    note: Callable[[str], None],
) -> BuiltEnvironment:
    tree, own = checkout.tree.path, checkout.name
    staged = store.stage()
    spec = build_spec(
        tree,
        target=staged,
        cache=scratch_cache(store.root, own),
        interpreter=interpreter,
        env=version_variables(Project(tree), own, checkout.version, date=date),
    )
    try:
        async with open_builder(
            provider,
            spec,
            interpreter,
            date=date,
            target=staged,
            store=store,
            project=own,
        ) as builder:
            rung = await climb(
                builder,
                tree,
                interpreter,
                version=checkout.version,
                requirements=requirements,
                note=note,
            )
            missing = await add_missing(builder, tree, suite, note, own=own)
            changes = _changes(await builder.box.snapshot(TESTBED, store), checkout.tree, store)
            quiet = _quiet(staged, (*((changes,) if changes else ()), checkout.tree), interpreter)
            shim = shim_layer(interpreter, store)
            adapted = Adaptation.of(shim, tree).over(quiet) if adaptable else None
            collector = Collector(provider, store, suite, quiet, adapted, own_names(tree, own))
            collection = await settle_runner(builder, collector, tree=tree, own=own, note=note)
            frozen = await builder.freeze()
        settle_environment(staged, own=own)
        env = store.commit(staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    whole = rung != NOT_BUILT or not describes_build(tree)
    _refuse_nothing(collection, collector.own if whole else frozenset(), checkout, interpreter)
    return BuiltEnvironment(
        env=env,
        build=changes,
        requirements=frozen,
        install=tuple(builder.commands),
        python=interpreter.version,
        interpreter=interpreter,
        as_of=date,
        rung=rung,
        collected=collection.count,
        adapted=collection.adapted,
        bytecode=collection.bytecode,
        imported=collection.imported,
        notes=missing + ((collection.problem,) if collection.problem else ()),
        lacks=tuple(sorted(lacking(collection, tree))),
        seconds=0.0,
    )


def _refuse_nothing(
    collection: Collection, own: frozenset[str], checkout: Checkout, interpreter: Interpreter
) -> None:
    """An environment in which no test is found shows nothing.

    Raises:
        CollectsNothing: always, where that is so.
    """
    if collection.count == 0:
        what = f"pytest collects no test here ({collection.problem or 'none is found'})"
        mend = "run regreen with a Python of the project's time, or choose another --commit"
        where = f"{checkout.spec}, Python {interpreter.version}"
        raised = BrokenTree if collection.blames_only(own) else CollectsNothing
        raise raised(what, where=where, mend=mend)


def _quiet(env: Path, tree: tuple[Layer, ...], interpreter: Interpreter) -> BoxSpec:
    """A box without network that shows an environment still in the making."""
    return BoxSpec(
        mounts=(
            Mount(target=TESTBED, lowers=tuple(layer.path for layer in tree)),
            Mount(target=ENV, lowers=(env,)),
        ),
        binds=interpreter.binds,
        env={"PATH": f"{ENV}/bin:/usr/bin:/bin"},
        limits=Limits(memory_bytes=4 << 30),
    )


def _changes(snapshot: Layer, tree: Layer, store: LayerStore) -> Layer | None:
    staged = store.stage()
    try:
        return store.commit(staged) if keep_changes(snapshot.path, tree.path, staged) else None
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _remember(store: LayerStore, key: str, built: BuiltEnvironment) -> None:
    layers = {name: getattr(built, name) for name in ("env", "build", "bytecode")}
    row = asdict(built) | {name: layer and layer.digest for name, layer in layers.items()}
    del row["interpreter"]
    staged = store.stage()
    text = json.dumps({"schema": _SCHEMA, **row}, indent=1, sort_keys=True)
    (staged / "environment.json").write_text(text)
    store.remember(key, store.commit(staged))


def _recall(store: LayerStore, key: str, interpreter: Interpreter) -> BuiltEnvironment | None:
    """The earlier build, unless a layer of it is gone."""
    record = store.alias(key)
    if record is None:
        return None
    row = json.loads((record.path / "environment.json").read_text())
    env, changes = store.get(row["env"]), store.get(row["build"] or "")
    if row.pop("schema") != _SCHEMA or env is None or bool(row["build"]) != bool(changes):
        return None
    listed = ("requirements", "install", "notes", "lacks", "imported")
    lists = {name: tuple(row[name]) for name in listed}
    made = {**row, **lists, "env": env, "build": changes, "interpreter": interpreter}
    return BuiltEnvironment(**{**made, "bytecode": store.get(row["bytecode"] or "")})


def tools_of(interpreter: Interpreter) -> tuple[str, ...]:
    """What the test runner needs beside an interpreter, pinned; nothing beside a legacy one."""
    if interpreter.numbers < (3, 9):
        return ()
    return TOOLS if interpreter.numbers >= (3, 11) else _OLDER_TOOLS


async def build_tools(
    *,
    store: LayerStore,
    provider: SandboxProvider,
    python: str | None = None,
    offline: bool = False,
) -> Layer:
    """Coverage and time-machine for the test runner, apart from any repository's environment.

    A Python too old for the runner gets an empty layer: nothing there could load them. Only wheels
    are taken, so nothing is run to make it and its cache can be shared.

    Raises:
        PrerequisiteError: the network is missing, or there are no wheels for this interpreter.
    """
    interpreter = find_interpreter(python)
    if interpreter == find_interpreter():
        installed = set(pins(with_dependencies(*TOOL_NAMES)))
        if set(TOOLS) <= installed:
            return installed_tools(store=store)
    tools = tools_of(interpreter)
    if not tools:
        return store.commit(store.stage())
    key = json.dumps(["regreen.tools:2", tools, interpreter.version, str(interpreter.prefix)])
    if known := store.alias(key):
        return known
    if offline:
        what = "the tools of the test runner are not fetched yet, and the network is off"
        raise PrerequisiteError(what, where=", ".join(tools), mend="run once with the network")
    staged, empty = store.stage(), store.stage()
    cache = scratch_cache(store.root, "tools")
    spec = build_spec(empty, target=staged, cache=cache, interpreter=interpreter, env={})
    try:
        box = await provider.create(spec)
        try:
            outcome = await BuildBox(box, "").uv(
                *("pip", "install", "--target", ENV, "--python", str(interpreter.path)),
                *("--only-binary", ":all:", *tools),
            )
        finally:
            await box.close()
        if not outcome.ok:
            what = f"the tools of the test runner cannot be installed: {outcome.reason}"
            mend = "use a supported Python (3.9 or newer)"
            raise PrerequisiteError(what, where=f"Python {interpreter.version}", mend=mend)
        settle_environment(staged)
        for metadata in staged.glob("*.dist-info"):
            shutil.rmtree(metadata)  # they would make pytest load the tools as its plug-ins
        layer = store.commit(staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(empty, ignore_errors=True)
    store.remember(key, layer)
    return layer
