"""The loss curves of two small models on packed documents, as they were when they were right.

A changed formula moves a curve by more than the tolerance, a changed order of sums does not. After
a change that is meant to move them, REGREEN_WRITE_GOLDEN=1 writes the file anew.

Each document is an arithmetic progression with its own start and step: what follows can be said
from two tokens of the same document and from no other, so borders matter. The curves are those of
float64: one rounding in float32 can choose another expert, and 20 steps make 1e-1 of it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from regreen.model.borders import Borders
from regreen.model.config import ModelConfig, Yarn
from regreen.model.decoder import Decoder
from regreen.model.moe import balance_loss
from regreen.model.shapes import SHAPES

GOLDEN = Path(__file__).with_name("golden_losses.json")
WRITE = "REGREEN_WRITE_GOLDEN"
TOLERANCE = 1e-4
LENGTHS = (24, 1, 17, 40, 2, 33, 16)
CONFIGS = {
    "1m": SHAPES["1m"],
    "another order": ModelConfig(
        vocab_size=128,
        hidden_size=64,
        num_hidden_layers=4,
        layer_types=("full_attention", "linear_attention", "linear_attention", "full_attention"),
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=16,
        partial_rotary_factor=0.5,
        rope_theta=10_000.0,
        yarn=Yarn(factor=4.0, original_max_position_embeddings=32),
        linear_num_key_heads=1,
        linear_num_value_heads=4,
        linear_key_head_dim=16,
        linear_value_head_dim=24,
        num_experts=6,
        num_experts_per_tok=3,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=24,
        intermediate_size=96,
        mlp_only_layers=(2,),
        router_aux_loss_coef=0.01,
        num_nextn_predict_layers=1,
    ),
}


def batch(step: int) -> Tensor:
    """One packed row; no random number, so that no generator's version matters."""
    tokens: list[int] = []
    for document, length in enumerate(LENGTHS):
        start, stride = 37 * (step + 1) * (document + 3), 1 + (step + 3 * document) % 5
        tokens += [(start + stride * place) % 61 for place in range(length)]
    return torch.tensor([tokens])


def loss_of(model: Decoder, tokens_1T: Tensor, borders: Borders) -> Tensor:
    """Of the next token inside each document, of the one after it, and of uneven experts."""
    output = model(tokens_1T, borders=borders)
    flat = tokens_1T[0]
    own = Borders(LENGTHS)
    inside = own.positions_N[1:] > 0
    loss = functional.cross_entropy(output.logits[0, :-1][inside], flat[1:][inside])
    loss = loss + model.config.router_aux_loss_coef * balance_loss(output.routings)
    if model.next_token is not None:
        ahead = model.predict_next(output, tokens_1T, borders=borders)
        known = ahead.target_P >= 0
        targets = flat[ahead.target_P[known]]
        loss = loss + 0.3 * functional.cross_entropy(ahead.logits_PV[known], targets)
    return loss


def curve(config: ModelConfig, dtype: torch.dtype, borders: Borders, num_steps: int) -> list[float]:
    """Losses of the steps, before each."""
    torch.manual_seed(0)
    model = Decoder(config).to(dtype)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, eps=1e-6, weight_decay=0.1)
    losses = []
    for step in range(num_steps):
        loss = loss_of(model, batch(step), borders)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", CONFIGS)
def test_losses_are_what_they_were(name: str) -> None:
    found = curve(CONFIGS[name], torch.float64, Borders(LENGTHS), 20)
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get(WRITE):
        golden[name] = [round(loss, 6) for loss in found]
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")

    assert name in golden, f"no curve of {name!r}; write it with {WRITE}=1"
    assert found == pytest.approx(golden[name], abs=TOLERANCE, rel=0)
    assert found[-1] < found[0] - 0.3


@pytest.mark.parametrize("name", CONFIGS)
def test_float32_goes_the_same_way(name: str) -> None:
    found = curve(CONFIGS[name], torch.float32, Borders(LENGTHS), 4)

    assert found == pytest.approx(json.loads(GOLDEN.read_text())[name][:4], abs=TOLERANCE, rel=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_without_borders_is_another_curve(name: str) -> None:
    config = CONFIGS[name].model_copy(update={"num_nextn_predict_layers": 0})
    apart = curve(config, torch.float32, Borders(LENGTHS), 5)
    as_one = curve(config, torch.float32, Borders((sum(LENGTHS),)), 5)

    differences = [abs(one - other) for one, other in zip(apart, as_one, strict=True)]
    assert max(differences) > 10 * TOLERANCE
