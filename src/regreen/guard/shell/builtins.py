"""The shell's own commands that change what later words mean."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from regreen.guard.shell.scope import HOLE

if TYPE_CHECKING:
    from regreen.guard.shell.command import Command
    from regreen.guard.shell.walk import Walker

__all__ = ["run_builtin"]

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=(.*)", re.DOTALL)


def run_builtin(walker: Walker, command: Command) -> str | None:
    """Carry out a builtin; returns what it prints, or None for any other command."""
    builtin = _BUILTINS.get(command.program)
    return None if builtin is None else builtin(walker, command)


def _cd(walker: Walker, command: Command) -> str:
    places = [word for word in command.arguments if not word.startswith("-")]
    walker.scope.cwd = walker.scope.path(places[0]) if places else "/root"
    return ""


def _declare(walker: Walker, command: Command) -> str:
    for word in command.arguments:
        found = _ASSIGNMENT.fullmatch(word)
        if found:
            name, plus, value = found.groups()
            before = "".join(walker.scope.variables.get(name, ())) if plus else ""
            if value.startswith("(") and value.endswith(")"):
                walker.scope.assign(name, tuple(value[1:-1].split()))
            else:
                walker.scope.assign(name, (before + value,))
    return ""


def _alias(walker: Walker, command: Command) -> str:
    for word in command.arguments:
        name, mark, text = word.partition("=")
        if mark:
            walker.scope.aliases[name] = text
    return ""


def _set(walker: Walker, command: Command) -> str:
    if "--" in command.arguments:
        place = command.arguments.index("--")
        walker.scope.positional = command.arguments[place + 1 :]
    elif command.arguments and not command.arguments[0].startswith(("-", "+")):
        walker.scope.positional = command.arguments
    return ""


def _shift(walker: Walker, command: Command) -> str:
    count = command.arguments[0] if command.arguments else "1"
    walker.scope.positional = walker.scope.positional[int(count) if count.isdigit() else 1 :]
    return ""


def _unset(walker: Walker, command: Command) -> str:
    for word in command.arguments:
        walker.scope.variables.pop(word, None)
    return ""


def _read(walker: Walker, command: Command) -> str:
    names = [word for word in command.arguments if re.fullmatch(r"[A-Za-z_]\w*", word)]
    line = HOLE if command.stdin is None else command.stdin.strip("\n")
    if "\n" in line:
        line = line.replace("\n", " ")
    if "-a" in command.arguments and names:
        walker.scope.assign(names[0], tuple(line.split()))
        return ""
    names = names or ["REPLY"]
    parts = line.split(None, len(names) - 1) if len(names) > 1 else [line]
    for place, name in enumerate(names):
        walker.scope.assign(name, (parts[place] if place < len(parts) else HOLE,))
    return ""


def _mapfile(walker: Walker, command: Command) -> str:
    names = [word for word in command.arguments if re.fullmatch(r"[A-Za-z_]\w*", word)]
    lines = (HOLE,) if command.stdin is None else tuple(command.stdin.splitlines())
    walker.scope.assign(names[-1] if names else "MAPFILE", lines)
    return ""


def _source(walker: Walker, command: Command) -> str | None:
    if not command.arguments:
        return ""
    path = command.arguments[0]
    if path in {"/dev/stdin", "-"}:
        text = command.stdin
    else:
        text = walker.scope.read(path)
        if text is None and not _trusted(path):
            walker.scope.wanted.setdefault(walker.scope.path(path))
    return walker.script(text, via=f"source {path}") if text is not None else ""


def _trusted(path: str) -> bool:
    """Activation scripts of an environment are nobody's attempt."""
    return HOLE in path or posixpath.basename(path) in {"activate", ".bashrc", ".profile"}


_BUILTINS: dict[str, Callable[[Walker, Command], str | None]] = {
    "cd": _cd,
    "pushd": _cd,
    "export": _declare,
    "declare": _declare,
    "typeset": _declare,
    "local": _declare,
    "readonly": _declare,
    "alias": _alias,
    "set": _set,
    "shift": _shift,
    "unset": _unset,
    "read": _read,
    "mapfile": _mapfile,
    "readarray": _mapfile,
    "source": _source,
    ".": _source,
}
