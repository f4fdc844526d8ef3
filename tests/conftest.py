"""Real parts shared by the suites: a layer store with an environment made without network."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings

from regreen.grading.place import Place, compile_environment
from regreen.sandbox import provider
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.tasks.build.environments import BuiltEnvironment
from regreen.tasks.build.installed import installed_environment, installed_tools
from regreen.tasks.repo.sources import resolve

# The default run tries the same examples each time, so that it tells what a change has done and
# not what chance has found; `make test-slow` searches.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("searching", deadline=None)
settings.load_profile(os.environ.get("REGREEN_HYPOTHESIS", "repeatable"))

T = TypeVar("T")
TINY = {
    "tiny.py": "def one():\n    return 1\n",
    "test_tiny.py": "import tiny\n\n\ndef test_one():\n    assert tiny.one() == 1\n",
}


def write_files(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@dataclass(frozen=True)
class Workroom:
    """A store, an environment with pytest, and the runner's tools."""

    store: LayerStore
    built: BuiltEnvironment
    env: tuple[Path, ...]
    tools: Layer

    def place(self, files: Mapping[str, str], paths: tuple[str, ...] = ()) -> Place:
        """A tree of flat modules with its tests."""
        staged = self.store.stage()
        write_files(staged, files)
        tree = self.store.commit(staged)
        return Place(tree=(tree.path,), env=self.env, tools=self.tools.path, paths=paths)


@pytest.fixture(scope="session")
def workroom(tmp_path_factory: pytest.TempPathFactory) -> Workroom:
    root = tmp_path_factory.mktemp("workroom")
    write_files(root / "tiny", TINY)

    async def make() -> Workroom:
        boxes = provider()
        store = LayerStore(root / "store")
        try:
            checkout = resolve(str(root / "tiny"), store=store)
            built = await installed_environment(checkout, store=store, provider=boxes)
            env = await compile_environment(built.env, store=store, provider=boxes)
            return Workroom(store, built, env, installed_tools(store=store))
        finally:
            await boxes.close()

    return asyncio.run(make())


@pytest.fixture(scope="session")
def with_boxes() -> Callable[[Callable[[SandboxProvider], Coroutine[Any, Any, T]]], T]:
    """Run a coroutine with a provider that is closed afterwards."""

    def run(work: Callable[[SandboxProvider], Coroutine[Any, Any, T]]) -> T:
        async def inner() -> T:
            boxes = provider()
            try:
                return await work(boxes)
            finally:
                await boxes.close()

        return asyncio.run(inner())

    return run
