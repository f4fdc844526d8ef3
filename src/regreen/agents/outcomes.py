"""How a model-driven agent ends: exceptions whose class name is the recorded exit status.

An outcome is not an error. It is raised from whatever depth it occurs at, so that the loop reads
as what it does when all goes well.
"""

from __future__ import annotations

import re

__all__ = [
    "ContextOverflow",
    "Finished",
    "RepeatedErrors",
    "Submitted",
    "TimeLimit",
    "TokenLimit",
    "TurnLimit",
]


class Finished(Exception):
    """Ends the loop; ``status`` is the class name in snake case."""

    @property
    def status(self) -> str:
        """What gets recorded, for example ``turn_limit``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()


class Submitted(Finished):
    """The model called submit."""


class TurnLimit(Finished):
    """As many model calls as allowed."""


class TokenLimit(Finished):
    """As many sampled tokens as allowed."""


class TimeLimit(Finished):
    """As many wall seconds as allowed."""


class RepeatedErrors(Finished):
    """As many turns in a row without a call that could be carried out."""


class ContextOverflow(Finished):
    """The conversation no longer fits the model."""
