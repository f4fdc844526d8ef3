"""What a call comes down to: a flat list of commands and of calls in program code.

A call in program code is a command too, its dotted name in the place of the program: a rule that
refuses a fetch need not care which language makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Analysis", "Command", "Language"]

Language = Literal["shell", "python", "code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One thing that the call would run."""

    program: str
    """Name without its directory, or a dotted name of a function."""
    arguments: tuple[str, ...] = ()
    """Fields after expansion; unknown parts are ``HOLE``. For code, the constants that go in."""
    language: Language = "shell"
    """``shell``, ``python``, or ``code`` for other languages, which are read by their tokens."""
    assignments: Mapping[str, str] = field(default_factory=dict)
    """Variables set for this command alone."""
    redirects: tuple[tuple[str, str], ...] = ()
    """Operator and target."""
    stdin: str | None = None
    """What is fed to it, when that is known."""
    feeds: str = ""
    """Program of the next command in its pipeline."""
    text: str = ""
    """The piece of the call it was read from."""
    via: tuple[str, ...] = ()
    """The wrappers it was found in, outermost first."""
    cwd: str = ""
    """Directory it would run in."""
    mocked: bool = False
    """True for code that replaces its network by a stand-in."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Text of the files among its arguments, where the call wrote it or it was handed in."""
    remotes: frozenset[str] = frozenset()
    """Git remotes that the same call made from local directories."""

    links: Mapping[str, str] = field(default_factory=dict)
    """Where the same call put a copy of the git directory, to what it was copied from."""
    repositories: frozenset[str] = frozenset()
    """Fresh git repositories that the same call made."""
    made: frozenset[str] = frozenset()
    """Tags and branches that the same call made."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was read out of one call."""

    commands: tuple[Command, ...]
    """In the order they would run."""
    wanted: tuple[str, ...] = ()
    """Files that the call would run and whose text was not at hand."""
    complete: bool = True
    """False when the call is too large to be read to its end."""
    closed: bool = True
    """False when it leaves a quotation or a bracket open, so that a shell would not run it."""
