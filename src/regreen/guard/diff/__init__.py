"""The audit of a submitted diff: what its new code could do to its judge, from the text alone.

It is evidence, not a wall: ``severity`` says which findings alone make a patch unclean and which
only buy a closer look.
"""

from regreen.guard.diff.audit import audit_diff
from regreen.guard.diff.kinds import KINDS, Kind, severity

__all__ = ["KINDS", "Kind", "audit_diff", "severity"]
