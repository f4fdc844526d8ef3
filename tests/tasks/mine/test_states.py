"""The two states of a change over a ground's tree, on which an installation left files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from raw_objects import BEGIN, FIX
from story import Story

from regreen.grading.place import Place
from regreen.sandbox import provider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.tasks.build.environments import BuiltEnvironment
from regreen.tasks.build.interpreters import find_interpreter
from regreen.tasks.history.line import History
from regreen.tasks.history.objects import Objects
from regreen.tasks.mine.ground import Ground, GroundKey, Rung
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.split import Limits
from regreen.tasks.mine.states import States, states
from regreen.tasks.mine.survey import Surveyor
from regreen.tasks.prove.bench import Bench
from regreen.tasks.prove.sealing import SealGate


def a_ground(anchor: dict, left: Path, store: LayerStore) -> Ground:
    python, day = find_interpreter(), datetime(2024, 1, 1, tzinfo=UTC)
    place = Place(tree=(left,), env=(left,))
    built = BuiltEnvironment(
        env=Layer("", left),
        build=Layer("", left),
        requirements=(),
        install=(),
        python=python.version,
        interpreter=python,
        as_of=day.isoformat(),
        rung="plain",
        collected=1,
        notes=(),
        seconds=0.0,
    )
    return Ground(
        key=GroundKey("", day, Rung(python)),
        built=built,
        shim=None,
        place=place,
        anchor=anchor,
        anchor_commit="0" * 40,
        bench=Bench(provider(), place),
        gate=SealGate((), store),
    )


def given(tmp_path: Path, written: str) -> States:
    """The states of a change on a ground whose installation wrote one file."""
    story = Story(tmp_path / "repository")
    story.commit("begin", "Begin", {**BEGIN, "p/_version.py": "X = 1\n"})
    story.commit("fix", "Fix", FIX)
    (tmp_path / "left" / written).parent.mkdir(parents=True)
    (tmp_path / "left" / written).write_text("X = 2\n")
    objects, store = Objects(story.root), LayerStore(tmp_path / "store")
    try:
        change = History(objects, where="here").change("HEAD")
        survey = Surveyor(objects, store, Limits(), 250, "here").read(change)
        base, after = (objects.tree(one) for one in (change.base, change.commit))
        anchor = {path: entry for path, entry in after.items() if path != "p/_version.py"}
        ground = a_ground(anchor, tmp_path / "left", store)
        return states(ground, base, after, survey.split, objects)
    finally:
        objects.close()


def test_what_an_installation_wrote_stays_as_it_is_where_a_task_is_judged(tmp_path: Path) -> None:
    made = given(tmp_path, "p/_version.py")

    assert set(made.before) == {"p/core.py"}
    assert not made.after


def test_a_tracked_file_that_no_installation_wrote_is_that_of_the_change(tmp_path: Path) -> None:
    assert given(tmp_path, "p.egg-info/PKG-INFO").after == {"p/_version.py": b"X = 1\n"}


def test_a_change_of_what_an_installation_writes_is_not_decided_there(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        given(tmp_path, "p/core.py")

    assert caught.value.reason is Reason.ENVIRONMENT_BUILD
