"""Products by whichever library, for every layout of their operands."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regreen.model.products import multiply, product

LAYOUTS = ("plain", "transposed", "columns", "rows", "every second", "expanded")


def laid_out(matrix: Tensor, layout: str) -> Tensor:
    """The same numbers, or one number everywhere, in another place of memory."""
    rows, columns = matrix.shape
    if layout == "transposed":
        return matrix.t().contiguous().t()
    if layout == "columns":
        return torch.cat((matrix, matrix), 1)[:, :columns]
    if layout == "rows":
        return torch.cat((matrix, matrix))[rows:]
    if layout == "every second":
        return matrix.repeat_interleave(2, 0)[::2]
    if layout == "expanded":
        return matrix[:1, :1].expand(rows, columns)
    return matrix


@settings(max_examples=30)
@given(
    sizes=st.tuples(*[st.sampled_from((1, 2, 5, 64, 130))] * 3),
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
    into=st.booleans(),
)
def test_products_are_those_of_float64(
    sizes: tuple[int, int, int], layouts: tuple[str, str], into: bool
) -> None:
    torch.manual_seed(0)
    rows, inputs, outputs = sizes
    x_NA = laid_out(torch.randn(rows, inputs), layouts[0])
    weight_AB = laid_out(torch.randn(inputs, outputs), layouts[1])
    out = torch.empty(rows, outputs) if into else None
    found = multiply(x_NA, weight_AB, out)

    wanted = x_NA.double() @ weight_AB.double()
    assert (found - wanted).abs().max() <= 1e-5 * max(1.0, wanted.abs().max().item())
    assert out is None or found is out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(70, 64), (5, 14, 64), (1, 64), (0, 64), (64,)])
def test_gradients_are_those_of_the_plain_product(layout: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape, requires_grad=True)
    weight_AB = torch.randn(64, 48, requires_grad=True)
    back = laid_out(torch.randn(x[..., 0].numel(), 48), layout) if x.numel() else torch.ones(0, 48)
    back = (
        back.view(*shape[:-1], 48) if layout in {"plain", "rows"} else back.reshape(*shape[:-1], 48)
    )
    found = torch.autograd.grad(product(x, weight_AB), (x, weight_AB), back)
    wanted = torch.autograd.grad(x.double() @ weight_AB.double(), (x, weight_AB), back.double())

    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=2e-5)
