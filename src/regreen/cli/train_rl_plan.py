"""``regreen train rl --dry-run``: what a run would play, hold and take, with nothing written.

How long rollouts get is known only once they were played, so the time is told for the longest that
the settings allow: no run takes more of what is counted here, and most take less.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from regreen.cli.train_measure import rates_here, tell
from regreen.core.console import Console

if TYPE_CHECKING:
    from regreen.model import ModelConfig
    from regreen.train.compute.parallel import World
    from regreen.train.estimate.memory import Run
    from regreen.train.play.engine import EngineConfig
    from regreen.train.rl.config import RlConfig

__all__ = ["Longest", "longest_answers", "longest_dialogues", "tell_plan"]

_READ = 64
"""Problems whose questions are counted."""
_FORWARD = 1 / 3
"""What a forward costs of a forward and its backward."""


class Longest(NamedTuple):
    """A rollout as long as the settings allow."""

    tokens: int
    """All of it."""
    sampled: int
    """Those of the policy."""


def longest_dialogues(turns: int, engine: EngineConfig) -> Longest:
    """Of several turns, where nobody knows how much the tools will say."""
    return Longest(engine.max_context, min(engine.max_context, turns * engine.max_tokens))


def longest_answers(problems: Path, folder: Path, form: str, engine: EngineConfig) -> Longest:
    """Of one answer to a question of the mean length.

    Args:
        problems: file of problems.
        folder: checkpoint with the vocabulary.
        form: format of the calls.
        engine: what bounds the answer.
    """
    from regreen.templates import tool_format
    from regreen.templates.tokens.renderer import Renderer
    from regreen.train.code.problems import read_problems
    from regreen.train.code.stage import CodeStage
    from regreen.train.vocabulary import checkpoint_tokenizer

    renderer, stage = Renderer(tool_format(form), checkpoint_tokenizer(folder)), CodeStage()
    asked = [
        len(renderer.encode(stage.messages(one), None, add_generation_prompt=True).ids)
        for one in islice(read_problems(problems), _READ)
    ]
    question = round(sum(asked) / max(1, len(asked)))
    answer = max(1, min(engine.max_tokens, engine.max_context - question))
    return Longest(question + answer, answer)


def tell_plan(
    config: RlConfig,
    shape: ModelConfig,
    longest: Longest,
    *,
    problems: int,
    held_out: int,
    here: World,
    console: Console,
    json: bool,
    measure: bool,
) -> None:
    """Print how much is played, and what each rank with its workers holds.

    Args:
        config: the settings.
        shape: of the policy.
        longest: a rollout, by which time is told.
        problems: how many are trained on.
        held_out: how many are evaluated on.
        here: the ranks that the weights are cut over.
        console: where to.
        json: as one object.
        measure: say how long it takes too, by doing some of it.
    """
    from regreen.train.estimate.memory import estimate

    run = _run(config, longest, here)
    held = estimate(shape, run, rates_here(shape, run, here) if measure else None)
    told = {
        "tasks": problems,
        "held_out": held_out,
        "batches": config.steps,
        "rollouts": config.steps * _rollouts(config),
        "passes": round(config.steps * config.groups / max(1, problems), 2),
    }
    tell(told, held, console, json=json)


def _run(config: RlConfig, longest: Longest, here: World) -> Run:
    """Memory of a rank with the workers of its machine, contexts as long as they may get."""
    from regreen.train.estimate.memory import Run

    update, rollouts = config.update, _rollouts(config)
    at_once = max(config.update.micro_tokens, config.engine.max_context)
    live = min(config.rollouts_at_once * max(1, config.workers), rollouts)
    elsewhere = bool(config.engine.urls)
    copies = 2 if config.weights == "collective" else 1  # one samples, one is received into
    updates = update.epochs * update.minibatches
    passes = update.epochs + (_FORWARD if updates > 1 else 0.0)
    return Run(
        micro_tokens=at_once,
        predicted=max(1, round(at_once * longest.sampled / longest.tokens)),
        ranks=here.size,
        live=0 if elsewhere else live,
        context=config.engine.max_context,
        sequence=longest.tokens,
        engines=0 if elsewhere else config.workers * copies,
        tokens_per_step=round(passes * rollouts * longest.tokens),
        updates_per_step=updates,
        sampled_per_step=rollouts * longest.sampled,
        steps=config.steps,
        supposing=f"{_elsewhere(config)}rollouts of {longest.tokens:,} tokens, "
        f"{longest.sampled:,} of them sampled, "
        "the most that the settings allow; without tools, tests and evaluations",
    )


def _rollouts(config: RlConfig) -> int:
    """Of a batch."""
    return config.groups * config.group_size


def _elsewhere(config: RlConfig) -> str:
    """What is not counted, because it is not here."""
    if config.engine.urls:
        return "sampling that is done by servers and not counted, "
    if config.engine.device != "cpu":
        return f"sampling on the processor, not on {config.engine.device}, "
    return ""
