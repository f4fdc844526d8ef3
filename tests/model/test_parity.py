"""The same numbers as transformers' qwen3_next on the same random weights.

Weights travel through a checkpoint, so names, order of rows and the configuration are compared as
well. Weights harsher than any initialisation magnify every rounding: there the two float32 models
drift apart, and the test asks which of them stays nearer to our float64 model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from regreen.model.borders import Borders
from regreen.model.checkpoint import load_checkpoint, save_checkpoint
from regreen.model.config import ModelConfig, Yarn
from regreen.model.decoder import Decoder
from regreen.model.layout import pieces
from regreen.model.moe import balance_loss
from regreen.model.rope import attention_factor, inverse_frequencies
from regreen.model.shapes import SHAPES

SMALL = SHAPES["1m"]
SHORT = {"vocab_size": 96, "hidden_size": 64}
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "deeper": {**SHORT, "num_hidden_layers": 12},
    "one value head per key head": {**SHORT, "linear_num_value_heads": 2},
    "four value heads per key head": {**SHORT, "linear_num_value_heads": 8},
    "untied": {**SHORT, "tie_word_embeddings": False},
    "dense": {**SHORT, "num_experts": 0},
    "mixed": {**SHORT, "mlp_only_layers": (1, 3)},
    "every second sparse": {**SHORT, "decoder_sparse_step": 2},
    "shares not normalised": {**SHORT, "norm_topk_prob": False},
    "YaRN": {**SHORT, "yarn": Yarn(factor=4.0, original_max_position_embeddings=64)},
    "attention first": {**SHORT, "layer_types": ("full_attention", *("linear_attention",) * 3)},
    "linear only": {**SHORT, "layer_types": ("linear_attention",) * 4},
    "attention only": {**SHORT, "layer_types": ("full_attention",) * 4},
    "other widths": {
        **SHORT,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 24,
        "linear_conv_kernel_dim": 3,
        "head_dim": 24,
        "partial_rotary_factor": 0.5,
        "num_key_value_heads": 1,
        "num_experts_per_tok": 3,
        "rms_norm_eps": 1e-5,
    },
}


def random_model(config: ModelConfig, seed: int = 1) -> Decoder:
    """No weight is neutral: norms and decays too are moved."""
    torch.manual_seed(seed)
    model = Decoder(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def theirs(model: Decoder, folder: Path) -> Any:
    from transformers import Qwen3NextForCausalLM

    save_checkpoint(model, folder)
    return Qwen3NextForCausalLM.from_pretrained(folder, dtype=torch.float32)


def tokens(config: ModelConfig, rows: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(config.vocab_size, (rows, count), generator=generator)


def gradient_there(gradients: dict[str, Tensor], name: str) -> Tensor:
    """The gradient of a tensor on disk; transformers holds a layer's experts in two stacks."""
    if ".experts." not in name:
        return gradients[name]
    front, rest = name.split(".experts.")
    expert, kind, _ = rest.split(".")
    if kind == "down_proj":
        return gradients[f"{front}.experts.down_proj"][int(expert)]
    both = gradients[f"{front}.experts.gate_up_proj"][int(expert)]
    return both.chunk(2)[kind == "up_proj"]


def worst_gradient(model: Decoder, other: Any) -> float:
    ours = {name: parameter.grad for name, parameter in model.named_parameters()}
    there = {name: parameter.grad for name, parameter in other.named_parameters()}
    worst, seen = 0.0, set()
    for piece in pieces(model.config):
        gradient = ours[piece.name]
        assert gradient is not None
        seen.add(piece.name)
        for name, part in zip(piece.tensors, piece.cut(gradient), strict=True):
            worst = max(worst, (part - gradient_there(there, name)).abs().max().item())
    assert seen == set(ours)
    return worst


def compare(config: ModelConfig, folder: Path, rows: int, count: int) -> tuple[float, float]:
    """The largest difference of logits and of gradients, both losses in the objective."""
    model = random_model(config)
    other = theirs(model, folder)
    tokens_BT = tokens(config, rows, count)
    sparse = any(config.sparse)
    own = model(tokens_BT)
    their = other(
        input_ids=tokens_BT, labels=tokens_BT, output_router_logits=sparse, use_cache=False
    )
    loss = functional.cross_entropy(own.logits[:, :-1].flatten(0, 1), tokens_BT[:, 1:].flatten())
    if sparse:
        auxiliary = balance_loss(own.routings)
        assert auxiliary.item() == pytest.approx(their.aux_loss.item(), rel=1e-5)
        loss = loss + config.router_aux_loss_coef * auxiliary
    assert loss.item() == pytest.approx(their.loss.item(), abs=1e-5)
    loss.backward()
    their.loss.backward()
    difference = (own.logits - their.logits).abs().max().item()
    return difference, worst_gradient(model, other)


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_losses_and_gradients_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    config = SMALL.model_copy(update=VARIANTS[name])
    logits, gradients = compare(config, tmp_path, 2, 90)

    assert logits <= 1e-5
    assert gradients <= 1e-5


