"""The model that is fine-tuned: a checkpoint, the last one of a run, or new weights of a shape."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import torch

from regreen.core.errors import UsageError
from regreen.model import SHAPES, CheckpointError, Decoder, ModelConfig, load_checkpoint
from regreen.train.weights.state import Checkpoints

__all__ = ["Start", "make_model", "read_start"]


@dataclass(frozen=True)
class Start:
    """What training begins with."""

    config: ModelConfig | None
    """The model's shape; None where the folder has none."""
    folder: Path | None
    """The checkpoint; None for new weights."""

    def sized(self, vocabulary: int) -> ModelConfig:
        """The shape, that of new weights with the vocabulary's size."""
        assert self.config is not None
        if self.folder is not None:
            return self.config
        return self.config.model_copy(update={"vocab_size": vocabulary})


def read_start(name: str) -> Start:
    """Find the model of a name, without its weights.

    Args:
        name: of ``SHAPES``, a folder with ``config.json``, or a run with checkpoints.

    Raises:
        UsageError: nothing of this name, or nothing this model computes.
    """
    folder = Path(name)
    if name in SHAPES and not folder.exists():
        return Start(SHAPES[name], None)
    if (folder / "checkpoints").is_dir():
        found = Checkpoints(folder / "checkpoints").latest()
        if found is None:
            what = "this run has no whole checkpoint"
            raise UsageError(what, where=name, mend="name another one")
        folder = found
    if not (folder / "config.json").is_file():
        what = "this is neither a checkpoint with a config.json nor a known shape"
        near = difflib.get_close_matches(name.lower(), SHAPES, 1)
        mend = f"did you mean {near[0]}?" if near else f"choose of {', '.join(SHAPES)}, or a folder"
        raise UsageError(what, where=f"--model {name}", mend=mend)
    try:
        return Start(ModelConfig.load(folder), folder)
    except (OSError, ValueError) as error:
        what = f"config.json cannot be used: {error}"
        raise UsageError(what, where=str(folder), mend="name another checkpoint") from error


def make_model(
    start: Start,
    device: torch.device,
    *,
    dtype: torch.dtype = torch.float32,
    vocabulary: int = 0,
    seed: int = 0,
) -> Decoder:
    """The model with its weights.

    Args:
        start: of ``read_start``.
        device: where the weights go.
        dtype: their type.
        vocabulary: ids that new weights are made for.
        seed: of new weights.

    Raises:
        UsageError: the checkpoint cannot be read.
    """
    if start.folder is None:
        torch.manual_seed(seed)
        return Decoder(start.sized(vocabulary)).to(device=device, dtype=dtype)
    try:
        return load_checkpoint(start.folder, dtype=dtype, device=device)
    except CheckpointError as error:
        mend = "name another checkpoint, or copy this one again"
        raise UsageError(str(error), where=str(start.folder), mend=mend) from error
