"""The ground a change is tried on: one environment that many changes share, and warm runners in it.

A ground belongs to a strategy (interpreter, adaptations), a set of needs and a date, and is made on
the newest change that asked for it. Other changes differ from that one's tree by a few files, which
are handed to the runner with each request, so no tree is laid out anew.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from regreen.core.errors import PrerequisiteError, TaskError
from regreen.grading.place import TESTBED, Place, compile_environment
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.sandbox.overlay import read_changes
from regreen.tasks.build.environments import (
    BrokenTree,
    BuiltEnvironment,
    CollectsNothing,
    build,
    build_tools,
)
from regreen.tasks.build.installed import installed_environment
from regreen.tasks.build.interpreters import Interpreter
from regreen.tasks.build.shims import Adaptation, shim_layer
from regreen.tasks.history.objects import Objects, Tree
from regreen.tasks.prove.bench import Bench
from regreen.tasks.prove.sealing import SealGate
from regreen.tasks.repo.sources import Checkout
from regreen.tasks.repo.tree import Entry, write_tree

__all__ = ["Ground", "GroundKey", "Grounds", "Rung", "era", "lay_out"]

_SUBMODULE = "160000"
_BROKEN = re.compile(rf"cannot import name .*\({TESTBED}/")
"""A tree whose own parts do not fit together."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One strategy for an environment."""

    interpreter: Interpreter
    """The Python."""
    adapted: bool = False
    """Whether what left the standard library is put back and the project's pytest settings are
    set aside."""
    installed: bool = False
    """Whether the environment is copied from this installation, without network."""

    @property
    def name(self) -> str:
        """For records: ``python 3.11``, ``python 3.8, adapted``."""
        major, minor = self.interpreter.version.split(".")[:2]
        words = ("installed", self.installed), ("adapted", self.adapted)
        return ", ".join([f"python {major}.{minor}", *(word for word, there in words if there)])


@dataclass(frozen=True, slots=True)
class GroundKey:
    """What decides a ground."""

    needs: str
    """Digest of what has to be installed."""
    date: datetime
    """Packages may be this old at most."""
    rung: Rung
    """The strategy."""
    options: tuple[str, ...] = ()
    """Options of pytest that the trees need."""
    shared: bool = False
    """Whether ``needs`` is only what cannot differ on one ground, so that changes try it first
    whose own needs may be others."""

    @property
    def plain(self) -> GroundKey:
        """The key of the same environment as it is: adapting puts something over it."""
        return replace(self, rung=replace(self.rung, adapted=False))

    @property
    def name(self) -> str:
        """For records."""
        return f"{self.rung.name}, shared" if self.shared else self.rung.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """An environment, the tree it was made on, and its runners."""

    key: GroundKey
    """What decided it."""
    built: BuiltEnvironment
    """The environment."""
    shim: Layer | None
    """What lies over it."""
    place: Place
    """Where the tests run: the tree of ``anchor_commit``."""
    anchor: Tree
    """Files of that tree."""
    anchor_commit: str
    """The commit it was made on."""
    bench: Bench
    """Warm runners there."""
    gate: SealGate
    """Knows what the environment holds."""

    @property
    def written(self) -> frozenset[str]:
        """Files that the installation left in the tree; they take the place of tracked ones."""
        if self.built.build is None:
            return frozenset()
        return frozenset(
            change.path
            for change in read_changes(self.built.build.path)
            if change.kind in {"file", "symlink"}
        )

    @property
    def rung(self) -> str:
        """The strategy and the rung of installation, for records."""
        added = ", adapted" if self.shim and not self.key.rung.adapted else ""
        return f"{self.key.rung.name}{added}: {self.built.rung}"