def test_the_larger_shape_computes_what_transformers_does(tmp_path: Path) -> None:
    """To 1e-5 of the largest logit, some 2.7: its sums are long, and each order of them rounds."""
    logits, gradients = compare(SHAPES["23m"], tmp_path, 1, 70)

    assert logits <= 2.5e-5
    assert gradients <= 1e-5


@pytest.mark.parametrize(("rows", "count"), [(3, 1), (1, 2), (1, 64), (2, 130)])
def test_any_length_is_computed_as_there(rows: int, count: int, tmp_path: Path) -> None:
    model = random_model(SMALL)
    other = theirs(model, tmp_path)
    tokens_BT = tokens(SMALL, rows, count)
    with torch.no_grad():
        difference = model(tokens_BT).logits - other(input_ids=tokens_BT).logits

    assert difference.abs().max() <= 1e-5


def test_a_packed_row_holds_what_transformers_says_of_each_document(tmp_path: Path) -> None:
    lengths = (33, 1, 64, 2, 47)
    model = random_model(SMALL)
    other = theirs(model, tmp_path)
    tokens_1T = tokens(SMALL, 1, sum(lengths))
    with torch.no_grad():
        packed = model(tokens_1T, borders=Borders(lengths)).logits.split(lengths, dim=1)
        for document, logits in zip(tokens_1T.split(lengths, dim=1), packed, strict=True):
            assert (logits - other(input_ids=document).logits).abs().max() <= 1e-5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_harsh_weights_are_computed_as_well_as_there(seed: int, tmp_path: Path) -> None:
    harsh = {"num_hidden_layers": 8, "initializer_range": 0.1, "hidden_size": 96}
    config = SMALL.model_copy(update=harsh)
    model = random_model(config, seed)
    other = theirs(model, tmp_path)
    exact = load_checkpoint(tmp_path, dtype=torch.float64)
    tokens_BT = tokens(config, 2, 100)
    with torch.no_grad():
        wanted = exact(tokens_BT).logits
        own = (model(tokens_BT).logits - wanted).abs()
        their = (other(input_ids=tokens_BT).logits - wanted).abs()

    assert own.mean() <= 1.5 * their.mean()
    assert own.quantile(0.99) <= 2 * their.quantile(0.99)


def test_pads_do_not_count_in_the_balancing_loss(tmp_path: Path) -> None:
    from transformers.models.qwen3_next.modeling_qwen3_next import load_balancing_loss_func

    model = random_model(SMALL.model_copy(update=SHORT))
    tokens_BT = tokens(model.config, 2, 40)
    mask_BT = torch.ones(2, 40).masked_fill(torch.arange(40) >= torch.tensor([[40], [25]]), 0.0)
    routings = model(tokens_BT).routings
    logits = tuple(routing.probability_NE.log() for routing in routings)
    wanted = load_balancing_loss_func(logits, 8, 2, mask_BT)
    found = balance_loss(routings, mask_BT.flatten())

    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert found.item() != pytest.approx(balance_loss(routings).item(), rel=1e-5)


def test_bfloat16_is_as_close_to_float32_as_there(tmp_path: Path) -> None:
    config = SMALL.model_copy(update=SHORT)
    model = random_model(config)
    other = theirs(model, tmp_path).bfloat16()
    narrow = load_checkpoint(tmp_path, dtype=torch.bfloat16)
    tokens_BT = tokens(config, 2, 80)
    with torch.no_grad():
        wanted = model(tokens_BT).logits
        their = (other(input_ids=tokens_BT).logits.float() - wanted).abs().mean()
    output = narrow(tokens_BT)
    own = (output.logits.float() - wanted).abs().mean()
    output.logits.float().square().mean().backward()

    assert output.logits.dtype == torch.bfloat16
    assert own <= 1.5 * their
    for parameter in narrow.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


YARNS = (
    (SHAPES["80b"], Yarn(factor=4.0, original_max_position_embeddings=262_144)),
    (SHAPES["80b"], Yarn(factor=2.0, original_max_position_embeddings=262_144)),
    (
        SHAPES["80b"],
        Yarn(factor=8.0, original_max_position_embeddings=32_768, beta_fast=64.0, beta_slow=2.0),
    ),
    (SHAPES["80b"], Yarn(factor=4.0, original_max_position_embeddings=262_144, truncate=False)),
    (
        SHAPES["80b"],
        Yarn(factor=4.0, original_max_position_embeddings=4096, attention_factor=1.25),
    ),
    (SMALL, Yarn(factor=4.0, original_max_position_embeddings=64)),
)


@pytest.mark.parametrize(("config", "yarn"), YARNS)
def test_yarn_is_computed_as_there(config: ModelConfig, yarn: Yarn) -> None:
    from transformers import Qwen3NextConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    stretched = config.model_copy(update={"yarn": yarn})
    values = {k: v for k, v in stretched.to_hf().items() if k != "model_type"}
    wanted, factor = ROPE_INIT_FUNCTIONS["yarn"](Qwen3NextConfig(**values), torch.device("cpu"))

    assert torch.allclose(inverse_frequencies(stretched), wanted, rtol=1e-6, atol=0.0)
    assert attention_factor(yarn) == pytest.approx(factor)
