"""Faster kernels for accelerators, used where they are installed and never imported otherwise.

Nothing here is needed: the caller computes the same with plain operations. A kernel is used for
16-bit models only, whose rounding is larger than the kernels' own (they multiply float32 at
reduced precision); a float32 model keeps its exactness on every device.

Shapes: N tokens, B documents, G key heads, H value heads, K and V their widths; S = N·K' sorted
assignments of tokens to E experts, A and B sides of an expert's matrix.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from regreen.model.borders import Borders

__all__ = [
    "DeltaKernel",
    "GroupedProducts",
    "SortedGroups",
    "fused_delta_rule",
    "groups_fit",
    "scan_documents",
]

DeltaKernel = Callable[..., tuple[Tensor, Tensor | None]]
"""`chunk_gated_delta_rule` of flash-linear-attention 0.6, or what takes and returns the same."""

_NARROW = (torch.bfloat16, torch.float16)
_grouped_mm: Callable[..., Tensor] | None = getattr(functional, "grouped_mm", None)


def fused_delta_rule(x: Tensor) -> DeltaKernel | None:
    """The kernel for activations like `x`, None where plain operations serve."""
    return _flash_linear_attention() if x.is_cuda and x.dtype in _NARROW else None


@cache
def _flash_linear_attention() -> DeltaKernel | None:
    """Imported on the first call on a GPU; None where it is missing or older than 0.6.

    Older ones do not share a key head between value heads.
    """
    if importlib.util.find_spec("fla") is None:
        return None
    import fla

    if tuple(int(part) for part in fla.__version__.split(".")[:2]) < (0, 6):
        return None
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule

    kernel: DeltaKernel = chunk_gated_delta_rule
    return kernel


def scan_documents(
    kernel: DeltaKernel,
    q_NGK: Tensor,
    k_NGK: Tensor,
    v_NHV: Tensor,
    beta_NH: Tensor,
    g_NH: Tensor,
    borders: Borders,
    state_BHKV: Tensor | None,
) -> Tensor:
    """The delta rule over whole documents by a kernel.

    Args:
        kernel: see `DeltaKernel`.
        q_NGK: queries, normalised and scaled, in the type of the model as the next two.
        k_NGK: keys of length one.
        v_NHV: values.
        beta_NH: float32.
        g_NH: logarithm of the decay, float32.
        borders: the documents.
        state_BHKV: the memory before each document, float32, brought forward in place; None
            starts from zero.

    Returns:
        (N, H, V) in the type of the model.
    """
    out_1NHV, final = kernel(
        q_NGK[None],
        k_NGK[None],
        v_NHV[None],
        g_NH[None],
        beta_NH[None],
        scale=1.0,
        initial_state=state_BHKV,
        output_final_state=state_BHKV is not None,
        cu_seqlens=borders.cumulative_on(beta_NH.device),
        cu_seqlens_cpu=borders.cumulative,
    )
    if state_BHKV is not None:
        assert final is not None
        state_BHKV.copy_(final)
    return out_1NHV[0]


def groups_fit(x_SA: Tensor, *weights_EAB: Tensor) -> bool:
    """Whether `GroupedProducts` serves for `x_SA` and these weights.

    It does on an accelerator and in bfloat16, where all rows begin at multiples of 16 bytes.
    """
    if _grouped_mm is None or x_SA.device.type == "cpu" or x_SA.dtype != torch.bfloat16:
        return False
    return all(
        weight.dtype == x_SA.dtype and weight.shape[1] % 8 == 0 and weight.shape[2] % 8 == 0
        for weight in weights_EAB
    )


class SortedGroups(Protocol):
    """Assignments sorted by expert: `experts.Groups`, which this module cannot import."""

    order_S: Tensor
    """The assignment in each sorted place."""
    per_token: int
    """Assignments of a token, K'."""

    @property
    def ends_E(self) -> Tensor:
        """Where each group ends, int32."""


class GroupedProducts:
    """Products of sorted groups of rows with one matrix each, in one launch and without a wait.

    Where groups end stays on the device: nothing is read back, so the host runs ahead.
    """

    def __init__(self, groups: SortedGroups) -> None:
        """Take the groups."""
        self.groups = groups

    def multiply(self, x_SA: Tensor, weight_EAB: Tensor) -> Tensor:
        """(S, B) each group times its expert's matrix, which may be a transposed view."""
        return self._product(x_SA, weight_EAB)

    def outer(self, x_SA: Tensor, grad_SB: Tensor) -> Tensor:
        """(E, A, B) the gradient of the experts' matrices; zero where an expert had no token."""
        grad_EAB = self._product(x_SA.t(), grad_SB)
        # On Blackwell the kernel leaves groups without rows as they were in memory (torch #172439).
        ends_E = self.groups.ends_E
        count_E = ends_E.diff(prepend=ends_E.new_zeros(1))
        return grad_EAB.masked_fill_((count_E == 0)[:, None, None], 0.0)

    def sums(self, x_SB: Tensor) -> Tensor:
        """(N, B) the sum of each token's rows: gathered, for a fixed order and one rounding."""
        order_S = self.groups.order_S
        place_S = torch.empty_like(order_S)
        place_S[order_S] = torch.arange(len(place_S), device=place_S.device)
        return x_SB[place_S].unflatten(0, (-1, self.groups.per_token)).sum(1)

    def _product(self, left: Tensor, right: Tensor) -> Tensor:
        assert _grouped_mm is not None
        return _grouped_mm(left, right, offs=self.groups.ends_E)
