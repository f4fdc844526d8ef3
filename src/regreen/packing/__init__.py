"""Documents to rows of fixed capacity, without cutting what fits and without losing a head."""

from regreen.packing.balance import Balance, CostModel, balance, measure
from regreen.packing.cuts import DEFAULT_POLICY
from regreen.packing.documents import MAX_CAPACITY, UNKNOWN_HEAD, Borders
from regreen.packing.plan import Piece, Plan, shuffle
from regreen.packing.planner import POLICIES, plan
from regreen.packing.statistics import Histogram, Statistics, statistics
from regreen.packing.streaming import Document, stream

__all__ = [
    "DEFAULT_POLICY",
    "MAX_CAPACITY",
    "POLICIES",
    "UNKNOWN_HEAD",
    "Balance",
    "Borders",
    "CostModel",
    "Document",
    "Histogram",
    "Piece",
    "Plan",
    "Statistics",
    "balance",
    "measure",
    "plan",
    "shuffle",
    "statistics",
    "stream",
]
