"""Rows of caches of different origin, decoded side by side."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from regreen.model.cache import Cache
from regreen.model.config import LayerType
from regreen.model.decoder import Decoder
from regreen.model.joining import join
from regreen.model.shapes import SHAPES

MIXED: tuple[LayerType, ...] = ("linear_attention", "full_attention")


def small(layers: tuple[LayerType, ...]) -> Decoder:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "layer_types": layers, "num_hidden_layers": len(layers)}
    return Decoder(SHAPES["1m"].model_copy(update=shape)).double().eval()


@torch.no_grad()
def read(decoder: Decoder, memory: Cache, start: int, count: int) -> Tensor:
    """Logits of tokens start, start + 1 … in every row."""
    tokens = torch.arange(start, start + count).expand(memory.num_rows, -1)
    return decoder(tokens, cache=memory).logits


@pytest.mark.parametrize("history", [True, False], ids=["history", "anchors"])
@pytest.mark.parametrize(
    "layers", [MIXED, MIXED[:1] * 2, MIXED[1:] * 2], ids=["mixed", "recurrent", "attention"]
)
def test_rows_of_any_origin_go_on_together(layers: tuple[LayerType, ...], history: bool) -> None:
    decoder = small(layers)
    whole = decoder(torch.arange(60)[None]).logits[0]
    parent, alone = decoder.new_cache(1, history=history), decoder.new_cache(2, history=history)
    read(decoder, parent, 0, 20)
    branch = parent.fork(copies=2)
    read(decoder, branch, 20, 11)
    read(decoder, alone, 0, 7)
    both = join([alone, branch, parent])
    positions = [7, 7, 31, 31, 20]

    assert both.lengths == positions
    for step in range(5):
        with torch.no_grad():
            tokens = torch.tensor([[position + step] for position in positions])
            got = decoder(tokens, cache=both).logits[:, 0]
        expected = whole[[position + step for position in positions]]
        assert (got - expected).abs().max() <= 1e-10
    assert [alone.lengths, branch.lengths, parent.lengths] == [[7, 7], [31, 31], [20]]
    assert (read(decoder, branch, 31, 2) - whole[31:33]).abs().max() <= 1e-10
    if history:
        again = both.fork(2, at=25)
        assert (read(decoder, again, 25, 9) - whole[25:34]).abs().max() <= 1e-10


def test_branches_of_one_fork_go_on_sharing_and_others_do_not() -> None:
    decoder = small(MIXED)
    parent, other = decoder.new_cache(1), decoder.new_cache(1)
    for memory in (parent, other):
        read(decoder, memory, 0, 50)
    first, second = parent.fork(copies=3), parent.fork(copies=2)

    assert join([first, second]).rows.shared == 50
    assert join([first, other.fork()]).rows.shared == 0
    assert join([first, parent.fork(at=49)]).rows.shared == 0
