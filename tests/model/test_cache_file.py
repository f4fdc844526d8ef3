"""A cache on disk is read back by the weights that made it, and by no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache as remembered
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from regreen.model.cache import Cache
from regreen.model.cache_file import CacheFileError, fingerprint, load_cache, save_cache
from regreen.model.checkpoint import CheckpointError, load_checkpoint
from regreen.model.config import ModelConfig
from regreen.model.decoder import Decoder
from regreen.model.shapes import SHAPES

SMALL = ModelConfig(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=3,
    layer_types=("linear_attention", "full_attention", "linear_attention"),
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    partial_rotary_factor=0.5,
    linear_num_key_heads=1,
    linear_num_value_heads=2,
    linear_key_head_dim=8,
    linear_value_head_dim=8,
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=16,
    shared_expert_intermediate_size=16,
    initializer_range=0.15,
    rope_theta=10_000.0,
)


@remembered
def model(shape: str = "small", seed: int = 0) -> Decoder:
    torch.manual_seed(seed)
    return Decoder(SMALL if shape == "small" else SHAPES[shape]).eval()


@torch.no_grad()
def read(decoder: Decoder, memory: Cache, count: int) -> torch.Tensor:
    """Logits of `count` more tokens of every row."""
    tokens = torch.arange(memory.num_rows * count).view(-1, count) % 50
    return decoder(tokens, cache=memory).logits


@pytest.mark.parametrize("history", [True, False], ids=["history", "anchors"])
def test_a_branch_is_read_back_with_its_beginning_and_anchors(
    tmp_path: Path, history: bool
) -> None:
    decoder, path = model(), tmp_path / "state"
    parent = decoder.new_cache(2, history=history)
    read(decoder, parent, 30)
    parent.mark()
    branch = parent.fork(1, copies=3)
    read(decoder, branch, 7)
    save_cache(branch, path, decoder)
    loaded = load_cache(path, decoder)

    assert loaded.lengths == [37, 37, 37]
    assert loaded.rows.shared == 30
    assert loaded.history == history
    assert len(list(loaded.recurrent.anchors)) == 1  # three rows hold the same
    assert torch.equal(read(decoder, loaded, 1), read(decoder, branch, 1))
    for memory in (loaded, branch):
        memory.rollback([30, 38, 30])
    assert torch.equal(read(decoder, loaded, 5), read(decoder, branch, 5))


def test_a_file_is_refused_under_other_weights(tmp_path: Path) -> None:
    path, decoder = tmp_path / "state", model()
    memory = decoder.new_cache(1)
    read(decoder, memory, 20)
    save_cache(memory, path, decoder)

    with pytest.raises(CacheFileError, match="other weights"):
        load_cache(path, model(seed=1))
    with pytest.raises(CacheFileError, match="another configuration"):
        load_cache(path, model("1m"))
    with pytest.raises(ValueError, match="not made by the model"):
        save_cache(memory, tmp_path / "other", model(seed=1))
    assert [found.name for found in tmp_path.iterdir()] == ["state"]


def test_a_fingerprint_sees_one_number_change() -> None:
    torch.manual_seed(0)
    decoder = Decoder(SMALL)
    seen = {fingerprint(decoder)}
    parameters = list(decoder.parameters())
    for parameter in parameters:
        flat = parameter.data.view(-1)
        kept = flat[-1].clone()
        flat[-1] = torch.nextafter(kept, kept + 1)
        seen.add(fingerprint(decoder))
        flat[-1] = kept
    assert len(seen) == len(parameters) + 1
    assert fingerprint(decoder) in seen
    assert fingerprint(decoder.double()) not in seen


def test_unknown_and_broken_files_are_refused(tmp_path: Path) -> None:
    path, decoder = tmp_path / "state", model()
    save_cache(decoder.new_cache(1), path, decoder)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header = json.loads(metadata["regreen.cache"])
    for changed, message in (
        ({"regreen.cache": json.dumps(header | {"version": 2})}, "version 2"),
        ({"regreen.pack": metadata["regreen.cache"]}, "no regreen.cache"),
        ({"regreen.cache": json.dumps({"version": 1})}, "header"),
        ({"regreen.cache": json.dumps(header | {"more": 1})}, "header"),
        ({"regreen.cache": "[]"}, "header"),
        ({"regreen.cache": "[" * 100_000}, "header"),
        ({"regreen.cache": "{"}, "header"),
        ({"regreen.cache": ""}, "header"),
    ):
        save_file(tensors, path, changed)
        with pytest.raises(CacheFileError, match=message):
            load_cache(path, decoder)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CacheFileError, match="no whole cache file"):
        load_cache(path, decoder)
    with pytest.raises(OSError, match="state"):
        load_cache(tmp_path / "no" / "state", decoder)


HEADERS: list[dict[str, Any]] = [
    {"tails": [19, 20]},
    {"tails": [41, -1]},
    {"tails": [40]},
    {"tails": [10**15, 20]},
    {"tails": []},
    {"tails": ["20", 20]},
    {"shared": 5},
    {"shared": -5},
    {"shared": True},
    {"history": False},
    {"anchors": [[0], [2]]},
    {"anchors": [[0], [-1]]},
    {"anchors": [[0], []]},
    {"anchors": [[0]]},
    {"anchors": [[0], [1, 1]]},
    {"positions": [10]},
    {"positions": [10, 21]},
    {"positions": [10, -1]},
    {"positions": [10, 10, 10]},
]


def write(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Save two rows of 20 tokens with an anchor each; the header and tensors of the file."""
    memory = model().new_cache(2)
    read(model(), memory, 10)
    memory.mark()
    read(model(), memory, 10)
    save_cache(memory, path, model())
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["regreen.cache"]), tensors


