"""A setting that is given changes itself and nothing else of the demonstration."""

from __future__ import annotations

from regreen.core.config import resolve_config
from regreen.train.learn.settings import LearnConfig, UnguardedConfig


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
    base = LearnConfig()

    found = UnguardedConfig(seed=5)

    assert not found.stage.guarded
    assert found.stage == base.stage.model_copy(update={"guarded": False})
    assert found.peeks > base.peeks
    assert found.rl.steps < base.rl.steps
    assert found.sft == base.sft
    assert found.rl.optimiser == base.rl.optimiser


def test_settings_of_ones_own_hold_without_the_guard_too() -> None:
    given = {"peeks": 0.01, "rl": {"steps": 3, "evaluate_every": 1}, "stage": {"turns": 4}}

    found = resolve_config(UnguardedConfig, flags=given)

    assert (found.peeks, found.rl.steps, found.rl.evaluate_every) == (0.01, 3, 1)
    assert (found.stage.turns, found.stage.guarded) == (4, False)
