"""The monitor: what an agent did, read afterwards from its trajectory and its diff."""

from regreen.guard.monitor.audit import audit, labels, with_incidents
from regreen.guard.monitor.contrast import Suspicion, contrast
from regreen.guard.monitor.example import broken_examples
from regreen.guard.monitor.judge import Judge, Opinion, ask_judge
from regreen.guard.monitor.pattern import Clause, Pattern, load_patterns, shipped_patterns
from regreen.guard.monitor.spans import token_spans

__all__ = [
    "Clause",
    "Judge",
    "Opinion",
    "Pattern",
    "Suspicion",
    "ask_judge",
    "audit",
    "broken_examples",
    "contrast",
    "labels",
    "load_patterns",
    "shipped_patterns",
    "token_spans",
    "with_incidents",
]
