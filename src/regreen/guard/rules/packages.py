"""What a package manager is asked to install: the task's own distribution, an address, others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from regreen.guard.rules.places import Hosts, place_of
from regreen.guard.rules.table import Manager
from regreen.guard.shell.command import Command
from regreen.guard.shell.scope import HOLE
from regreen.guard.subject import Subject

__all__ = ["Installed", "installed"]

Installed = Literal["target", "address", "index", "ordinary"]
"""``target`` a release of the task's project, ``address`` something by URL or VCS, ``index`` from
another index, ``ordinary`` a dependency."""

_NAME = re.compile(r"([@\w][\w.@/:-]*?)(?=[\[=<>!~;\s^(@,]|$)")
_ADDRESS = re.compile(
    r"^([\w.-]+\s*@\s*)?((git|hg|svn|bzr)\+|https?://|git://|ssh://|git@|ftp://|(github|gitlab"
    r"|bitbucket|gist):)",
    re.IGNORECASE,
)

_BEFORE = re.compile(r"^([\w.-]+\s*@\s*)?(\w+\+)?")


def installed(
    command: Command, managers: Sequence[Manager], subject: Subject, hosts: Hosts
) -> set[Installed]:
    """Classify what a command brings in; empty when it is no package manager's."""
    found: set[Installed] = set()
    for manager in managers:
        if any(re.fullmatch(pattern, command.program) for pattern in manager.programs):
            found |= _of_manager(command, manager, subject, hosts)
    return found


def _of_manager(  # noqa: PLR0912
    command: Command, manager: Manager, subject: Subject, hosts: Hosts
) -> set[Installed]:
    """Classify what a command of a package manager brings in; empty when it brings in nothing."""
    words = list(command.arguments)
    leading: list[str] = []
    while manager.verbs != ("",) and words and words[0].startswith("-"):
        leading.append(words.pop(0))
        if leading[-1] in manager.values and words:
            leading.append(words.pop(0))
    verb = next((v for v in manager.verbs if words[: len(v.split())] == v.split()), None)
    if verb is None:
        return set()
    rest = leading + words[len(verb.split()) :]
    found: set[Installed] = set()
    names: list[str] = []
    named: list[str] = []
    while rest:
        word = rest.pop(0)
        option, mark, value = word.partition("=")
        if not word.startswith("-"):
            names.append(word)
            continue
        if option not in manager.values:
            if manager.fetches_options and option in manager.fetches_options:
                found.add("address")
            continue
        if not mark and rest:
            value = rest.pop(0)
        if option in manager.indexes and _elsewhere(value, subject, hosts):
            found.add("index")
        elif option in manager.names:
            named += re.split(r"[,\s]+", value)
        elif option in manager.lists:
            named += _listed(value, command)
    if manager.options_only:
        names = []
    for name in [*named, *names[:1]] if manager.first_only else [*named, *names]:
        found.add(_classified(name, manager, subject, hosts))
    return found


def _listed(value: str, command: Command) -> list[str]:
    """A requirements file: its address, or its lines where they are fed in."""
    text = command.stdin if value in {"-", "/dev/stdin"} else command.texts.get(value)
    if text is not None:
        lines = [line.partition(" #")[0].strip() for line in text.splitlines()]
        return [line for line in lines if line and not line.startswith(("#", "-"))]
    return [value] if "://" in value else []


def _elsewhere(value: str, subject: Subject, hosts: Hosts) -> bool:
    return place_of(value, subject, hosts).kind not in {"path", "local", "name"}


def _classified(name: str, manager: Manager, subject: Subject, hosts: Hosts) -> Installed:  # noqa: PLR0911
    if _ADDRESS.match(name):
        local = place_of(_BEFORE.sub("", name), subject, hosts).kind in {"path", "local"}
        return "ordinary" if local else "address"
    if name.startswith((".", "/", "~", "file:")) or name.endswith((".whl", ".tgz", ".gem")):
        return "ordinary"
    if manager.shorthand and re.fullmatch(r"[\w-]+/[\w.-]+(#.*)?", name):
        return "address"
    if manager.modules:
        return "target" if subject.named_in(name) else "ordinary"
    if HOLE in name:
        return "ordinary"
    bare = name.rpartition(":")[2] if manager.coordinates and ":" in name else name
    if manager.coordinates and subject.named_in(name.split("@", maxsplit=1)[0]):
        return "target"
    found = _NAME.match(bare)
    plain = found[1] if found else bare
    plain = plain if plain.startswith("@") else plain.split("@")[0]
    return (
        "target" if subject.publishes(plain) or subject.publishes(_archive(plain)) else "ordinary"
    )


def _archive(name: str) -> str:
    return re.sub(r"-v?\d.*$", "", name)
