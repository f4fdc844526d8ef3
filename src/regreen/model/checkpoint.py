"""Checkpoints in the Hugging Face layout of `qwen3_next`, written and read piece by piece.

A folder holds `config.json` and either `model.safetensors` or numbered shards with an index. Only
one parameter is in memory twice at any time, so a model that fits can be saved and loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from regreen.model.config import ModelConfig
from regreen.model.decoder import Decoder
from regreen.model.layout import pieces

__all__ = ["CheckpointError", "load_checkpoint", "parameters_of", "save_checkpoint", "tensors_of"]

_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_ONE, _INDEX = "model.safetensors", "model.safetensors.index.json"


class CheckpointError(ValueError):
    """A folder that does not hold a checkpoint of this model; says what is missing or wrong."""


def tensors_of(model: Decoder, *, dtype: torch.dtype | None = None) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the checkpoint under its name on disk, parameter by parameter.

    A parameter that is cut over processes is put together, in which all of them must take part.
    """
    parameters = dict(model.named_parameters())
    for piece in pieces(model.config):
        value = parameters[piece.name].detach()
        if hasattr(value, "full_tensor"):
            value = value.full_tensor()
        parts = piece.cut(value)
        for name, part in zip(piece.tensors, parts, strict=True):
            yield name, part.to(dtype or part.dtype).cpu()


