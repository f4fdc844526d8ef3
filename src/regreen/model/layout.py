"""How a parameter in memory is laid out on disk: Hugging Face's names, pieces and row orders.

In memory matrices that read the same input are one, because one product is cheaper than three, and
stored input by output. On disk they are the several matrices of `qwen3_next`, output by input, with
rows interleaved by head. Each parameter has one `Piece` that says which tensors it becomes, and how
to cut and join them.

Shapes: D model width, G key heads, and the rows of a matrix in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regreen.model.config import ModelConfig

__all__ = ["Piece", "pieces"]


@dataclass(frozen=True)
class Piece:
    """One parameter in memory and its tensors on disk."""

    name: str
    """The parameter's name in `Decoder.state_dict()`."""
    tensors: tuple[str, ...]
    """Names on disk, in the order of `cut` and `join`."""
    cut: Callable[[Tensor], Sequence[Tensor]]
    """From memory to disk."""
    join: Callable[[Sequence[Tensor]], Tensor]
    """From disk to memory."""


def pieces(config: ModelConfig) -> Iterator[Piece]:
    """Every parameter of a `Decoder` of this shape."""
    yield _same("embedding.weight", "model.embed_tokens.weight")
    for number, (mixer, sparse) in enumerate(zip(config.mixers, config.sparse, strict=True)):
        ours, disk = f"layers.{number}.", f"model.layers.{number}."
        yield from _layer(config, ours, disk, attention=mixer == "full_attention", sparse=sparse)
    yield _same("norm.weight", "model.norm.weight")
    if not config.tie_word_embeddings:
        yield _matrix("output.weight", "lm_head.weight")
    if config.num_nextn_predict_layers:
        yield _matrix("next_token.join.weight", "mtp.fc.weight")
        for ours, disk in (
            ("norm", "norm"),
            ("embedding_norm", "pre_fc_norm_embedding"),
            ("hidden_norm", "pre_fc_norm_hidden"),
        ):
            yield _same(f"next_token.{ours}.weight", f"mtp.{disk}.weight")
        sparse = config.num_experts > 0
        yield from _layer(
            config, "next_token.layer.", "mtp.layers.0.", attention=True, sparse=sparse
        )


def _layer(
    config: ModelConfig, ours: str, disk: str, *, attention: bool, sparse: bool
) -> Iterator[Piece]:
    yield _same(f"{ours}input_norm.weight", f"{disk}input_layernorm.weight")
    yield _same(f"{ours}middle_norm.weight", f"{disk}post_attention_layernorm.weight")
    if attention:
        yield from _attention(config, f"{ours}mixer.", f"{disk}self_attn.")
    else:
        yield from _delta_net(config, f"{ours}mixer.", f"{disk}linear_attn.")
    if sparse:
        yield from _sparse(config, f"{ours}feed_forward.", f"{disk}mlp.")
    else:
        yield from _dense(f"{ours}feed_forward.", f"{disk}mlp.", config.intermediate_size)


def _same(ours: str, disk: str) -> Piece:
    return Piece(ours, (disk,), lambda tensor: (tensor,), lambda tensors: tensors[0])


def _matrix(ours: str, disk: str) -> Piece:
    """One matrix, input by output in memory, output by input on disk."""
    return Piece(ours, (disk,), lambda tensor: (tensor.t(),), lambda tensors: tensors[0].t())


def _beside(ours: str, disk: Sequence[str], sizes: Sequence[int]) -> Piece:
    """Several matrices that read the same input."""
    return Piece(
        ours,
        tuple(disk),
        lambda tensor: tensor.t().split(list(sizes)),
        lambda tensors: torch.cat(list(tensors)).t(),
    )


