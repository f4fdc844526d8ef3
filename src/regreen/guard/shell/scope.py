"""What a script has set so far: variables, functions, aliases, files, the directory.

Values that cannot be known are the character ``HOLE``, which no real text holds; it stays where it
stands, so that a half-known address still shows its known half.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from regreen.guard.shell.grammar import Node

__all__ = ["HOLE", "Scope", "origin_of"]

HOLE = "\ue000"
"""Stands for text that is not known before the call runs."""
_LONGEST = 64_000


def origin_of(path: str, links: Mapping[str, str]) -> str:
    """What a path was copied from, where that is known."""
    for copy, source in links.items():
        if path == copy or path.startswith(copy + "/"):
            return source + path[len(copy) :]
    return path


@dataclass(slots=True)
class Scope:
    """The state of one reading of a call; it lives as long as that reading."""

    cwd: str
    """Where relative paths begin."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Files of the box whose text was handed in, by path."""
    variables: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name to values: one, or an array's."""
    functions: dict[str, Node] = field(default_factory=dict)
    """Name to body."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Name to text."""
    programs: dict[str, str] = field(default_factory=dict)
    """Path of a copy or a link to the program it was made from."""
    files: dict[str, str] = field(default_factory=dict)
    """What the call itself wrote, by path."""
    remotes: set[str] = field(default_factory=set)
    """Git remotes that the call made from local directories."""
    made: set[str] = field(default_factory=set)
    """Tags and branches that the call made."""
    links: dict[str, str] = field(default_factory=dict)
    """Where a copy of the git directory lies, to what it was copied from."""
    repositories: set[str] = field(default_factory=set)
    """Fresh git repositories that the call made outside the directory it starts in."""
    start: str = ""
    """The directory the call starts in."""
    positional: tuple[str, ...] = ()
    """``$1`` and on."""
    wanted: dict[str, None] = field(default_factory=dict)
    """Paths of files that the call would run and whose text is not known."""
    conditional: bool = False
    """True while a branch is read that may not run."""
    keep_first: bool = False
    """True leaves a variable as it was where a branch sets it again."""
    forked: bool = False
    """True once a branch has set a variable that was set before."""

    def __post_init__(self) -> None:
        self.start = self.start or self.cwd

    def origin(self, path: str) -> str:
        """What an absolute path was copied from, or the path."""
        return origin_of(path, self.links)

    def path(self, name: str) -> str:
        """A path made absolute."""
        return posixpath.normpath(posixpath.join(self.cwd, name))

    def assign(self, name: str, values: tuple[str, ...]) -> None:
        """Set a variable."""
        old = self.variables.get(name)
        if self.conditional and old is not None and old != values:
            self.forked = True
            if self.keep_first:
                return
        self.variables[name] = tuple(value[:_LONGEST] for value in values)

    def values(self, name: str) -> tuple[str, ...]:
        """A variable's values; a hole where it is not known."""
        if name in self.variables:
            return self.variables[name]
        if name in {"@", "*"}:
            return self.positional
        if name.isdigit():
            place = int(name)
            if place == 0:
                return ("bash",)
            return self.positional[place - 1 : place]
        if name == "#":
            return (str(len(self.positional)),)
        known = {
            "IFS": " \t\n",
            "HOME": "/root",
            "PWD": self.cwd,
            "TMPDIR": "/tmp",
            "SHELL": "/bin/bash",
            "BASH": "/bin/bash",
            "_": "",
            "!": "self",
            "$": "self",
            "BASHPID": "self",
        }
        return (known.get(name, HOLE),)

    def read(self, name: str) -> str | None:
        """The text of a file, when the call wrote it or it was handed in."""
        path = self.path(name)
        for key in (path, name):
            if key in self.files:
                return self.files[key]
            if key in self.given:
                return self.given[key]
        return None

    def write(self, name: str, text: str | None, *, append: bool = False) -> None:
        """Note what a file holds now; None is not known."""
        path = self.path(name)
        before = (self.read(name) or "") if append else ""
        if text is None:
            self.files.pop(path, None)
        else:
            self.files[path] = (before + text)[-_LONGEST:]
