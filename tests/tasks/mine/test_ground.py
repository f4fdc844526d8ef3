"""The day of a ground's packages, with a real index."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from story import Story

from regreen.sandbox.layers import LayerStore
from regreen.sandbox.namespace import NamespaceProvider
from regreen.tasks.build.environments import BuiltEnvironment
from regreen.tasks.build.interpreters import find_interpreter
from regreen.tasks.history.objects import Objects
from regreen.tasks.mine.ground import GroundKey, Grounds, Rung
from regreen.tasks.mine.ladder import dated
from regreen.tasks.repo.sources import resolve

CHANGED = datetime(2025, 2, 24, tzinfo=UTC)
"""typing-inspection holds code since two days before."""


def built(tmp_path: Path, *imported: str) -> BuiltEnvironment:
    """The environment of states of that day whose tests import something, in order of trying."""
    story, store, checkouts = Story(tmp_path / "young"), LayerStore(tmp_path / "store"), []
    for name in imported:
        test = f"import young\nimport {name}\n\n\ndef test_young():\n    assert young\n"
        broken = "from young import nothing\n" if name == "young" else ""
        files = {"young.py": f"{broken}X = {len(checkouts)}\n", "tests/test_young.py": test}
        story.commit(name, f"Import {name}", files)
        checkouts.append(replace(resolve(str(story.root), store=store), date=CHANGED))
    objects, python = Objects(story.root), find_interpreter()
    key = GroundKey("", dated(CHANGED, python), Rung(python))

    async def make() -> BuiltEnvironment:
        provider = NamespaceProvider()
        try:
            grounds = Grounds(provider, store, objects)
            return (await grounds.get(key, [partial(replace, one) for one in checkouts])).built
        finally:
            await provider.close()

    try:
        return asyncio.run(make())
    finally:
        objects.close()


def test_packages_are_of_the_first_day_of_the_quarter(online: None, tmp_path: Path) -> None:
    assert built(tmp_path, "iniconfig").as_of.startswith("2025-01-02")


def test_they_are_of_the_change_where_that_day_lacks_one(online: None, tmp_path: Path) -> None:
    made = built(tmp_path, "typing_inspection.typing_objects")

    assert made.as_of.startswith("2025-02-25")
    assert not made.lacks
    assert any(one.startswith("typing-inspection==0.3") for one in made.requirements)


def test_a_broken_state_gives_way_to_the_one_before_it(online: None, tmp_path: Path) -> None:
    made = built(tmp_path, "young", "pluggy")

    assert made.collected == 1
