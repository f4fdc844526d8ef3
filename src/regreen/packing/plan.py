"""A plan: which tokens of which document stand in which row, as flat arrays.

A plan of a million documents is a handful of numpy arrays, never a list of objects. A *piece* is a
contiguous run of one document's tokens inside one row; a document that is not cut is one piece.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import UsageError

__all__ = ["Bools", "Ints", "Piece", "Plan", "is_whole", "shuffle"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value counts something: an integer of Python or numpy, no truth value."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


class Piece(NamedTuple):
    """One run of a document's tokens in a row: first the head again, then `start:stop`."""

    document: int
    """Which document, by its place in `Plan.lengths`."""
    start: int
    """Its first token within the document."""
    stop: int
    """The token after its last."""
    head: int
    """Tokens of the document's head (`0:head`) written again before it, masked from the loss."""
    seen: int
    """Tokens from `start` on that another piece holds as well, masked from the loss here."""
    forced: bool
    """Whether it ends inside a message, where no border was near enough."""


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
    seen: Ints
    """(P,) tokens from `start` on that another piece holds as well, masked from the loss here."""
    forced: Bools
    """(P,) whether the piece ends inside a message, where no border was near enough."""
    rows: Ints
    """(R + 1,) the pieces of row r are `rows[r]:rows[r + 1]`."""

    @property
    def num_rows(self) -> int:
        """How many rows."""
        return len(self.rows) - 1

    @property
    def slots(self) -> Ints:
        """(P,) slots each piece takes: its own tokens and the head before them."""
        return self.head + (self.stop - self.start)

    @property
    def fill(self) -> Ints:
        """(R,) slots taken in each row."""
        ends: Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.slots)])
        return np.diff(ends[self.rows])

    def row(self, index: int) -> tuple[Piece, ...]:
        """The pieces of one row, first to last.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= index < self.num_rows:
            msg = f"row {index} of a plan of {self.num_rows} rows"
            raise IndexError(msg)
        part = slice(int(self.rows[index]), int(self.rows[index + 1]))
        fields = (self.document, self.start, self.stop, self.head, self.seen, self.forced)
        return tuple(
            Piece(*values) for values in zip(*(f[part].tolist() for f in fields), strict=True)
        )


def shuffle(plan: Plan, seed: int) -> Plan:
    """The same rows in a random order; the planners' own order goes by length, training must not.

    Args:
        plan: any plan; it is not changed.
        seed: of numpy's default generator; the same seed gives the same order.

    Raises:
        UsageError: the seed is no whole number, or below 0.
    """
    if not is_whole(seed) or seed < 0:
        msg = f"cannot shuffle with the seed {seed!r}"
        raise UsageError(msg, where="seed", mend="a whole number, 0 or more")
    order = np.random.default_rng(seed).permutation(plan.num_rows)
    counts = np.diff(plan.rows)[order]
    rows = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    pieces = np.arange(len(plan.document)) + np.repeat(plan.rows[:-1][order] - rows[:-1], counts)
    return replace(
        plan,
        document=plan.document[pieces],
        start=plan.start[pieces],
        stop=plan.stop[pieces],
        head=plan.head[pieces],
        seen=plan.seen[pieces],
        forced=plan.forced[pieces],
        rows=rows,
    )