def _attention(config: ModelConfig, ours: str, disk: str) -> Iterator[Piece]:
    heads, keys, width = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    sizes = (2 * heads * width, keys * width, keys * width)

    def cut(tensor: Tensor) -> Sequence[Tensor]:
        query, k, v = tensor.t().split(sizes)
        both = query.unflatten(0, (2, heads, width)).transpose(0, 1)
        return both.flatten(0, 2), k, v

    def join(tensors: Sequence[Tensor]) -> Tensor:
        query, k, v = tensors
        both = query.unflatten(0, (heads, 2, width)).transpose(0, 1)
        return torch.cat((both.flatten(0, 2), k, v)).t()

    names = tuple(f"{disk}{name}_proj.weight" for name in "qkv")
    yield Piece(f"{ours}in_proj.weight", names, cut, join)
    yield _matrix(f"{ours}out_proj.weight", f"{disk}o_proj.weight")
    yield _same(f"{ours}q_norm.weight", f"{disk}q_norm.weight")
    yield _same(f"{ours}k_norm.weight", f"{disk}k_norm.weight")


def _delta_net(config: ModelConfig, ours: str, disk: str) -> Iterator[Piece]:
    heads = config.linear_num_key_heads
    share = config.linear_num_value_heads // heads
    key, value = config.linear_key_head_dim, share * config.linear_value_head_dim
    kinds = (key, key, value, value, share, share)  # q, k, v, z, b, a of one key head

    def cut(tensor: Tensor) -> Sequence[Tensor]:
        rows = [
            part.unflatten(0, (heads, width))
            for part, width in zip(
                tensor.t().split([heads * width for width in kinds]), kinds, strict=True
            )
        ]
        return torch.cat(rows[:4], 1).flatten(0, 1), torch.cat(rows[4:], 1).flatten(0, 1)

    def join(tensors: Sequence[Tensor]) -> Tensor:
        qkvz, ba = (tensor.unflatten(0, (heads, -1)) for tensor in tensors)
        parts = [*qkvz.split(kinds[:4], 1), *ba.split(kinds[4:], 1)]
        return torch.cat([part.flatten(0, 1) for part in parts]).t()

    names = (f"{disk}in_proj_qkvz.weight", f"{disk}in_proj_ba.weight")
    yield Piece(f"{ours}in_proj.weight", names, cut, join)
    yield Piece(
        f"{ours}conv",
        (f"{disk}conv1d.weight",),
        lambda tensor: (tensor[:, None],),
        lambda tensors: tensors[0][:, 0],
    )
    yield _same(f"{ours}a_log", f"{disk}A_log")
    yield _same(f"{ours}dt_bias", f"{disk}dt_bias")
    yield _same(f"{ours}norm.weight", f"{disk}norm.weight")
    yield _matrix(f"{ours}out_proj.weight", f"{disk}out_proj.weight")


def _dense(ours: str, disk: str, inner: int) -> Iterator[Piece]:
    names = (f"{disk}gate_proj.weight", f"{disk}up_proj.weight")
    yield _beside(f"{ours}gate_up_proj.weight", names, (inner, inner))
    yield _matrix(f"{ours}down_proj.weight", f"{disk}down_proj.weight")


def _sparse(config: ModelConfig, ours: str, disk: str) -> Iterator[Piece]:
    experts = [f"{disk}experts.{number}." for number in range(config.num_experts)]
    names = (f"{disk}gate.weight", f"{disk}shared_expert_gate.weight")
    yield _beside(f"{ours}router.weight", names, (config.num_experts, 1))

    def cut(tensor: Tensor) -> Sequence[Tensor]:
        return [half for expert in tensor for half in expert.t().chunk(2)]

    def join(tensors: Sequence[Tensor]) -> Tensor:
        both = torch.stack(list(tensors)).unflatten(0, (len(experts), 2))
        return both.flatten(1, 2).mT

    halves = [f"{e}{kind}_proj.weight" for e in experts for kind in ("gate", "up")]
    yield Piece(f"{ours}experts.gate_up_proj", tuple(halves), cut, join)
    yield Piece(
        f"{ours}experts.down_proj",
        tuple(f"{expert}down_proj.weight" for expert in experts),
        lambda tensor: tensor.mT.unbind(),
        lambda tensors: torch.stack([tensor.t() for tensor in tensors]),
    )
    inner = config.shared_expert_intermediate_size
    yield from _dense(f"{ours}shared_expert.", f"{disk}shared_expert.", inner)
