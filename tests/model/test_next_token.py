"""The multi-token-prediction layer against a plain computation from the tensors of a checkpoint.

The plain one knows only names and shapes on disk, and is written per token and per expert; in
`test_interchange` llama.cpp proposes the same tokens.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from regreen.model.borders import Borders
from regreen.model.checkpoint import tensors_of
from regreen.model.config import ModelConfig
from regreen.model.decoder import Decoder
from regreen.model.shapes import SHAPES

SMALL = SHAPES["1m"].model_copy(
    update={
        "vocab_size": 48,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "full_attention_interval": 2,
        "head_dim": 16,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "moe_intermediate_size": 12,
        "shared_expert_intermediate_size": 10,
        "intermediate_size": 20,
        "initializer_range": 0.15,
        "num_nextn_predict_layers": 1,
    }
)
VARIANTS: dict[str, dict[str, Any]] = {
    "sparse": {},
    "untied": {"tie_word_embeddings": False},
    "dense": {"num_experts": 0},
}
length = st.one_of(st.just(1), st.integers(1, 40))
lengths_ = st.lists(length, min_size=1, max_size=7)


@cache
def model(name: str) -> Decoder:
    torch.manual_seed(2)
    made = Decoder(SMALL.model_copy(update=VARIANTS[name])).double()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def tokens(count: int, seed: int = 0) -> Tensor:
    return torch.randint(48, (1, count), generator=torch.Generator().manual_seed(seed))


def norm(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * (1.0 + weight)


def attend(config: ModelConfig, own: dict[str, Tensor], x_TD: Tensor) -> Tensor:
    heads, keys, width = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    half = config.rotary_dim // 2
    inverse = config.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(len(x_TD))[:, None, None] * inverse.float()

    def turn(x: Tensor) -> Tensor:
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        cos, sin = angle.cos(), angle.sin()
        return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)

    both = (x_TD @ own["self_attn.q_proj.weight"].t()).view(-1, heads, 2, width)
    q, gate = both[:, :, 0], both[:, :, 1]
    k = (x_TD @ own["self_attn.k_proj.weight"].t()).view(-1, keys, width)
    v = (x_TD @ own["self_attn.v_proj.weight"].t()).view(-1, keys, width)
    q, k = (
        turn(norm(q, own["self_attn.q_norm.weight"])),
        turn(norm(k, own["self_attn.k_norm.weight"])),
    )
    out = []
    for head in range(heads):
        group = head * keys // heads
        scores = q[:, head] @ k[:, group].t() / math.sqrt(width)
        future = torch.ones_like(scores, dtype=torch.bool).triu(1)
        out.append(scores.masked_fill(future, -math.inf).softmax(-1) @ v[:, group])
    mixed = torch.stack(out, 1) * gate.sigmoid()
    return mixed.flatten(1) @ own["self_attn.o_proj.weight"].t()


def feed(own: dict[str, Tensor], prefix: str, x: Tensor) -> Tensor:
    gate, up, down = (own[f"{prefix}{name}_proj.weight"].t() for name in ("gate", "up", "down"))
    return functional.silu(x @ gate) * (x @ up) @ down


def mix_experts(config: ModelConfig, own: dict[str, Tensor], x_TD: Tensor) -> Tensor:
    if not config.num_experts:
        return feed(own, "mlp.", x_TD)
    rows = []
    for x_D in x_TD:
        shares = (own["mlp.gate.weight"] @ x_D).softmax(0)
        best = shares.topk(config.num_experts_per_tok).indices.tolist()
        gate = (own["mlp.shared_expert_gate.weight"] @ x_D).sigmoid()
        total = feed(own, "mlp.shared_expert.", x_D) * gate
        for expert in best:
            part = feed(own, f"mlp.experts.{expert}.", x_D)
            total = total + part * shares[expert] / shares[best].sum()
        rows.append(total)
    return torch.stack(rows)


def plain(decoder: Decoder, hidden_TD: Tensor, tokens_T: Tensor) -> Tensor:
    """(T - 1, V) logits of one document."""
    disk = dict(tensors_of(decoder))
    own = {name.removeprefix("mtp.layers.0."): tensor for name, tensor in disk.items()}
    embedding = norm(
        disk["model.embed_tokens.weight"][tokens_T[1:]], disk["mtp.pre_fc_norm_embedding.weight"]
    )
    hidden = norm(hidden_TD[:-1], disk["mtp.pre_fc_norm_hidden.weight"])
    u = torch.cat((embedding, hidden), -1) @ disk["mtp.fc.weight"].t()
    u = u + attend(decoder.config, own, norm(u, own["input_layernorm.weight"]))
    u = u + mix_experts(decoder.config, own, norm(u, own["post_attention_layernorm.weight"]))
    head = disk.get("lm_head.weight", disk["model.embed_tokens.weight"])
    return norm(u, disk["mtp.norm.weight"]) @ head.t()


@settings(max_examples=15)
@given(name=st.sampled_from(sorted(VARIANTS)), lengths=lengths_, seed=st.integers(0, 99))
def test_each_document_is_predicted_as_by_a_plain_computation(
    name: str, lengths: list[int], seed: int
) -> None:
    decoder, borders = model(name), Borders(tuple(lengths))
    tokens_1T = tokens(sum(lengths), seed)
    with torch.no_grad():
        output = decoder(tokens_1T, borders=borders)
        found = decoder.predict_next(output, tokens_1T, borders=borders)
    index, targets, wanted = [], [], [output.logits.new_zeros(0, 48)]
    for start, count in zip(borders.starts, lengths, strict=True):
        at = slice(start, start + count)
        index += list(range(start, start + count - 1))
        targets += [token + 2 if token + 2 < at.stop else -1 for token in range(start, at.stop - 1)]
        if count > 1:
            wanted.append(plain(decoder, output.hidden_ND[at], tokens_1T[0, at]))

    assert found.index_P.tolist() == index
    assert found.target_P.tolist() == targets
    assert torch.allclose(found.logits_PV, torch.cat(wanted), rtol=0, atol=1e-6)
    assert torch.allclose(decoder.unembed(found.hidden_PD), found.logits_PV)
    assert (found.routing is None) == (name == "dense" or not index)


@settings(max_examples=10)
@given(lengths=lengths_.filter(lambda all_: max(all_) > 1), data=st.data())
def test_packed_predictions_are_those_of_each_document_alone(
    lengths: list[int], data: st.DataObject
) -> None:
    decoder, borders = model("sparse"), Borders(tuple(lengths))
    tokens_1T = tokens(sum(lengths))
    held: list[Tensor] = []
    hook = decoder.embedding.register_forward_hook(lambda *call: held.append(call[2]))
    output = decoder(tokens_1T, borders=borders)
    packed = decoder.predict_next(output, tokens_1T, borders=borders)
    hook.remove()
    for start, count in zip(borders.starts, lengths, strict=True):
        document = tokens_1T[:, start : start + count]
        alone = decoder.predict_next(decoder(document), document)
        rows = (packed.index_P >= start) & (packed.index_P < start + count)
        assert torch.allclose(packed.logits_PV[rows], alone.logits_PV, rtol=0, atol=1e-10)

    start, count = data.draw(
        st.sampled_from([p for p in zip(borders.starts, lengths, strict=True) if p[1] > 1])
    )
    inside = (packed.index_P >= start) & (packed.index_P < start + count)
    gradients = torch.autograd.grad(packed.logits_PV[inside].square().sum(), held)
    trunk, ahead = gradients[0], torch.zeros_like(gradients[0])
    ahead[packed.index_P + 1] = gradients[1]
    other = torch.ones(sum(lengths), dtype=torch.bool)
    other[start : start + count] = False
    assert trunk[other].eq(0.0).all()
    assert ahead[other].eq(0.0).all()
    assert ahead[start + 1 : start + count].ne(0.0).any(1).all()


def test_a_batch_of_single_tokens_has_nothing_to_predict() -> None:
    decoder, tokens_1T = model("sparse"), tokens(5)
    borders = Borders((1,) * 5)
    output = decoder(tokens_1T, borders=borders)
    found = decoder.predict_next(output, tokens_1T, borders=borders)

    assert found.logits_PV.shape == (0, 48)
    assert found.index_P.numel() == found.target_P.numel() == 0
    (found.logits_PV.sum() + output.logits.sum()).backward()


def test_the_layer_learns_and_teaches_the_trunk() -> None:
    torch.manual_seed(0)
    decoder = Decoder(SMALL.model_copy(update={"num_experts": 4}))
    tokens_BT = (torch.arange(24) * 7 % 48).repeat(4, 1)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        output = decoder(tokens_BT)
        found = decoder.predict_next(output, tokens_BT)
        known = found.target_P >= 0
        targets = tokens_BT.flatten()[found.target_P[known]]
        loss = functional.cross_entropy(found.logits_PV[known], targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(p.grad is not None for p in decoder.parameters() if p is not decoder.output)
    assert decoder.layers[0].input_norm.weight.grad.ne(0.0).any()  # type: ignore[union-attr]
    assert losses[-1] < losses[0] / 2


def test_borders_scored_without_gradients_can_be_trained_with() -> None:
    decoder, tokens_1T, borders = model("sparse"), tokens(12), Borders((7, 1, 4))
    with torch.inference_mode():
        decoder.predict_next(decoder(tokens_1T, borders=borders), tokens_1T, borders=borders)
    output = decoder(tokens_1T, borders=borders)
    found = decoder.predict_next(output, tokens_1T, borders=borders)

    torch.autograd.grad(found.logits_PV.sum(), decoder.embedding.weight)


def test_replayed_experts_act_again() -> None:
    decoder, tokens_1T = model("sparse"), tokens(30)
    output = decoder(tokens_1T)
    first = decoder.predict_next(output, tokens_1T)
    assert first.routing is not None
    again = decoder.predict_next(output, tokens_1T, replay_NK=first.routing.index_NK)
    other = decoder.predict_next(
        output, tokens_1T, replay_NK=(first.routing.index_NK + 1) % SMALL.num_experts
    )

    assert torch.equal(first.logits_PV, again.logits_PV)
    assert not torch.allclose(first.logits_PV, other.logits_PV)


def test_a_model_without_the_layer_says_so() -> None:
    config = SMALL.model_copy(update={"num_nextn_predict_layers": 0})
    decoder, tokens_1T = Decoder(config), tokens(3)
    output = decoder(tokens_1T)
    assert decoder.next_token is None
    with pytest.raises(ValueError, match="num_nextn_predict_layers is 0"):
        decoder.predict_next(output, tokens_1T)
    with pytest.raises(ValueError, match="borders cover 4 tokens"):
        model("dense").predict_next(output, tokens_1T, borders=Borders((4,)))