@pytest.mark.parametrize("changed", HEADERS, ids=str)
def test_a_header_that_disagrees_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "state"
    header, tensors = write(path)
    assert header["anchors"] == [[0], [1]]
    assert header["positions"] == [10, 10]
    save_file(tensors, path, {"regreen.cache": json.dumps(header | changed)})

    with pytest.raises(CacheFileError, match="header") as caught:
        load_cache(path, model())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensor: tensor[:1].clone(),
        lambda tensor: tensor[None].clone(),
        lambda tensor: tensor.double(),
        lambda tensor: tensor.int(),
        lambda _: None,
    ],
    ids=["shorter", "deeper", "wider", "whole", "missing"],
)
def test_tensors_that_disagree_with_the_header_are_refused(
    change: Callable[[torch.Tensor], torch.Tensor | None], tmp_path: Path
) -> None:
    path = tmp_path / "state"
    header, tensors = write(path)
    metadata = {"regreen.cache": json.dumps(header)}
    for name, tensor in tensors.items():
        changed = change(tensor)
        if changed is not None and changed.dtype == tensor.dtype and changed.shape == tensor.shape:
            continue
        one = {other: kept for other, kept in tensors.items() if other != name}
        save_file(one if changed is None else one | {name: changed}, path, metadata)
        with pytest.raises(CacheFileError, match=name):
            load_cache(path, model())
    save_file(tensors | {"more": torch.zeros(1)}, path, metadata)
    with pytest.raises(CacheFileError, match="unknown tensor more"):
        load_cache(path, model())
    save_file(tensors, path, metadata)
    assert load_cache(path, model()).lengths == [20, 20]


@pytest.mark.parametrize("text", ["[]", "null", '"qwen3_next"', "3"])
def test_a_configuration_is_an_object(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(ValueError, match=r"config\.json holds a .*, not an object"):
        ModelConfig.load(tmp_path)
    with pytest.raises(CheckpointError, match="not an object"):
        load_checkpoint(tmp_path)


def test_a_file_depends_on_what_was_read_alone(tmp_path: Path) -> None:
    one, other, decoder = tmp_path / "one", tmp_path / "other", model()
    memory = decoder.new_cache(1)
    read(decoder, memory, 20)
    save_cache(memory, one, decoder)
    memory.rollback([20])
    memory.copy_tails(100)
    for track in memory.tracks:
        track.tail_BATW[:, :, 20:] = 7.0
    save_cache(memory, other, decoder)

    assert one.read_bytes() == other.read_bytes()
