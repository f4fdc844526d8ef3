"""Where statistics and states are computed: in float32 at least, in float64 where the model is.

A float64 model is the oracle that the float32 one is compared with, so nothing narrows on the way.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["widened", "wider"]

_WIDE = (torch.float32, torch.float64)


def wider(dtype: torch.dtype) -> torch.dtype:
    """float32 for narrower types, else the type itself."""
    return dtype if dtype in _WIDE else torch.float32


def widened(x: Tensor) -> Tensor:
    """`x` in `wider` of its type."""
    return x if x.dtype in _WIDE else x.float()
