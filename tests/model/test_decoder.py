"""The whole decoder: new weights, chosen logits, and derivatives no more than once."""

from __future__ import annotations

import pytest
import torch

from regreen.model.borders import Borders
from regreen.model.decoder import Decoder
from regreen.model.shapes import SHAPES

SMALL = SHAPES["1m"].model_copy(
    update={"vocab_size": 64, "hidden_size": 64, "num_nextn_predict_layers": 1}
)


def test_weights_drawn_for_a_model_without_memory_are_those_of_a_new_one() -> None:
    new = Decoder(SMALL)
    torch.manual_seed(3)
    new.reset()
    with torch.device("meta"):
        empty = Decoder(SMALL)
    empty = empty.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in empty.parameters():
            parameter.fill_(float("nan"))
    torch.manual_seed(3)
    empty.reset()

    for one, other in zip(new.parameters(), empty.parameters(), strict=True):
        assert torch.equal(one, other)


def test_new_weights_have_the_deviation_asked_for() -> None:
    torch.manual_seed(0)
    model = Decoder(SMALL.model_copy(update={"initializer_range": 0.05}))
    for name, parameter in model.named_parameters():
        if name.endswith(("norm.weight", "dt_bias")):
            neutral = 1.0 if name.endswith(("mixer.norm.weight", "dt_bias")) else 0.0
            assert parameter.eq(neutral).all(), name
        elif name.endswith("a_log"):
            assert parameter.exp().min() > 0.0
            assert parameter.exp().max() <= 16.0
        elif name.endswith("conv"):
            assert parameter.abs().max() <= 0.5
        else:
            assert parameter.std().item() == pytest.approx(0.05, rel=0.05), name


@pytest.mark.parametrize("chosen", [slice(-3, None), slice(0, 1), [5, 2, 40]])
def test_chosen_tokens_have_the_logits_they_have_among_all(chosen: slice | list[int]) -> None:
    torch.manual_seed(0)
    model, borders = Decoder(SMALL), Borders((30, 1, 18))
    tokens_1T = torch.randint(64, (1, 49))
    index = torch.tensor(chosen) if isinstance(chosen, list) else chosen
    whole = model(tokens_1T, borders=borders)
    found = model(tokens_1T, borders=borders, chosen=index)

    assert (found.logits - whole.logits[0, index]).abs().max() <= 1e-6
    assert torch.equal(found.hidden_ND, whole.hidden_ND)


@pytest.mark.parametrize("gradients", [False, True])
def test_training_and_scoring_compute_the_same(gradients: bool) -> None:
    """Without gradients other paths are taken, for one token, few and many."""
    torch.manual_seed(0)
    model = Decoder(SMALL)
    wide = Decoder(SMALL).double()
    wide.load_state_dict({name: value.double() for name, value in model.state_dict().items()})
    for rows, count in ((1, 1), (3, 1), (1, 40), (4, 30)):
        tokens_BT = torch.randint(64, (rows, count))
        with torch.set_grad_enabled(gradients):
            found = model(tokens_BT).logits
        assert (found - wide(tokens_BT).logits).abs().max() <= 1e-5


def test_a_second_derivative_is_refused_rather_than_wrong() -> None:
    torch.manual_seed(0)
    model = Decoder(SMALL)
    loss = model(torch.randint(64, (1, 20))).logits.square().mean()
    gradient = torch.autograd.grad(loss, model.embedding.weight, create_graph=True)[0]

    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_autocast_is_refused() -> None:
    model = Decoder(SHAPES["1m"])

    with torch.autocast("cpu", torch.bfloat16), pytest.raises(ValueError, match="bfloat16"):
        model(torch.zeros(1, 3, dtype=torch.long))
