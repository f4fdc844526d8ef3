"""A cache on disk: one safetensors file that says which model, and which weights, it belongs to.

A state is worth nothing under other weights, yet every shape fits, so the file holds a fingerprint
of them and is refused otherwise. A beginning that rows share is written once, tails without their
spare places, so that the file depends on what was read and not on how the cache came about.

Shapes: A heads, T time, W width; R, C rows and columns of a matrix.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from regreen.model.anchors import Anchor, Anchors
from regreen.model.cache import Cache
from regreen.model.decoder import Decoder
from regreen.model.memory import lasting

__all__ = ["CacheFileError", "fingerprint", "load_cache", "save_cache"]

SCHEMA = "regreen.cache"
VERSION: Literal[1] = 1


class CacheFileError(ValueError):
    """A file that is no cache, of an unknown version, or of another model."""


class _Header(BaseModel):
    """What the file's metadata says under the name of the schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = VERSION
    """Of this schema."""
    config_digest: str
    """SHA-256 of the model's configuration."""
    weights: str
    """The weights' `fingerprint`."""
    history: bool
    """Whether the inputs of the recurrent layers were kept."""
    anchor_every: int
    """Tokens between automatic copies of the states."""
    shared: NonNegativeInt
    """Tokens of the beginning that all rows share."""
    tails: tuple[NonNegativeInt, ...] = Field(min_length=1)
    """Tokens of each row behind it."""
    positions: tuple[NonNegativeInt, ...]
    """The token of each anchor."""
    anchors: tuple[tuple[int, ...], ...]
    """The anchors of each row, by their place in `positions`."""

    @model_validator(mode="after")
    def _agrees(self) -> _Header:
        if len(self.anchors) != len(self.tails):
            msg = f"anchors of {len(self.anchors)} rows, tails of {len(self.tails)}"
            raise ValueError(msg)
        if {place for row in self.anchors for place in row} != set(range(len(self.positions))):
            msg = f"the rows' anchors are not the {len(self.positions)} that have a position"
            raise ValueError(msg)
        for row, tail in zip(self.anchors, self.tails, strict=True):
            held = [self.positions[place] for place in row]
            if held != sorted(set(held)) or (held and held[-1] > self.shared + tail):
                msg = f"a row of {self.shared + tail} tokens has anchors at {held}"
                raise ValueError(msg)
        return self


@torch.no_grad()
def fingerprint(model: Decoder) -> str:
    """SHA-256 of every parameter's name, type, shape, and sums of bits by row and by column.

    A change of any one number changes the sums of its row and column. Integer sums come out the
    same on every device, and at the speed of memory, where hashing the bytes would not.
    """
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)};".encode())
        bits_RC = parameter.detach().reshape(-1, parameter.shape[-1]).contiguous()
        bits_RC = bits_RC.view(_INTEGERS[parameter.element_size()])
        for dim in (0, 1):
            # Wrapping at the width of the type: wider sums are converted first, ten times as slow.
            sums = bits_RC.sum(dim, dtype=bits_RC.dtype)
            digest.update(sums.cpu().numpy().tobytes())
    return digest.hexdigest()


_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@lasting
def save_cache(cache: Cache, path: Path, model: Decoder) -> None:
    """Write a cache; an older file is replaced at once, or not at all.

    Args:
        cache: what to write; it stays as it is.
        path: the file, in a folder that exists.
        model: the model that filled the cache.

    Raises:
        ValueError: the cache belongs to another model, or its last call was interrupted.
        OSError: the file cannot be written.
    """
    cache.settled()
    if model.new_cache(1).layers != cache.layers or model.config != cache.config:
        msg = "the cache was not made by the model given"
        raise ValueError(msg)
    anchors = list(cache.recurrent.anchors)
    numbers = {id(anchor): number for number, anchor in enumerate(anchors)}
    header = _Header(
        config_digest=_config_digest(model),
        weights=fingerprint(model),
        history=cache.history,
        anchor_every=cache.anchor_every,
        shared=cache.rows.shared,
        tails=tuple(cache.rows.tails),
        positions=tuple(anchor.position for anchor in anchors),
        anchors=tuple(
            tuple(numbers[id(anchor)] for anchor in row) for row in cache.recurrent.anchors.rows
        ),
    )
    # One entry, because several are written in no certain order.
    metadata = {SCHEMA: header.model_dump_json()}
    tensors = {
        name: tensor.cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in _tensors(cache, anchors).items()
    }
    _write(tensors, path, metadata)


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    new = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.tmp")
    try:
        save_file(tensors, new, metadata)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _tensors(cache: Cache, anchors: list[Anchor]) -> dict[str, Tensor]:
    """What is written: states, anchors, and of each track the beginning, then all rows' tails."""
    tensors: dict[str, Tensor] = {}
    shared = cache.rows.shared
    for number, track in enumerate(cache.tracks):
        tensors[f"tracks.{number}.beginning"] = track.read(0, 0, shared)
        tails = [track.read(row, shared, end) for row, end in enumerate(cache.lengths)]
        tensors[f"tracks.{number}.tails"] = torch.cat(tails, dim=1)
    for number, memory in enumerate(cache.recurrent.memories):
        tensors[f"states.{number}"] = memory.state_BHKV
        tensors[f"contexts.{number}"] = memory.context_BLJ
    for place, anchor in enumerate(anchors):
        for number, (state, context) in enumerate(zip(anchor.states, anchor.contexts, strict=True)):
            tensors[f"anchors.{place}.states.{number}"] = state
            tensors[f"anchors.{place}.contexts.{number}"] = context
    return tensors


