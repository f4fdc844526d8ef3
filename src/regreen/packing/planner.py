"""`plan`: documents to rows by a named policy.

The default carries heads: where a document must be cut, no other policy keeps the tool definitions
that the calls behind the cut refer to.
"""

from __future__ import annotations

from collections.abc import Callable

from numpy.typing import ArrayLike

from regreen.core.errors import UsageError
from regreen.packing.best_fit import best_fit
from regreen.packing.cuts import CUTS, DEFAULT_POLICY, Cut, LongMessages, check_forced
from regreen.packing.documents import Borders, Documents, Pieces, documents
from regreen.packing.in_order import concat, pad_last, restart_last
from regreen.packing.plan import Ints, Plan

__all__ = ["DEFAULT_POLICY", "POLICIES", "Policy", "plan"]

Policy = Callable[[Documents], tuple[Pieces, Ints]]
"""Pieces in the order of their rows, and where each row begins among them."""


def _fitted(cut: Cut) -> Policy:
    def policy(known: Documents) -> tuple[Pieces, Ints]:
        pieces = cut(known)
        items, rows = best_fit(pieces.slots, known.capacity)
        return pieces.take(items), rows

    return policy


POLICIES: dict[str, Policy] = {
    "concat": concat,
    "restart-last": restart_last,
    "pad-last": pad_last,
    **{name: _fitted(cut) for name, cut in CUTS.items()},
}
"""Every policy by name."""


def plan(
    lengths: ArrayLike,
    capacity: int,
    policy: str = DEFAULT_POLICY,
    *,
    heads: ArrayLike | None = None,
    borders: Borders | None = None,
    long_messages: LongMessages = "cut",
) -> Plan:
    """Decide which tokens of which document stand in which row.

    Args:
        lengths: (D,) tokens of each document, at least 1.
        capacity: slots of a row, in tokens.
        policy: one of `POLICIES`.
        heads: (D,) leading tokens every continuation needs (system turn, tool definitions), -1
            where not known. `best-fit-heads` needs those of documents longer than a row; others
            ignore them.
        borders: where messages end; `best-fit-heads` cuts nowhere else, others ignore them.
        long_messages: what `best-fit-heads` does with a message that fits no row beside its head:
            cut it where the row ends and mark the cut (`Plan.forced`), or refuse.

    Returns:
        The rows; a function of the arguments alone. Their order goes by length under the best-fit
        policies: `shuffle` it for training.

    Raises:
        UsageError: an unknown policy, bad input, or a document the policy cannot place; named.
    """
    if not isinstance(policy, str) or policy not in POLICIES:
        msg = f"there is no packing policy {policy!r}"
        raise UsageError(
            msg,
            where="policy",
            mend="one of " + ", ".join(POLICIES),
        )
    known = documents(lengths, capacity, heads=heads, borders=borders)
    pieces, rows = POLICIES[policy](known)
    check_forced(pieces, long_messages)
    return Plan(known.capacity, policy, known.lengths, **vars(pieces), rows=rows)
