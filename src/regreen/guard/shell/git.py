"""A git command line, its global options skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["GitCall", "asks_help", "read_git", "revisions"]

_VALUES = frozenset(
    {"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--super-prefix",
     "--config-env", "--attr-source"}
)  # fmt: skip


_TEXTS = frozenset(
    {"-S", "-G", "--grep", "--author", "--committer", "--since", "--after", "--before", "--until",
     "--max-count", "-L", "--format", "--date", "-o", "--output", "--prefix", "--skip", "--message",
     "--diff-filter", "--reason"}
)  # fmt: skip
"""Options whose value is text, and neither a revision nor an option."""
_TEXTS_OF = {
    "grep": frozenset({"-e", "-f", "-A", "-B", "-C", "-m"}),
    "log": frozenset({"-n"}),
    "shortlog": frozenset({"-n"}),
    "notes": frozenset({"-m", "-F"}),
    "commit": frozenset({"-m", "-F"}),
    "tag": frozenset({"-m", "-F"}),
}
"""Those that a subcommand has besides."""


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
    folders: tuple[str, ...] = ()
    """Values of ``-C``."""
    elsewhere: bool = False
    """Whether it names its git directory."""


def read_git(arguments: Sequence[str]) -> GitCall:
    """Split the arguments of git."""
    words = list(arguments)
    settings: list[str] = []
    folders: list[str] = []
    elsewhere = False
    while words and words[0].startswith("-"):
        word = words.pop(0)
        elsewhere = elsewhere or word.startswith(("--git-dir", "--work-tree"))
        if word in _VALUES and words:
            value = words.pop(0)
            if word == "-c":
                settings.append(value)
            elif word == "-C":
                folders.append(value)
    rest = tuple(words[1:])
    plain = tuple(word for word in rest if not word.startswith("-"))
    name = words[0] if words else ""
    return GitCall(name, rest, plain, tuple(settings), tuple(folders), elsewhere)


def revisions(call: GitCall) -> list[str]:
    """The words that may name a revision, ranges taken apart.

    The excluded end of a range is left out where only what HEAD reaches is listed.
    """
    words = (
        call.arguments[: call.arguments.index("--")] if "--" in call.arguments else call.arguments
    )
    texts = _TEXTS | _TEXTS_OF.get(call.name, frozenset())
    found: list[str] = []
    for place, word in enumerate(words):
        if place and words[place - 1] in texts:
            continue
        if not word.startswith("-"):
            found.append(word)
        elif word.startswith("--source="):
            found.append(word.partition("=")[2])
    if call.name == "grep" and not {"-e", "-f"} & set(words):
        found = found[1:]
    lists = call.name in {"log", "rev-list", "shortlog", "whatchanged"}
    ends: list[str] = []
    for word in found:
        if ".." not in word:
            ends += [] if lists and word.startswith("^") else [word.lstrip("^")]
            continue
        first, _, last = word.replace("...", "..").partition("..")
        ends += [last] if lists and "..." not in word else [first, last]
    return [end for end in ends if end]


def asks_help(call: GitCall) -> bool:
    """Whether git would show a manual page or a usage and do nothing."""
    words = call.arguments
    if "--help" not in words:
        return False
    place = words.index("--help")
    texts = _TEXTS | _TEXTS_OF.get(call.name, frozenset())
    return "--" not in words[:place] and not (place and words[place - 1] in texts)
