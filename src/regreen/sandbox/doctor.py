"""What ``regreen doctor`` says about sandboxes: which work here, and what mends the others."""

from __future__ import annotations

from regreen.core.errors import InfrastructureError, PrerequisiteError

__all__ = ["start_error"]


def start_error(text: str) -> InfrastructureError | PrerequisiteError:
    """The error for what ``bwrap`` said before it gave up."""
    return InfrastructureError("the box could not be made", where=text)
