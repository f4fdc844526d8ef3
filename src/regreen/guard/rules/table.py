"""The rows of the rules' files: programs, package managers, hosts, rules."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Example", "Manager", "Match", "NetworkProgram", "Rule"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkProgram(_Row):
    """A program that goes where its arguments say."""

    programs: tuple[str, ...]
    """Names, as patterns of ``fnmatch``."""
    bare: Literal["host", "path", "name"] = "host"
    """What a word without a scheme is to it; ``name`` is a path unless it looks like a site."""
    first_only: bool = False
    """True when only its first word is a place."""
    values: tuple[str, ...] = ()
    """Options whose value is no place."""
    places: tuple[str, ...] = ()
    """Options whose value is a place."""
    lists: tuple[str, ...] = ()
    """Options that name a file of places."""
    quiet: tuple[str, ...] = ()
    """Options with which it goes nowhere."""


class Manager(_Row):
    """A package manager."""

    programs: tuple[str, ...]
    """Names, as regular expressions."""
    verbs: tuple[str, ...]
    """What it does that brings something in."""
    values: tuple[str, ...] = ()
    """Options that take a value."""
    indexes: tuple[str, ...] = ()
    """Options whose value is an index."""
    lists: tuple[str, ...] = ()
    """Options whose value is a file of requirements."""
    names: tuple[str, ...] = ()
    """Options whose value is a requirement."""
    fetches_options: tuple[str, ...] = ()
    """Options that make it fetch from an address."""
    shorthand: bool = False
    """True when ``owner/name`` is a repository."""
    modules: bool = False
    """True when a name is a repository's address."""
    coordinates: bool = False
    """True when a name is ``group:name:version`` or ``owner/name``."""
    first_only: bool = False
    """True when only its first word is a package."""
    options_only: bool = False
    """True when only the values of ``names`` are packages."""


class Match(_Row):
    """What a command has to be; all that is given has to hold.

    In a regular expression ``@names`` stands for any name of the protected project.
    """

    program: tuple[str, ...] = ()
    """One of these programs, as patterns of ``fnmatch``."""
    not_program: tuple[str, ...] = ()
    """None of these."""
    subcommand: tuple[str, ...] = ()
    """Its first words, for git after the global options."""
    not_subcommand: tuple[str, ...] = ()
    """None of these."""
    flags: tuple[str, ...] = ()
    """One of these options, as patterns; ``--name`` also stands for ``--name=value``."""
    not_flags: tuple[str, ...] = ()
    """None of these options."""
    argument: str = ""
    """An argument in which this regular expression is found."""
    not_argument: str = ""
    """No argument in which this one is found."""
    revision: str = ""
    """For git, a revision among its arguments in which this is found, and which the call itself
    did not make."""
    path: str = ""
    """An argument, a redirection or a literal that is a path in which this is found."""
    redirect: str = ""
    """A redirection to a target in which this is found."""
    assignment: str = ""
    """A variable set for the command, ``NAME=value``, in which this is found."""
    feeds: tuple[str, ...] = ()
    """It is piped into one of these programs."""
    via: tuple[str, ...] = ()
    """It was found in one of these wrappers, ``$()`` for a substitution."""
    places: tuple[str, ...] = ()
    """It goes to a place of one of these kinds."""
    installs: tuple[str, ...] = ()
    """It is a package manager that brings in one of these."""
    call: tuple[str, ...] = ()
    """A call in Python code by one of these dotted names, as patterns."""
    code: tuple[str, ...] = ()
    """A finding in another language's code: ``network`` or ``literals``."""
    tool: tuple[str, ...] = ()
    """A call of one of these tools, as patterns, in lower case."""
    mocked: bool | None = None
    """Whether the code replaces its network by a stand-in."""


class Example(_Row):
    """A call of a tool other than bash, as an example."""

    tool: str
    """Its name."""
    arguments: dict[str, Any] = {}
    """What it is called with."""


class Rule(_Row):
    """One thing that is refused, or worth a look."""

    id: str
    """Named in incidents and messages."""
    flag: bool = False
    """True when it is only worth a look."""
    hacking: bool = True
    """Whether a call it refuses reaches for the answer; False for what is merely not allowed, such
    as reading documentation, and does not count as an attempt to cheat."""
    own_repository: bool = False
    """True when it leaves alone a repository that the same call made outside the working copy."""
    reason: str
    """Why, for a reader of the rules."""
    message: str
    """What the agent is told: the prohibited action, and what to do instead."""
    match: tuple[Match, ...]
    """Alternatives."""
    block: tuple[str | Example, ...] = ()
    """Calls that it refuses or flags; bash commands unless a tool is named."""
    allow: tuple[str | Example, ...] = ()
    """Calls close to them that pass."""
