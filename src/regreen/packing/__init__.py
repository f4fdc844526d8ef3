"""Documents to rows of fixed capacity, without cutting what fits and without losing a head."""

from regreen.packing.documents import MAX_CAPACITY, Borders
from regreen.packing.plan import Piece, Plan, shuffle
from regreen.packing.planner import DEFAULT_POLICY, POLICIES, plan

__all__ = [
    "DEFAULT_POLICY",
    "MAX_CAPACITY",
    "POLICIES",
    "Borders",
    "Piece",
    "Plan",
    "plan",
    "shuffle",
]
