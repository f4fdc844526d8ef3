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
        if config != model.config:
            different = [n for n in type(config).model_fields if _differ(config, model.config, n)]
            msg = f"the checkpoint is of another model: {different[0]} is "
            msg += f"{getattr(config, different[0])}, not {getattr(model.config, different[0])}"
            raise UsageError(msg, where=str(folder), mend="name a checkpoint of this model")
        for name, value in values:
            _copy(parameters[name], value)
    except CheckpointError as error:
        raise UsageError(str(error), where=str(folder), mend="name a whole checkpoint") from error


def _differ(one: object, other: object, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


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
