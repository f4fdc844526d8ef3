"""Which places a command goes to, by the table of network programs; git has its own grammar."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from regreen.guard.rules.places import Hosts, Place, place_of
from regreen.guard.rules.table import NetworkProgram
from regreen.guard.shell.command import Command
from regreen.guard.shell.git import GitCall, read_git
from regreen.guard.shell.scope import HOLE
from regreen.guard.subject import Subject

__all__ = ["targets"]

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)
_HOST = re.compile(
    r"(?:\d{1,3}(?:\.\d{1,3}){3}|localhost"
    r"|(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|co|us|eu|cn|edu|gov|info|sh|ai|app|me|xyz|in|de))"
    r"(?::\d+)?(?:/\S*)?",
    re.IGNORECASE,
)
_SITE = re.compile(r"([\w-]+\.)+(com|org|net|io|dev|edu)(/|:|$)", re.IGNORECASE)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_REROUTES = frozenset({"--connect-to", "--resolve"})
_GIT_VALUES = frozenset(
    {"-b", "--branch", "--depth", "-o", "--origin", "-u", "--upload-pack", "-c", "--config", "-j",
     "--reference", "--template", "--separate-git-dir", "--filter", "--shallow-since", "-m", "-t",
     "--jobs", "--server-option", "--recurse-submodules", "--deepen", "--refmap", "--name"}
)  # fmt: skip


def targets(
    command: Command, table: Sequence[NetworkProgram], subject: Subject, hosts: Hosts
) -> list[Place]:
    """The places a command goes to, or would go to by default."""
    if command.language != "shell":
        return _of_code(command, subject, hosts)
    if command.program == "git":
        return _of_git(command, subject, hosts)
    row = next(
        (r for r in table if any(fnmatch.fnmatch(command.program, p) for p in r.programs)), None
    )
    if row is None:
        return _of_unknown(command, subject, hosts)
    return _of_program(command, row, subject, hosts)


def _of_program(
    command: Command, row: NetworkProgram, subject: Subject, hosts: Hosts
) -> list[Place]:
    found: list[str] = []
    words = list(command.arguments)
    positional = 0
    while words:
        word = words.pop(0)
        if word in row.quiet and not (row.first_only and positional and word == "--help"):
            return []
        option, mark, value = word.partition("=")
        if word in row.values:
            words = words[1:]
        elif option in row.places:
            given = value if mark else words.pop(0) if words else HOLE
            found += _rerouted(given) if option in _REROUTES else [given]
        elif option in row.lists:
            found += _listed(command, value if mark else words.pop(0) if words else "")
        elif word.startswith("-") and len(word) > 1:
            found += [word[2:]] if word[:2] in row.places and len(word) > 2 else []
        elif word not in _METHODS and not (row.first_only and positional):
            positional += 1
            found.append(word)
    return [_placed(text, subject, hosts, row.bare) for text in found if text]


def _rerouted(value: str) -> list[str]:
    """The hosts of ``host:port:host:port``."""
    return [part.strip("[]+") for part in value.split(":") if not part.isdigit() and part]


def _placed(text: str, subject: Subject, hosts: Hosts, bare: str) -> Place:
    kind = "host" if bare == "host" or (bare == "name" and _SITE.match(text)) else "path"
    return place_of(text, subject, hosts, kind)  # type: ignore[arg-type]


def _listed(command: Command, name: str) -> list[str]:
    """The addresses of a file that a program reads them from."""
    text = command.stdin if name in {"-", "/dev/stdin"} else command.texts.get(name)
    return [HOLE] if text is None else _URL.findall(text) or text.split()


def _of_code(command: Command, subject: Subject, hosts: Hosts) -> list[Place]:
    """Only what looks like an address counts: other arguments of a call are no places."""
    found: list[Place] = []
    for text in command.arguments:
        found += [place_of(url, subject, hosts, "host") for url in _URL.findall(text)]
        if text.startswith("//") or _HOST.fullmatch(text) or (HOLE in text and "://" in text):
            found.append(place_of(text, subject, hosts, "host"))
    return found


def _of_unknown(command: Command, subject: Subject, hosts: Hosts) -> list[Place]:
    """A program that is itself hidden goes where the addresses among its arguments lead."""
    if HOLE not in command.program:
        return []
    return [place_of(w, subject, hosts) for w in command.arguments if _URL.fullmatch(w)]


def _of_git(command: Command, subject: Subject, hosts: Hosts) -> list[Place]:  # noqa: PLR0911
    call = read_git(command.arguments)
    words = _without_values(call)
    default = Place("local" if "origin" in command.remotes else "default", "origin")
    name = call.name
    if name in {"fetch", "pull", "ls-remote", "push", "fetch-pack", "clone", "http-fetch"}:
        named = [_remote(words[0], command, subject, hosts)] if words else [default]
        return [] if name == "clone" and not words else named
    if name == "remote":
        return _of_remote(words, command, subject, hosts, default)
    if name == "submodule":
        if words[:1] == ["add"] and len(words) > 1:
            return [_remote(words[1], command, subject, hosts)]
        return [default] if words[:1] in (["update"], ["sync"]) else []
    if name == "subtree":
        return [_remote(w, command, subject, hosts) for w in words[1:2]]
    if name == "archive":
        given = [w.partition("=")[2] for w in call.arguments if w.startswith("--remote=")]
        after = [
            b for a, b in zip(call.arguments, call.arguments[1:], strict=False) if a == "--remote"
        ]
        return [_remote(w, command, subject, hosts) for w in given + after]
    if name == "config" and len(words) > 1 and re.match(r"(remote|url|submodule)\.", words[-2]):
        return [place_of(w, subject, hosts) for w in words[-2:]]
    if name in {"svn", "p4", "lfs", "cvsimport"} and words:
        return [default if len(words) == 1 else _remote(words[-1], command, subject, hosts)]
    return []


def _of_remote(
    words: list[str], command: Command, subject: Subject, hosts: Hosts, default: Place
) -> list[Place]:
    verb = words[0] if words else ""
    if verb in {"add", "set-url"} and len(words) > 2:
        return [place_of(words[2], subject, hosts)]
    if verb in {"update", "show", "prune", "set-head"}:
        if verb == "show" and len(words) < 2:
            return []
        return [_remote(words[1], command, subject, hosts) if len(words) > 1 else default]
    return []


def _remote(word: str, command: Command, subject: Subject, hosts: Hosts) -> Place:
    if word in command.remotes:
        return Place("local", word)
    return place_of(word, subject, hosts, "name")


def _without_values(call: GitCall) -> list[str]:
    found: list[str] = []
    words = list(call.arguments)
    while words:
        word = words.pop(0)
        if word in _GIT_VALUES and words:
            words.pop(0)
        elif not word.startswith("-"):
            found.append(word)
    return found
