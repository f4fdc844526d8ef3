"""New weights to whoever samples with them: by a folder, or by a collective.

A folder is what every engine reads. A broadcast spares the disk: parameters travel in the layout of
memory, in buckets, from the first trainer to all engines at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regreen.core.errors import UsageError
from regreen.model import Decoder
from regreen.model.checkpoint import CheckpointError, parameters_of
from regreen.model.config import ModelConfig
from regreen.train.parallel import reshard

__all__ = ["fill"]


@torch.no_grad()
def fill(model: Decoder, folder: Path) -> None:
    """Overwrite a model's weights by those of a checkpoint in the Hugging Face layout.

    Args:
        model: on any device, whole or cut over ranks, in any type.
        folder: what `save_checkpoint` wrote.

    Raises:
        UsageError: no whole checkpoint, or one of another shape.
    """
    reshard(model)
    parameters = dict(model.named_parameters())
    try:
        config, values = parameters_of(folder)
        _check_same(config, model.config, folder)
        for name, value in values:
            _copy(parameters[name], value)
    except CheckpointError as error:
        raise UsageError(str(error), where=str(folder), mend="name a whole checkpoint") from error


_FREE = {
    "full_attention_interval",
    "initializer_range",
    "max_position_embeddings",
    "router_aux_loss_coef",
}
"""Entries of `config.json` that change nothing of what given weights compute, or are said twice."""


def _check_same(found: ModelConfig, wanted: ModelConfig, folder: Path) -> None:
    one, other = found.to_hf(), wanted.to_hf()
    for name in one:
        if name not in _FREE and one[name] != other[name]:
            msg = f"the checkpoint is of another model: {name} is {one[name]}, not {other[name]}"
            raise UsageError(msg, where=str(folder), mend="name a checkpoint of this model")


def _copy(parameter: Any, value: Tensor) -> None:
    """Into a parameter, or into this rank's part of one that is cut along one dimension."""
    if not hasattr(parameter, "to_local"):
        parameter.copy_(value)
        return
    mesh, (placement,) = parameter.device_mesh, parameter.placements
    parts = value.chunk(mesh.size(), placement.dim)
    rank = mesh.get_local_rank()
    if rank < len(parts):  # the last ranks hold nothing of a short dimension
        parameter.to_local().copy_(parts[rank])
