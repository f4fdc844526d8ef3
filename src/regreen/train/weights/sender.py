"""New weights to whoever samples with them, and into a model that stands.

The common way is a folder in the Hugging Face layout: every engine reads it, on this machine or on
another that sees the disk, and what a rollout was sampled with can be looked at afterwards. Where
that is too slow there is `broadcast`, past the disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from regreen.core.errors import UsageError
from regreen.model import Decoder
from regreen.model.checkpoint import CheckpointError, parameters_of
from regreen.model.config import ModelConfig
from regreen.train.compute.parallel import joined, reshard
from regreen.train.weights.folders import WRITING, clear, publish, remove, save_model, together

__all__ = ["FileSender", "WeightSender", "fill", "newest"]

_WHOLE = re.compile(r"version-(\d{6,})")


class WeightSender(Protocol):
    """How weights leave the trainer; every rank of it calls `send`."""

    def send(self, model: Decoder, version: int) -> Path | None:
        """Hand the weights on as this version.

        Returns:
            The folder that holds them, where there is one.

        Raises:
            InfrastructureError: they could not be handed on; engines keep what they have, unless
                the sender says otherwise.
        """
        ...


class FileSender:
    """Writes each version to a folder `version-000012`, which is there as a whole or not at all.

    It is not synchronised with the disk: a machine that loses power takes its engines with it.

    Args:
        folder: where versions lie.
        keep: how many of the newest stay; an engine may still read the one before the newest.
        beside: files that stand in every version, by name, the vocabulary for example.
        dtype: the type on disk; None keeps that in memory.
    """

    def __init__(
        self,
        folder: Path,
        keep: int = 2,
        *,
        beside: Mapping[str, bytes] | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if keep < 1:
            msg = f"cannot keep {keep} versions of the weights"
            raise UsageError(msg, where="keep", mend="keep at least one")
        self.folder = folder
        self.keep = keep
        self.dtype = dtype
        self._beside = dict(beside or {})
        self._sent = False

    def send(self, model: Decoder, version: int) -> Path:
        """See `WeightSender`; a version that is there already is replaced.

        Raises:
            InfrastructureError: the disk is full or failing; older versions are untouched.
            UsageError: the folder cannot be written.
        """
        here = joined()
        reshard(model)
        final = self.folder / f"version-{version:06}"
        writing = self.folder / f"{WRITING}{final.name}"
        with together(here, writing):
            if here.first:
                clear(self.folder)
                writing.mkdir(parents=True)
        save_model(model, writing, here, dtype=self.dtype)
        with together(here, writing):
            if here.first:
                for name, content in self._beside.items():
                    (writing / name).write_bytes(content)
                publish(writing, final)
                if self._sent:  # an engine may hold what an earlier process sent, until it has this
                    remove(_by_age(self.folder)[: -self.keep])
        self._sent = True
        return final


def newest(folder: Path) -> tuple[int, Path] | None:
    """The newest version in a sender's folder, for an engine that asks for it; None without any."""
    found = _versions(folder)
    return found[-1] if found else None


def _by_age(folder: Path) -> list[Path]:
    """All versions, the last written last: a run that goes on from a checkpoint counts anew."""
    return sorted((path for _, path in _versions(folder)), key=lambda path: path.stat().st_mtime_ns)


def _versions(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    named = [(_WHOLE.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted((int(match[1]), path) for match, path in named if match)


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
