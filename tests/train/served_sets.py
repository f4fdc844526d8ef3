"""Runs of the toy stage whose policy a server samples, by the player that the command builds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.train.rl_sets import Bits, configured, find_tests, trained

from regreen.model import Decoder, load_checkpoint
from regreen.packing.vocabulary import record_vocabulary
from regreen.train.play.engine import EngineConfig
from regreen.train.play.player import Setup, build_player
from regreen.train.play.worker import WorkerSpec
from regreen.train.play.worker_pool import WorkerPool
from regreen.train.policy.penalties import PenaltyConfig
from regreen.train.rl.config import RlConfig
from regreen.train.rl.loop import RlResult
from regreen.train.vocabulary import VOCABULARY


def add_vocabulary(folder: Path) -> Path:
    """The bytes' vocabulary beside a checkpoint."""
    record = record_vocabulary("bytes", ["qwen3_coder"], "<|endoftext|>")
    (folder / VOCABULARY).write_text(json.dumps(record.model_dump()))
    return folder


def settings(*urls: str, steps: int = 3, **engine: Any) -> RlConfig:
    given = {"max_context": 256, "max_tokens": 2, "away_seconds": 5.0, "urls": urls, **engine}
    return configured(
        steps=steps, groups=2, group_size=4, workers=len(urls), checkpoint_every=1,
        engine=EngineConfig(**given),
    )  # fmt: skip


def served(path: Path, config: RlConfig, start: Path, **stage: Any) -> tuple[RlResult, Decoder]:
    """A run over the servers of its configuration, from a checkpoint with a vocabulary."""
    find_tests()
    model, urls = load_checkpoint(start), config.engine.urls
    setup = Setup(
        stage=Bits, settings=stage, checkpoint=start, tool_format="qwen3_coder",
        engine=config.engine, penalties=PenaltyConfig(), at_once=8, keep_every=0,
    )  # fmt: skip
    spec = WorkerSpec(build=build_player, settings={"setup": setup, "model": model.config})

    def pool(run: Path) -> WorkerPool:
        return WorkerPool(spec, count=len(urls), urls=urls, logs=run / "logs")

    return trained(path, config, pool=pool, model=model)
