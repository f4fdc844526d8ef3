"""States are copied as often as asked for, and held once by all rows that use them."""

from __future__ import annotations

import torch

from regreen.model.cache import Cache
from regreen.model.decoder import Decoder
from regreen.model.shapes import SHAPES


def decoder() -> Decoder:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "layer_types": ("linear_attention",), "num_hidden_layers": 1}
    return Decoder(SHAPES["1m"].model_copy(update=shape)).eval()


@torch.no_grad()
def read(model: Decoder, memory: Cache, *counts: int) -> None:
    for count in counts:
        model(torch.zeros(memory.num_rows, count, dtype=torch.long), cache=memory)


def positions(memory: Cache) -> list[list[int]]:
    return [[anchor.position for anchor in row] for row in memory.recurrent.anchors.rows]


def test_states_are_copied_before_the_call_that_follows_enough_tokens() -> None:
    model = decoder()
    memory = model.new_cache(2, anchor_every=10)
    read(model, memory, *[1] * 25, 30, 1)
    assert positions(memory) == [[10, 20, 55]] * 2

    branch = memory.fork(1, at=22, copies=3)
    assert positions(branch) == [[10, 20]] * 3
    assert len(list(branch.recurrent.anchors)) == 2
    read(model, branch, 8, 1)
    assert positions(branch) == [[10, 20, 30]] * 3
    memory.rollback([56, 19])
    assert positions(memory) == [[10, 20, 55], [10]]
    read(model, memory, 2)
    assert positions(memory) == [[10, 20, 55], [10]]


def test_without_a_history_states_are_copied_only_when_asked_for() -> None:
    model = decoder()
    memory = model.new_cache(1, history=False, anchor_every=4)
    read(model, memory, 5, 5)
    assert positions(memory) == [[]]
    memory.mark()
    memory.mark()
    assert positions(memory) == [[10]]