def save_checkpoint(
    model: Decoder,
    folder: Path,
    *,
    shard_bytes: int = 5_000_000_000,
    dtype: torch.dtype | None = None,
    tensors: Iterable[tuple[str, Tensor]] | None = None,
) -> None:
    """Write `config.json` and the weights, in shards of at most `shard_bytes` where one is short.

    The weights are written under other names first, so that a full disk leaves an older checkpoint
    as it was. The configuration comes last: a folder with one is a whole checkpoint.

    Args:
        model: the model.
        folder: made if missing; an older checkpoint in it is replaced, other files stay.
        shard_bytes: a shard's size, unless a single tensor is larger.
        dtype: the type on disk; None keeps that in memory.
        tensors: `tensors_of` the model, where the caller must see it through to its end.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".writing-*.safetensors"):
        left.unlink()
    shards: list[tuple[Path, list[str]]] = []
    total, held = 0, 0
    waiting: dict[str, Tensor] = {}

    def flush() -> None:
        path = folder / f".writing-{len(shards) + 1:05}.safetensors"
        save_file(waiting, path, {"format": "pt"})
        shards.append((path, list(waiting)))
        waiting.clear()

    for name, tensor in tensors or tensors_of(model, dtype=dtype):
        size = tensor.numel() * tensor.element_size()
        if waiting and held + size > shard_bytes:
            flush()
            held = 0
        # A view would keep, and safetensors refuse, the whole matrix that it is a part of.
        waiting[name] = tensor.clone(memory_format=torch.contiguous_format)
        held, total = held + size, total + size
    flush()
    for old in (folder / "config.json", folder / _INDEX, *folder.iterdir()):
        if old.name in {"config.json", _INDEX} or _WEIGHTS.fullmatch(old.name):
            old.unlink(missing_ok=True)
    _name_shards(folder, shards, total)
    kind = str(dtype or next(model.parameters()).dtype).removeprefix("torch.")
    values = {**model.config.to_hf(), "torch_dtype": kind, "dtype": kind}
    text = json.dumps(values, indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def _name_shards(folder: Path, shards: list[tuple[Path, list[str]]], total: int) -> None:
    if len(shards) == 1:
        shards[0][0].rename(folder / _ONE)
        return
    places = {}
    for number, (path, names) in enumerate(shards, 1):
        final = f"model-{number:05}-of-{len(shards):05}.safetensors"
        path.rename(folder / final)
        places.update(dict.fromkeys(names, final))
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / _INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def load_checkpoint(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> Decoder:
    """Read a checkpoint that this module, transformers or a vendor wrote.

    A multi-token-prediction layer is loaded where the folder holds one.

    Args:
        folder: holds `config.json` and safetensors.
        dtype: the type in memory; None keeps that on disk.
        device: where the parameters go.

    Raises:
        CheckpointError: no checkpoint, a configuration that this model does not compute, a tensor
            missing, too many, or of the wrong shape.
    """
    config, values = parameters_of(folder)
    with torch.device("meta"):
        model = Decoder(config)
    for name, stored in values:
        value = stored.to(device=device, dtype=dtype or stored.dtype).contiguous()
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, torch.nn.Parameter(value))
    return model


def parameters_of(folder: Path) -> tuple[ModelConfig, Iterator[tuple[str, Tensor]]]:
    """The configuration of a checkpoint, and each parameter's name in `Decoder` and its value.

    Values are read one by one as they are asked for, in the type on disk, possibly as views.

    Raises:
        CheckpointError: as `load_checkpoint`; of a wrong tensor only when its turn comes.
    """
    config, places = _config(folder), _places(folder)
    has_next = any(name.startswith("mtp.") for name in places)
    config = config.model_copy(update={"num_nextn_predict_layers": int(has_next)})
    _check_names(config, places, folder)
    return config, _values(config, places)


def _values(config: ModelConfig, places: Mapping[str, Path]) -> Iterator[tuple[str, Tensor]]:
    with torch.device("meta"):
        model = Decoder(config)
    reader = _Reader(places)
    for piece in pieces(config):
        expected = piece.cut(model.get_parameter(piece.name).detach())
        pairs = zip(piece.tensors, expected, strict=True)
        yield piece.name, piece.join([reader.read(name, part.shape) for name, part in pairs])


def _config(folder: Path) -> ModelConfig:
    if not (folder / "config.json").is_file():
        msg = f"{folder} holds no config.json"
        raise CheckpointError(msg)
    try:
        return ModelConfig.load(folder)
    except ValueError as error:
        msg = f"{folder / 'config.json'}: {error}"
        raise CheckpointError(msg) from error


def _places(folder: Path) -> Mapping[str, Path]:
    """The file of every tensor."""
    if (folder / _INDEX).is_file():
        try:
            index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
            places = {name: folder / file for name, file in index["weight_map"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{folder / _INDEX} names no file for each tensor ({error!r})"
            raise CheckpointError(msg) from error
        absent = sorted({path.name for path in places.values() if not path.is_file()})
        if absent:
            msg = f"{folder} lacks {len(absent)} files that its index names, as {absent[0]}"
            raise CheckpointError(msg)
        return places
    if (folder / _ONE).is_file():
        return dict.fromkeys(_opened(folder / _ONE).keys(), folder / _ONE)
    msg = f"{folder} holds neither {_ONE} nor {_INDEX}"
    raise CheckpointError(msg)


def _check_names(config: ModelConfig, places: Mapping[str, Path], folder: Path) -> None:
    wanted = {name for piece in pieces(config) for name in piece.tensors}
    missing = sorted(wanted - set(places))
    if missing:
        msg = f"{folder} lacks {len(missing)} tensors, the first is {missing[0]}"
        raise CheckpointError(msg)
    more = sorted(set(places) - wanted - {"lm_head.weight"})
    if more:
        msg = f"{folder} holds {len(more)} tensors this model has no place for, as {more[0]}"
        raise CheckpointError(msg)


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        msg = f"{path} is not a whole safetensors file ({error})"
        raise CheckpointError(msg) from error


class _Reader:
    """Reads tensors one by one, the file of the last one kept open."""

    def __init__(self, places: Mapping[str, Path]) -> None:
        self._places = places
        self._path: Path | None = None

    def read(self, name: str, expected: torch.Size) -> Tensor:
        path = self._places[name]
        if path != self._path:
            self._file = _opened(path)
            self._path = path
        try:
            tensor: Tensor = self._file.get_tensor(name)
        except SafetensorError as error:
            msg = f"{path} lacks {name}, which the index says it holds"
            raise CheckpointError(msg) from error
        if tensor.shape != expected:
            msg = f"{name} in {path} has shape {tuple(tensor.shape)}, the configuration says "
            msg += f"{tuple(expected)}"
            raise CheckpointError(msg)
        return tensor
