"""Makes the player of a worker from plain data: a stage, an engine for it, a format.

The weights are not part of it: a worker is told them before it plays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regreen.core.trajectory import Trajectory
from regreen.inference.engine.lockstep import LockStep
from regreen.inference.engine.token_model import TokenModel
from regreen.model import Decoder, ModelConfig
from regreen.templates import tool_format
from regreen.templates.tokens.renderer import Renderer
from regreen.train.play.engine import EngineConfig
from regreen.train.play.rollouts import Job, Player, Stage
from regreen.train.policy.penalties import PenaltyConfig, penalise
from regreen.train.trace import Played
from regreen.train.vocabulary import checkpoint_tokenizer

__all__ = ["Setup", "build_player"]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a player is made from; it travels to other processes."""

    stage: Callable[..., Stage]
    """A class or function of a module."""
    settings: Mapping[str, Any]
    """Its keyword arguments."""
    checkpoint: Path
    """Folder that the vocabulary stands in."""
    tool_format: str
    """Format of the calls."""
    engine: EngineConfig
    """How the policy is sampled."""
    penalties: PenaltyConfig
    """What invalid and refused calls cost."""
    at_once: int
    """Rollouts at the same time."""
    keep_every: int
    """Of so many groups one keeps its readable records; 0 for none."""
    show_tools: bool = True
    """See ``TokenModel``."""


def build_player(
    *,
    setup: Setup,
    model: ModelConfig | Decoder,
    told: Callable[[Job, Played], None],
) -> Player:
    """A player over a ``LockStep``.

    Args:
        setup: what it is made from.
        model: the trainer's own, or the shape of the weights to come.
        told: is told of every rollout.
    """
    tokenizer = checkpoint_tokenizer(setup.checkpoint)
    engine = LockStep(
        model if isinstance(model, Decoder) else Decoder(model),
        max_context=setup.engine.max_context,
        temperature=setup.engine.temperature,
        patience=setup.engine.patience,
        experts=setup.engine.experts,
        decode=tokenizer.decode,
    )

    def penalties(played: TokenModel, record: Trajectory) -> Sequence[float]:
        assert played.dialogue is not None
        found = penalise(played.dialogue, record, config=setup.penalties)
        values: list[float] = found.penalties.tolist()
        return values

    def keep(job: Job) -> bool:
        every = setup.keep_every
        if job.purpose == "evaluate":
            return job.place < 16
        return job.purpose == "train" and every > 0 and job.place % every == 0

    return Player(
        stage=setup.stage(**setup.settings),
        engine=engine,
        renderer=Renderer(tool_format(setup.tool_format), tokenizer),
        max_tokens=setup.engine.max_tokens,
        show_tools=setup.show_tools,
        penalise=penalties,
        keep=keep,
        at_once=setup.at_once,
        told=told,
    )
