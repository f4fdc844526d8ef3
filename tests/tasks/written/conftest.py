"""A small healthy repository, measured once, and models that answer by script."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from regreen.grading.place import Place
from regreen.inference import ChatClient, Endpoint, ScriptedEndpoint
from regreen.sandbox import provider
from regreen.tasks.build.repository import Repository
from regreen.tasks.prove.baseline import Baseline, measure
from regreen.tasks.repo.discovery import find_suite
from regreen.tasks.repo.sources import resolve
from regreen.tasks.written.answers import Answers

sys.path.insert(0, str(Path(__file__).parent))

from small_sums import CALC, TESTS


@dataclass(frozen=True)
class Measured:
    repository: Repository
    baseline: Baseline


@pytest.fixture(scope="session")
def calc(workroom: Any, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    root = tmp_path_factory.mktemp("calc") / "calc"
    (root / "tests").mkdir(parents=True)
    (root / "calc.py").write_text(CALC)
    (root / "tests" / "test_calc.py").write_text(TESTS)

    async def make() -> Measured:
        boxes = provider()
        try:
            checkout = resolve(str(root), store=workroom.store)
            suite = find_suite(checkout.tree.path)
            place = Place(
                tree=(checkout.tree.path,),
                env=workroom.env,
                tools=workroom.tools.path,
                paths=suite.command.args,
            )
            made = Repository(checkout=checkout, built=workroom.built, suite=suite, place=place)
            found = await measure(place, provider=boxes, store=workroom.store, where="calc")
            return Measured(made, found)
        finally:
            await boxes.close()

    return asyncio.run(make())


@dataclass
class Asked:
    """A scripted model, what remembers its answers, and how often it was really asked."""

    answers: Answers
    server: ScriptedEndpoint


Asking = Callable[..., AbstractAsyncContextManager[Asked]]


@pytest.fixture(scope="session")
def asking() -> Asking:
    """Serve a script and remember its answers."""

    @asynccontextmanager
    async def serve(script: Any, path: Path | None = None, workers: int = 2) -> Any:
        async with ScriptedEndpoint(script) as server:
            endpoint = Endpoint(base_url=server.base_url, model="m", retry_seconds=0.0)
            async with ChatClient(endpoint) as client:
                with Answers(client, path, workers=workers) as answers:
                    yield Asked(answers, server)

    return serve


@pytest.fixture(scope="session")
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return asyncio.run
