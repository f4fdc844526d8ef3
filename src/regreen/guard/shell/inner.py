"""What a program that runs another one runs, and where git does so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Inner", "inside_git"]


@dataclass(frozen=True, slots=True)
class Inner:
    """What a wrapper runs."""

    words: tuple[str, ...] = ()
    """An inner command's fields; empty for a script."""
    script: str | None = None
    """Shell text."""
    assignments: tuple[tuple[str, str], ...] = ()
    """Variables it is given."""


def inside_git(arguments: Sequence[str]) -> list[Inner]:
    """Commands in git's arguments: of bisect, rebase, foreach, and in its settings."""
    words = list(arguments)
    for place, word in enumerate(words):
        rest = tuple(words[place + 1 :])
        if word == "run" and "bisect" in words[:place]:
            return [Inner(words=rest)]
        if word == "foreach" and "submodule" in words[:place]:
            rest = tuple(each for each in rest if each not in {"--recursive", "--quiet", "-q"})
            return [Inner(script=" ".join(rest))]
        hooks = {"--exec", "-x", "--tree-filter", "--index-filter", "--extcmd"}
        if word in hooks and rest and {"rebase", "filter-branch", "difftool"} & set(words[:place]):
            return [Inner(script=rest[0])]
    return _settings(words)


def _settings(words: Sequence[str]) -> list[Inner]:
    """Shell text in git's own settings: ``-c alias.x='!...'``, ``config core.sshCommand ...``."""
    found = []
    for place, word in enumerate(words):
        name, mark, value = word.partition("=")
        if not mark and place + 1 < len(words) and "config" in words[:place]:
            value = words[place + 1]
        lower = name.lower()
        if lower.startswith("alias.") and value.startswith("!"):
            found.append(Inner(script=value[1:]))
        elif lower.startswith("alias.") and value:
            found.append(Inner(script=f"git {value}"))
        elif lower in _SHELL_SETTINGS and value:
            found.append(Inner(script=value))
    return found


_SHELL_SETTINGS = {
    "core.sshcommand", "core.pager", "core.editor", "core.fsmonitor", "core.askpass",
    "sequence.editor", "diff.external", "credential.helper", "gpg.program",
}  # fmt: skip
