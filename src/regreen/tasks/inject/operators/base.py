"""What an operator is: it looks at one node of a file and names the faults it would make there.

An operator proposes text, not trees: rendering a node is only needed where a block moves to
another indentation, and everything around the change stays as its author wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import libcst as cst

if TYPE_CHECKING:
    from regreen.tasks.inject.operators.view import FileView

__all__ = ["Change", "Operator", "OperatorInfo"]


@dataclass(frozen=True, slots=True)
class Change:
    """One proposed splice, in offsets of the text libcst holds."""

    start: int
    """First character replaced."""
    end: int
    """One past the last character replaced."""
    replacement: str
    """The new text."""
    note: str
    """The fault in one phrase."""
    weight: float
    """Prior probability that a test notices."""
    reach: tuple[int, ...] = ()
    """Lines that reach the fault; empty means the statement that holds the node."""
    import_time: bool = False
    """True when the changed code also runs at import."""


@dataclass(frozen=True, slots=True)
class OperatorInfo:
    """What ``regreen plugins`` and the documentation show of a fault class."""

    id: str
    """Name in the records."""
    family: str
    """Family of related classes."""
    summary: str
    """One line."""
    conditions: str
    """When it applies, and what it leaves alone."""


class Operator(Protocol):
    """One fault class; its docstring states its conditions."""

    id: ClassVar[str]
    family: ClassVar[str]
    summary: ClassVar[str]
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]]

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """Every fault of this class at ``node``, which is one of ``nodes``.

        The enumeration drops what does not change the syntax tree and what repeats a text.
        """
        ...