@lasting
def load_cache(path: Path, model: Decoder) -> Cache:
    """Read a cache that the same weights filled, onto the model's device.

    Raises:
        CacheFileError: no cache, an unknown version, another model, other weights, a header that
            disagrees with itself or with the tensors.
        OSError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt", device=str(model.norm.weight.device)) as file:
            header = _header(file.metadata() or {}, path)
            _check_model(header, model, path)
            _check_tensors(file, header, model, path)
            return _read(file, header, model)
    except SafetensorError as error:
        msg = f"{path} is no whole cache file: {error}"
        raise CacheFileError(msg) from error


def _read(file: Any, header: _Header, model: Decoder) -> Cache:
    rows = len(header.tails)
    plain = model.new_cache(rows, history=header.history, anchor_every=header.anchor_every)
    cache = plain.empty(rows, header.shared)
    cache.rows.tails = list(header.tails)
    cache.copy_tails(max(header.tails))
    for number, track in enumerate(cache.tracks):
        beginning_ATW = file.get_tensor(f"tracks.{number}.beginning")
        track.beginning = [beginning_ATW[None]] if header.shared else []
        tails = file.get_tensor(f"tracks.{number}.tails").split(header.tails, dim=1)
        for row, tail_ATW in enumerate(tails):
            track.tail_BATW[row, :, : tail_ATW.shape[1]] = tail_ATW
    anchors = [
        Anchor(
            position,
            tuple(
                file.get_tensor(f"anchors.{place}.states.{number}")
                for number in range(len(cache.recurrent.memories))
            ),
            tuple(
                file.get_tensor(f"anchors.{place}.contexts.{number}")
                for number in range(len(cache.recurrent.memories))
            ),
        )
        for place, position in enumerate(header.positions)
    ]
    for number, memory in enumerate(cache.recurrent.memories):
        memory.state_BHKV = file.get_tensor(f"states.{number}")
        memory.context_BLJ = file.get_tensor(f"contexts.{number}")
    cache.recurrent.anchors = Anchors([[anchors[place] for place in row] for row in header.anchors])
    cache.count_from_anchors()
    return cache


def _header(metadata: dict[str, str], path: Path) -> _Header:
    if SCHEMA not in metadata:
        msg = f"{path} is a safetensors file, but no {SCHEMA}"
        raise CacheFileError(msg)
    text = metadata[SCHEMA]
    try:
        values = json.loads(text)
        if isinstance(values, dict) and (version := values.get("version")) != VERSION:
            msg = f"{path} has version {version} of {SCHEMA}; this reads {VERSION}"
            raise CacheFileError(msg)
        return _Header.model_validate_json(text)
    except CacheFileError:
        raise
    except (ValueError, RecursionError) as error:
        msg = f"{path} has a header that is no {SCHEMA}: {error}"
        raise CacheFileError(msg) from error


def _check_model(header: _Header, model: Decoder, path: Path) -> None:
    if header.config_digest != _config_digest(model):
        msg = f"{path} is the state of a model of another configuration; load it under its own"
        raise CacheFileError(msg)
    if header.weights != fingerprint(model):
        msg = (
            f"{path} is the state of other weights; load it under the checkpoint that made it, or "
            "compute it again from the tokens"
        )
        raise CacheFileError(msg)


def _check_tensors(file: Any, header: _Header, model: Decoder, path: Path) -> None:
    """Before anything is made by the header's numbers, compare them with what the file holds."""
    expected, found = _expected(header, model), set(file.keys())
    if odd := sorted(found ^ set(expected)):
        what = "holds an unknown" if odd[0] in found else "lacks the"
        msg = f"{path} {what} tensor {odd[0]}, by its header"
        raise CacheFileError(msg)
    for name, (shape, dtype) in expected.items():
        stored = file.get_slice(name)
        held = tuple(stored.get_shape()), _STORED.get(stored.get_dtype())
        if held != (shape, dtype):
            msg = f"{path} holds {name} as {held}, by its header {(shape, dtype)}"
            raise CacheFileError(msg)


_STORED = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


def _expected(header: _Header, model: Decoder) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """The shape and type of every tensor that a file of this header holds."""
    expected: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}
    row = model.new_cache(1, history=header.history)
    for number, track in enumerate(row.tracks):
        _, heads, _, width = track.tail_BATW.shape
        for part, count in (("beginning", header.shared), ("tails", sum(header.tails))):
            expected[f"tracks.{number}.{part}"] = (heads, count, width), track.tail_BATW.dtype
    for number, memory in enumerate(row.recurrent.memories):
        for kind, one in (("states", memory.state_BHKV), ("contexts", memory.context_BLJ)):
            shape = tuple(one.shape[1:])
            expected[f"{kind}.{number}"] = (len(header.tails), *shape), one.dtype
            for place in range(len(header.positions)):
                expected[f"anchors.{place}.{kind}.{number}"] = shape, one.dtype
    return expected


def _config_digest(model: Decoder) -> str:
    text = json.dumps(model.config.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
