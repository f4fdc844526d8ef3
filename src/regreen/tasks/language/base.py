"""What the making of tasks asks of a programming language; one class per language answers.

Six questions, so that a second language is one new file. All of them read files as text; only
``runner`` runs anything, and it does so in boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regreen.grading.place import Place
from regreen.sandbox.base import SandboxProvider
from regreen.tasks.prove.bench import SuiteRunner

__all__ = ["Fault", "Function", "Language", "Sources"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files of a tree that matter, relative to its root, sorted."""

    library: tuple[str, ...]
    """Where bugs may be put."""
    tests: tuple[str, ...]
    """Where tests stand, with what they import or source."""
    paths: tuple[str, ...]
    """What a runner collects the suite from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function or method as it stands in a file; offsets count characters."""

    name: str
    """Qualified, for example ``Basket.add``."""
    start: int
    """Offset of its first line, decorators included."""
    end: int
    """Offset one past its last character, the line end left out."""
    line: int
    """First line, from 1."""
    body_line: int
    """First line of the body that runs when it is called, documentation left out."""
    end_line: int
    """Last line, inclusive."""
    signature: str
    """Name, parameters and decorators, in a form that no layout changes."""
    docs: str
    """Its documentation; may be empty."""
    complexity: int
    """1, and 1 more for each branch, loop, handler, comparison and further boolean operand."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a text cannot be used."""

    kind: str
    """One word for counts, for example ``unreadable``."""
    says: str
    """A sentence for whoever wrote it."""


class Language(Protocol):
    """One programming language with its way of testing."""

    name: str
    """As in a row's ``language``; also marks a fence in an answer."""
    comment: str
    """Regular expression whose first group is the text of a comment, searched line by line."""
    forged: str
    """Code that prints what a green suite prints, for the control that must not pass."""
    command: str
    """Shell command that runs the test files ``{files}``, for other harnesses."""

    def sources(self, tree: Path, *, where: str = "") -> Sources:
        """Find the suite and the library in a tree.

        Raises:
            TaskError: there are no tests; ``where`` names the source.
        """
        ...

    def runner(
        self,
        place: Place,
        *,
        provider: SandboxProvider,
        workers: int = 2,
        warm: tuple[str, ...] = (),
    ) -> SuiteRunner:
        """What runs tests one by one and reads their results.

        Args:
            place: where the healthy tree lies.
            provider: makes boxes.
            workers: runs at once.
            warm: what a measurement of the suite found worth loading first.
        """
        ...

    def functions(self, path: str, text: str) -> tuple[Function, ...]:
        """Functions and methods in which a bug could be put, in the order of the file.

        Raises:
            UsageError: the text is not of this language.
        """
        ...

    def blank(self, text: str, function: Function) -> str:
        """The file's text with the function's body taken out; signature and docs stay."""
        ...

    def faults(self, path: str, before: str, after: str) -> tuple[Fault, ...]:
        """Why ``after`` is no other behaviour than ``before``, or none at all; empty when fine.

        ``unreadable`` is a text that is not of the language; ``unchanged`` a change of comments,
        docs or layout alone. A language may know more.
        """
        ...

    def declaration(self, text: str, name: str) -> str:
        """Text of what a file declares under a qualified name; empty when it declares no such."""
        ...
