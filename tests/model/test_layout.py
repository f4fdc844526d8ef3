"""Every parameter has one place on disk, and cutting and joining are inverse."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.model.config import ModelConfig
from regreen.model.decoder import Decoder
from regreen.model.layout import pieces
from regreen.model.shapes import SHAPES

SMALL = SHAPES["1m"].model_copy(update={"vocab_size": 40, "hidden_size": 24})
VARIANTS = {
    "tied": SMALL,
    "untied": SMALL.model_copy(update={"tie_word_embeddings": False}),
    "dense": SMALL.model_copy(update={"num_experts": 0}),
    "mixed": SMALL.model_copy(update={"mlp_only_layers": (0, 3)}),
    "next token": SMALL.model_copy(update={"num_nextn_predict_layers": 1}),
    "dense with next token": SMALL.model_copy(
        update={"num_experts": 0, "num_nextn_predict_layers": 1}
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_has_one_piece_and_every_tensor_one_name(name: str) -> None:
    config = VARIANTS[name]
    with torch.device("meta"):
        parameters = dict(Decoder(config).named_parameters())
    found = list(pieces(config))

    assert sorted(piece.name for piece in found) == sorted(parameters)
    assert not [key for key in Decoder(config).state_dict() if key not in parameters]
    names = Counter(tensor for piece in found for tensor in piece.tensors)
    assert set(names.values()) == {1}


@settings(max_examples=20)
@given(
    heads=st.sampled_from(((1, 1), (4, 2), (6, 3))),
    linear=st.sampled_from(((1, 1), (2, 4), (2, 6))),
    widths=st.tuples(st.sampled_from((4, 8)), st.integers(1, 5), st.integers(1, 5)),
    inner=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    experts=st.integers(0, 4),
    tied=st.booleans(),
    ahead=st.integers(0, 1),
)
def test_cutting_and_joining_are_inverse(
    heads: tuple[int, int],
    linear: tuple[int, int],
    widths: tuple[int, int, int],
    inner: tuple[int, int, int],
    experts: int,
    tied: bool,
    ahead: int,
) -> None:
    config = ModelConfig(
        vocab_size=5,
        hidden_size=6,
        num_hidden_layers=2,
        full_attention_interval=2,
        num_attention_heads=heads[0],
        num_key_value_heads=heads[1],
        head_dim=widths[0],
        partial_rotary_factor=0.5,
        linear_num_key_heads=linear[0],
        linear_num_value_heads=linear[1],
        linear_key_head_dim=widths[1],
        linear_value_head_dim=widths[2],
        num_experts=experts,
        num_experts_per_tok=max(1, experts // 2),
        moe_intermediate_size=inner[0],
        shared_expert_intermediate_size=inner[1],
        intermediate_size=inner[2],
        tie_word_embeddings=tied,
        num_nextn_predict_layers=ahead,
    )
    model = Decoder(config)
    for piece in pieces(config):
        parameter = model.get_parameter(piece.name).detach()
        numbered = torch.arange(parameter.numel(), dtype=torch.float32).view_as(parameter)
        parts = piece.cut(numbered)
        assert len(parts) == len(piece.tensors)
        assert sum(part.numel() for part in parts) == parameter.numel()
        assert torch.equal(piece.join([part.clone() for part in parts]), numbered)


def test_rows_are_interleaved_by_head_on_disk() -> None:
    """Queries and gates by head; the DeltaNet's six kinds by key head."""
    config = SMALL.model_copy(
        update={"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4}
    )
    attention = next(p for p in pieces(config) if p.name == "layers.3.mixer.in_proj.weight")
    labels = torch.tensor(
        [10.0] * 4 + [11.0] * 4 + [20.0] * 4 + [21.0] * 4 + [30.0] * 4 + [40.0] * 4
    )
    query, key, value = attention.cut(labels.expand(24, -1))
    assert query[::4, 0].tolist() == [10, 20, 11, 21]  # head 0: query, gate; head 1 …
    assert key.eq(30).all()
    assert value.eq(40).all()

    config = SMALL.model_copy(
        update={
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 1,
            "linear_value_head_dim": 1,
        }
    )
    net = next(p for p in pieces(config) if p.name == "layers.0.mixer.in_proj.weight")
    rows = [1, 2, 3, 4, 51, 52, 53, 54, 61, 62, 63, 64, 71, 72, 73, 74, 81, 82, 83, 84]
    qkvz, ba = net.cut(torch.tensor(rows, dtype=torch.float32).expand(24, -1))
    assert qkvz[:, 0].tolist() == [1, 3, 51, 52, 61, 62, 2, 4, 53, 54, 63, 64]
    assert ba[:, 0].tolist() == [71, 72, 81, 82, 73, 74, 83, 84]
