"""The bundled library made ready without a network, once for the session."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from regreen.example import example_source
from regreen.grading.place import Place, compile_environment
from regreen.sandbox import provider
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.installed import installed_environment, installed_tools
from regreen.tasks.build.repository import Repository
from regreen.tasks.inject.job import Injection, InjectSettings, inject
from regreen.tasks.prove.baseline import Baseline, measure
from regreen.tasks.repo.discovery import find_suite
from regreen.tasks.repo.sources import resolve


@dataclass(frozen=True)
class Loop:
    """What a short injection into the example gave."""

    repository: Repository
    baseline: Baseline
    injection: Injection


async def make_repository(root: Path, store: LayerStore, boxes: SandboxProvider) -> Repository:
    shutil.copytree(example_source(), root, ignore=shutil.ignore_patterns("__pycache__"))
    checkout = resolve(str(root), store=store)
    built = await installed_environment(checkout, store=store, provider=boxes)
    suite = find_suite(checkout.tree.path)
    place = Place(
        tree=(checkout.tree.path,),
        env=await compile_environment(built.env, store=store, provider=boxes),
        tools=installed_tools(store=store).path,
        paths=suite.command.args,
    )
    return Repository(checkout=checkout, built=built, suite=suite, place=place)


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    root = tmp_path_factory.mktemp("example")

    async def run() -> Loop:
        store, boxes = LayerStore(root / "store"), provider()
        try:
            repository = await make_repository(root / "ledger", store, boxes)
            baseline = await measure(
                repository.place, provider=boxes, store=store, where="the example"
            )
            injection = await inject(
                repository, baseline, provider=boxes, store=store, settings=InjectSettings(limit=30)
            )
            return Loop(repository, baseline, injection)
        finally:
            await boxes.close()

    return asyncio.run(run())
