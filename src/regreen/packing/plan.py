"""A plan: which tokens of which document stand in which row, as flat arrays.

A plan of a million documents is a handful of numpy arrays, never a list of objects. A *piece* is a
contiguous run of one document's tokens inside one row; a document that is not cut is one piece.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Plan"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Rows of at most `capacity` tokens; pieces in the order in which they stand in their row.

    Shapes: P pieces, R rows.
    """

    capacity: int
    """Slots of a row, in tokens."""
    policy: str
    """The policy that made it."""
    lengths: Ints
    """Length of every document asked for, in tokens, also of those left out."""
    document: Ints
    """(P,) the document a piece is of."""
    start: Ints
    """(P,) its first token within the document."""
    stop: Ints
    """(P,) the token after its last."""
    head: Ints
    """(P,) tokens of the document's head written again before it, masked from the loss."""
    rows: Ints
    """(R + 1,) the pieces of row r are `rows[r]:rows[r + 1]`."""
