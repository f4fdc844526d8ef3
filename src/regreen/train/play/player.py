"""Makes the player of a worker from plain data: a stage, an engine for it, a format.

The weights are not part of it: a worker is told them before it plays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import SecretStr

from regreen.core.errors import PrerequisiteError
from regreen.core.trajectory import Trajectory
from regreen.inference.engine.base import TokenEngine
from regreen.inference.engine.http import HttpEngine
from regreen.inference.engine.lockstep import LockStep
from regreen.inference.engine.token_model import TokenModel
from regreen.inference.wire import Endpoint
from regreen.model import Decoder, ModelConfig
from regreen.templates import Tokenizer, tool_format
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
    url: str = "",
) -> Player:
    """A player over a server, or over a ``LockStep``.

    Args:
        setup: what it is made from.
        model: the trainer's own, or the shape of the weights to come.
        told: is told of every rollout.
        url: of the server that samples; none samples here.
    """
    tokenizer = checkpoint_tokenizer(setup.checkpoint)
    engine: TokenEngine
    if url:
        engine = _over(url, setup.engine, model.config if isinstance(model, Decoder) else model)
    else:
        engine = _here(setup.engine, model, tokenizer)

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


def _here(config: EngineConfig, model: ModelConfig | Decoder, tokenizer: Tokenizer) -> LockStep:
    if not isinstance(model, Decoder):
        if config.device != "cpu" and not torch.cuda.is_available():
            what = f"there is no {config.device} on the machine of this worker"
            mend = "give engine.device = 'cpu', or start the worker where there is one"
            raise PrerequisiteError(what, where="engine.device", mend=mend)
        with torch.device(config.device):
            model = Decoder(model)
    return LockStep(
        model,
        max_context=config.max_context,
        temperature=config.temperature,
        patience=config.patience,
        experts=config.experts,
        decode=tokenizer.decode,
    )


def _over(url: str, config: EngineConfig, shape: ModelConfig) -> HttpEngine:
    key = os.environ.get("OPENAI_API_KEY")
    endpoint = Endpoint(
        base_url=url, model=config.model, retry_seconds=config.away_seconds,
        api_key=SecretStr(key) if key else None,
    )  # fmt: skip
    return HttpEngine(
        endpoint, temperature=config.temperature, max_context=config.max_context,
        policy=shape if config.experts else None,
    )  # fmt: skip
