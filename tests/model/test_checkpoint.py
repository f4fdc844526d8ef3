"""Checkpoints: ours read by transformers, theirs by us, and what is wrong with one said plainly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from regreen.model.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, tensors_of
from regreen.model.config import ModelConfig, Yarn
from regreen.model.decoder import Decoder
from regreen.model.shapes import SHAPES

SMALL = SHAPES["1m"].model_copy(update={"vocab_size": 64, "hidden_size": 32})
VARIANTS: dict[str, dict[str, Any]] = {
    "tied": {},
    "untied": {"tie_word_embeddings": False},
    "dense": {"num_experts": 0},
    "mixed": {"mlp_only_layers": (1,)},
    "YaRN": {"yarn": Yarn(factor=2.0, original_max_position_embeddings=64)},
}
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def random_model(dtype: torch.dtype = torch.float32, **changes: Any) -> Decoder:
    torch.manual_seed(0)
    model = Decoder(SMALL.model_copy(update=changes))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.to(dtype)


def same(one: Decoder, other: Decoder) -> bool:
    mine, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    return mine.keys() == theirs.keys() and all(
        mine[name].dtype == theirs[name].dtype and torch.equal(mine[name], theirs[name])
        for name in mine
    )


def spelled(config: ModelConfig) -> ModelConfig:
    return config.model_copy(update={"layer_types": config.mixers})


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_written_is_read(name: str, ahead: int, dtype: torch.dtype, tmp_path: Path) -> None:
    model = random_model(dtype, num_nextn_predict_layers=ahead, **VARIANTS[name])
    save_checkpoint(model, tmp_path)
    again = load_checkpoint(tmp_path)

    assert same(model, again)
    assert again.config == spelled(model.config)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", WEIGHTS]
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == str(dtype)[6:]
    ids = torch.arange(40)[None]
    assert torch.equal(model(ids).logits, again(ids).logits)


@pytest.mark.parametrize("limit", [1, 30_000, 200_000])
def test_shards_hold_every_tensor_once_and_no_more_than_asked(limit: int, tmp_path: Path) -> None:
    model = random_model(num_nextn_predict_layers=1)
    save_checkpoint(model, tmp_path, shard_bytes=limit)
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    index = json.loads((tmp_path / INDEX).read_text())
    found: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        assert shard.name == f"model-{number:05}-of-{len(shards):05}.safetensors"
        held = load_file(shard)
        assert len(held) == 1 or sum(t.nbytes for t in held.values()) <= limit
        assert not found.keys() & held.keys()
        found.update(dict.fromkeys(held, shard.name))

    assert found == index["weight_map"]
    written = dict(tensors_of(model))
    assert found.keys() == written.keys()
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in written.values())
    assert same(model, load_checkpoint(tmp_path))


def test_a_checkpoint_replaces_the_one_before(tmp_path: Path) -> None:
    save_checkpoint(random_model(), tmp_path, shard_bytes=30_000)
    (tmp_path / "tokenizer.json").write_text("{}")
    other = random_model(tie_word_embeddings=False)
    save_checkpoint(other, tmp_path)

    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["config.json", WEIGHTS, "tokenizer.json"]
    assert same(other, load_checkpoint(tmp_path))


def test_types_change_on_the_way_when_asked(tmp_path: Path) -> None:
    model = random_model()
    save_checkpoint(model, tmp_path, dtype=torch.bfloat16)
    wide = load_checkpoint(tmp_path, dtype=torch.float32)

    with safe_open(tmp_path / WEIGHTS, framework="pt") as file:
        assert all(file.get_tensor(name).dtype == torch.bfloat16 for name in file.keys())  # noqa: SIM118
    assert next(model.parameters()).dtype == torch.float32
    for one, other in zip(model.parameters(), wide.parameters(), strict=True):
        assert torch.equal(one.bfloat16().float(), other)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("limit", [50_000, 5_000_000_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_transformers_reads_ours_and_we_read_what_it_writes(
    name: str, limit: int, dtype: torch.dtype, tmp_path: Path
) -> None:
    from transformers import Qwen3NextForCausalLM

    model = random_model(dtype, **VARIANTS[name])
    save_checkpoint(model, tmp_path / "ours", shard_bytes=limit)
    theirs, info = Qwen3NextForCausalLM.from_pretrained(
        tmp_path / "ours", dtype="auto", output_loading_info=True
    )
    assert not any(info.values())
    assert theirs.dtype == dtype
    assert (theirs.lm_head.weight is theirs.model.embed_tokens.weight) == (
        model.config.tie_word_embeddings
    )
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size=limit)
    again = load_checkpoint(tmp_path / "theirs")

    assert same(model, again)
    assert again.config == spelled(model.config)


def test_transformers_leaves_the_prediction_layer_aside(tmp_path: Path) -> None:
    from transformers import Qwen3NextForCausalLM

    model = random_model(num_nextn_predict_layers=1)
    save_checkpoint(model, tmp_path)
    theirs, info = Qwen3NextForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, output_loading_info=True
    )
    ids = torch.arange(30)[None]

    assert not info["missing_keys"]
    assert (theirs(input_ids=ids).logits - model(ids).logits).abs().max() <= 1e-5


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def drop_layer(tensors: dict[str, torch.Tensor]) -> None:
    for name in list(tensors):
        if name.startswith("model.layers.2.mlp.shared_expert"):
            del tensors[name]


def cut_query(tensors: dict[str, torch.Tensor]) -> None:
    name = "model.layers.3.self_attn.q_proj.weight"
    tensors[name] = tensors[name][:-1].clone()


def cut_expert(tensors: dict[str, torch.Tensor]) -> None:
    name = "model.layers.0.mlp.experts.5.up_proj.weight"
    tensors[name] = tensors[name].t().contiguous()


def widen_norm(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"] = torch.zeros(33)


def add_bias(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.3.self_attn.q_proj.bias"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (drop_layer, r"lacks 4 tensors, the first is model\.layers\.2\.mlp\.shared_expert\.down"),
        (cut_query, r"layers\.3\.self_attn\.q_proj\.weight in .* \(255, 32\), .* \(256, 32\)"),
        (cut_expert, r"experts\.5\.up_proj\.weight in .* \(32, 64\), .* \(64, 32\)"),
        (widen_norm, r"model\.norm\.weight in .* has shape \(33,\), .* \(32,\)"),
        (add_bias, r"1 tensors this model has no place for, as .*q_proj\.bias"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    edit: Callable[[dict[str, torch.Tensor]], None], said: str, tmp_path: Path
) -> None:
    save_checkpoint(random_model(), tmp_path)
    change(tmp_path, edit)

    with pytest.raises(CheckpointError, match=said) as caught:
        load_checkpoint(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_tied_checkpoint_may_hold_the_output_matrix_too(tmp_path: Path) -> None:
    model = random_model()
    save_checkpoint(model, tmp_path)
    change(tmp_path, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))

    assert same(model, load_checkpoint(tmp_path))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model_type": "qwen3_moe"}, "model_type is 'qwen3_moe'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"num_experts_per_tok": 9}, "num_experts_per_tok cannot exceed"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "rope_type is 'llama3'"),
        (
            {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "mscale": 0.7}},
            "mscale in the rotary settings",
        ),
    ],
)
def test_another_model_is_refused(values: dict[str, Any], said: str, tmp_path: Path) -> None:
    save_checkpoint(random_model(), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    with pytest.raises(CheckpointError, match=said) as caught:
        load_checkpoint(tmp_path)
    assert str(path) in str(caught.value)


def test_a_folder_without_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        load_checkpoint(tmp_path)
    save_checkpoint(random_model(), tmp_path, shard_bytes=100_000)
    shard = next(tmp_path.glob("model-00002-of-*"))
    held = shard.read_bytes()
    shard.unlink()
    with pytest.raises(CheckpointError, match="lacks 1 files that its index names, as model-00002"):
        load_checkpoint(tmp_path)
    shard.write_bytes(held[: len(held) // 2])
    with pytest.raises(CheckpointError, match=r"model-00002.* is not a whole safetensors file"):
        load_checkpoint(tmp_path)
    save_file({"other": torch.zeros(1)}, shard)
    with pytest.raises(CheckpointError, match=r"model-00002.* lacks model\..*, which the index"):
        load_checkpoint(tmp_path)
    (tmp_path / INDEX).write_text('{"weight_map": []}')
    with pytest.raises(CheckpointError, match="names no file for each tensor"):
        load_checkpoint(tmp_path)
    (tmp_path / INDEX).unlink()
    with pytest.raises(CheckpointError, match=r"holds neither model\.safetensors nor"):
        load_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: "):
        load_checkpoint(tmp_path)


def test_an_interrupted_write_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    older = random_model()
    save_checkpoint(older, tmp_path)
    broken = random_model()
    broken.norm.weight = torch.nn.Parameter(torch.zeros(32, device="meta"))
    with pytest.raises(NotImplementedError, match="meta"):
        save_checkpoint(broken, tmp_path, shard_bytes=20_000)

    loaded = load_checkpoint(tmp_path)

    assert torch.equal(loaded.embedding.weight, older.embedding.weight)
    save_checkpoint(older, tmp_path)
    assert not list(tmp_path.glob(".writing*"))


def test_files_of_others_stay_and_older_shards_go(tmp_path: Path) -> None:
    model = Decoder(SHAPES["1m"])
    save_checkpoint(model, tmp_path, shard_bytes=1_000_000)
    (tmp_path / "model_best.safetensors").write_text("mine")
    (tmp_path / "model-notes.safetensors").write_text("mine")
    assert (tmp_path / "model.safetensors.index.json").exists()

    save_checkpoint(model, tmp_path)

    names = {path.name for path in tmp_path.iterdir()}
    mine = {"model_best.safetensors", "model-notes.safetensors"}
    assert names == {"config.json", "model.safetensors"} | mine
