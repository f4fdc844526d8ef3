"""Faster kernels for accelerators, used where they are installed and never imported otherwise.

Nothing here is needed: each name is None where its kernel is missing, and the caller then computes
the same with plain operations.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.nn import functional

__all__ = ["fused_delta_rule", "grouped_mm"]

grouped_mm: Callable[..., Any] | None = getattr(functional, "grouped_mm", None)
"""Products of groups of rows with one matrix each, `offs` being the groups' ends."""


@cache
def fused_delta_rule() -> Callable[..., Any] | None:
    """flash-linear-attention's chunked gated delta rule, imported on the first call on a GPU."""
    if not torch.cuda.is_available() or importlib.util.find_spec("fla") is None:
        return None
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule

    kernel: Callable[..., Any] = chunk_gated_delta_rule
    return kernel
