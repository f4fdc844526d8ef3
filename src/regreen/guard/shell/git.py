"""A git command line, its global options skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["GitCall", "read_git"]

_VALUES = frozenset(
    {"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--super-prefix",
     "--config-env", "--attr-source"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GitCall:
    """What git is asked to do."""

    name: str
    """The subcommand; empty when there is none."""
    arguments: tuple[str, ...]
    """All that follows it."""
    words: tuple[str, ...]
    """The arguments that are no options."""
    settings: tuple[str, ...] = ()
    """Values of ``-c``."""


def read_git(arguments: Sequence[str]) -> GitCall:
    """Split the arguments of git."""
    words = list(arguments)
    settings: list[str] = []
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in _VALUES and words:
            value = words.pop(0)
            if word == "-c":
                settings.append(value)
    rest = tuple(words[1:])
    plain = tuple(word for word in rest if not word.startswith("-"))
    return GitCall(words[0] if words else "", rest, plain, tuple(settings))
