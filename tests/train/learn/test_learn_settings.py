"""A setting that is given changes itself and nothing else of the demonstration."""

from __future__ import annotations

from regreen.core.config import resolve_config
from regreen.train.learn.settings import LearnConfig, unguarded


def test_one_nested_setting_leaves_the_others() -> None:
    base = LearnConfig()

    found = resolve_config(
        LearnConfig, flags={"rl": {"steps": 3, "engine": {"max_tokens": 7}}, "stage": {}}
    )

    engine = base.rl.engine.model_copy(update={"max_tokens": 7})
    assert found.rl == base.rl.model_copy(update={"steps": 3, "engine": engine})
    assert found.sft == base.sft
    assert found.stage == base.stage


def test_without_the_guard_the_teacher_takes_answers_and_the_run_is_shorter() -> None:
    base = LearnConfig(seed=5)

    found = unguarded(base, steps=9)

    assert found.seed == 5
    assert found.rl.steps == 9
    assert not found.stage.guarded
    assert found.sft == base.sft
    assert found.rl.optimiser == base.rl.optimiser
    assert found.peeks > base.peeks
    assert unguarded(LearnConfig(peeks=0.01)).peeks == 0.01