def era(date: datetime) -> datetime:
    """The first day of a date's quarter.

    No package is younger than the change then, and changes of one quarter share an environment.
    """
    return datetime(date.year, 3 * ((date.month - 1) // 3) + 1, 1, tzinfo=UTC)


def lay_out(tree: Tree, objects: Objects, store: LayerStore, *, where: str) -> Layer:
    """The files of a commit as a layer, submodules left out.

    Raises:
        Missing: a file's content is not there.
        UsageError: a path cannot be written safely.
    """
    staged = store.stage()
    try:
        entries = (
            Entry(path, mode, objects.read(blob))
            for path, (mode, blob) in tree.items()
            if mode != _SUBMODULE
        )
        write_tree(entries, staged, where=where)
        return store.commit(staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


@dataclass(slots=True)
class Grounds:
    """Makes grounds when first asked for, and remembers those that cannot be made.

    Args:
        provider: makes the boxes.
        store: takes the layers.
        objects: reads the repository.
        workers: runs at once on one ground.
        most: benches that keep their runners; the least recently used is closed.
    """

    provider: SandboxProvider
    store: LayerStore
    objects: Objects
    workers: int = 2
    most: int = 3
    note: Callable[[str], None] = lambda _: None
    _known: dict[GroundKey, Ground | TaskError] = field(default_factory=dict)
    _builds: dict[tuple[GroundKey, str], BuiltEnvironment | TaskError] = field(default_factory=dict)
    _making: dict[GroundKey, asyncio.Lock] = field(default_factory=dict)
    _locks: dict[GroundKey, asyncio.Lock] = field(default_factory=dict)
    _used: list[GroundKey] = field(default_factory=list)

    async def get(self, key: GroundKey, checkouts: Sequence[Callable[[], Checkout]]) -> Ground:
        """The ground of a key, made when it is not there yet.

        Args:
            key: which.
            checkouts: give the states it may be made on; one is tried only where the states before
                it are broken, so that their own tests cannot be imported.

        Raises:
            TaskError: it cannot be made; the same error each time.
        """
        async with self._making.setdefault(key, asyncio.Lock()):
            if key not in self._known:
                self._known[key] = await self._first(key, checkouts)
        found = self._known[key]
        if isinstance(found, TaskError):
            raise found
        await self._touch(key)
        return found

    def made_on(self, key: GroundKey) -> str:
        """The commit a ground was made on; empty while there is none."""
        found = self._known.get(key)
        return found.anchor_commit if isinstance(found, Ground) else ""

    async def _first(
        self, key: GroundKey, checkouts: Sequence[Callable[[], Checkout]]
    ) -> Ground | TaskError:
        """A ground on the first state that has one; else what was wrong with the first."""
        failures: list[TaskError] = []
        for checkout in checkouts:
            try:
                return await self._make(key, checkout())
            except PrerequisiteError as exc:
                if "reach" in exc.what:
                    raise
                failures.append(TaskError(exc.what, where=exc.where, mend=exc.mend))
                break
            except TaskError as exc:
                failures.append(exc)
                if not isinstance(exc, CollectsNothing) or not _BROKEN.search(exc.what):
                    break
        return failures[0]

    async def _make(self, key: GroundKey, checkout: Checkout) -> Ground:
        rung = key.rung
        self.note(f"{rung.name} as of {key.date:%Y-%m-%d}, on {checkout.commit[:10]}")
        built = await self._built(key.plain, checkout)
        shim = None
        if rung.adapted or (built.adapted and not key.shared):
            shim = shim_layer(rung.interpreter, self.store)
        options = Adaptation.of(shim, checkout.tree.path).options if shim else ()
        tools = await build_tools(
            store=self.store, provider=self.provider, python=str(rung.interpreter.path)
        )
        env = await compile_environment(
            built.env, store=self.store, provider=self.provider, only=built.imported
        )
        place = Place(
            tree=tuple(one.path for one in (built.bytecode, built.build, checkout.tree) if one),
            env=(*((shim.path,) if shim else ()), *env),
            tools=tools.path,
            args=(*options, *key.options),
        )
        return Ground(
            key=key,
            built=built,
            shim=shim,
            place=place,
            anchor=self.objects.tree(checkout.commit),
            anchor_commit=checkout.commit,
            # what was compiled of these layers holds nothing that they do not
            gate=SealGate(
                tuple(layer.path for layer in (built.env, built.build) if layer), self.store
            ),
            bench=Bench(self.provider, place, workers=self.workers, warm=("regreen_box.warm",)),
        )

    async def _built(self, key: GroundKey, checkout: Checkout) -> BuiltEnvironment:
        """The environment; one that could not be built is not tried again.

        Raises:
            TaskError: it cannot be built.
        """
        async with self._locks.setdefault(key, asyncio.Lock()):
            place = key, checkout.commit
            if place not in self._builds:
                try:
                    self._builds[place] = await self._build(key, checkout)
                except TaskError as exc:
                    self._builds[place] = exc
        found = self._builds[place]
        if isinstance(found, TaskError):
            raise type(found)(found.what, where=found.where, mend=found.mend)
        return found

    async def _build(self, key: GroundKey, checkout: Checkout) -> BuiltEnvironment:
        """Built as of the quarter's first day; of the change's own where that day had too little.

        Raises:
            TaskError: it can be built as of neither.
        """
        store, provider = self.store, self.provider
        if key.rung.installed:
            return await installed_environment(checkout, store=store, provider=provider)
        python = str(key.rung.interpreter.path)
        wanted = partial(build, store=store, provider=provider, python=python, adaptable=True)
        try:
            early = await wanted(replace(checkout, date=key.date))
        except TaskError as exc:
            if checkout.date <= key.date or isinstance(exc, BrokenTree):
                raise
            return await wanted(checkout)
        if not early.lacks or checkout.date <= key.date:
            return early
        try:
            late = await wanted(checkout)
        except TaskError:
            return early
        return late if len(late.lacks) < len(early.lacks) else early

    async def _touch(self, key: GroundKey) -> None:
        """Note a use; close the runners of what was not used for longest."""
        self._used = [*(one for one in self._used if one != key), key]
        while len(self._used) > self.most:
            found = self._known[self._used.pop(0)]
            if isinstance(found, Ground):
                await found.bench.close()

    @property
    def cpu(self) -> float:
        """CPU seconds of all runs on all grounds, their runners' starts included."""
        return sum(one.bench.cpu for one in self._known.values() if isinstance(one, Ground))

    async def close(self) -> None:
        """End every runner."""
        for found in self._known.values():
            if isinstance(found, Ground):
                await found.bench.close()
