"""Reads the rules' files, which lie beside this module, once."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from regreen.guard.rules.places import Hosts
from regreen.guard.rules.table import Manager, NetworkProgram, Rule

__all__ = ["Tables", "load"]

_FILES = ("network.toml", "packages.toml", "history.toml", "control.toml", "tools.toml")
"""In the order in which rules are asked; the first that refuses is the one named."""

_GROUP = "@network"


@dataclass(frozen=True, slots=True)
class Tables:
    """All that the rules' files hold."""

    rules: tuple[Rule, ...]
    """In the order in which they are asked."""
    programs: tuple[NetworkProgram, ...]
    """Programs that go to the network."""
    managers: tuple[Manager, ...]
    """Package managers."""
    hosts: Hosts
    """Known hosts."""


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files("regreen.guard.rules").joinpath(name).read_text(encoding="utf-8"))


@cache
def load() -> Tables:
    """The rules that come with the package."""
    known = _read("programs.toml")
    programs = tuple(NetworkProgram.model_validate(row) for row in known["program"])
    groups = {
        "program": tuple(name for row in programs for name in row.programs),
        "call": tuple(known["network"]["calls"]),
    }
    rows = [row for name in _FILES for row in _read(name)["rule"]]
    return Tables(
        rules=tuple(_grouped(Rule.model_validate(row), groups) for row in rows),
        programs=programs,
        managers=tuple(Manager.model_validate(row) for row in known["manager"]),
        hosts=Hosts(**{kind: tuple(ends) for kind, ends in known["hosts"].items()}),
    )


def _grouped(rule: Rule, groups: dict[str, tuple[str, ...]]) -> Rule:
    """Put the members in the place of ``@network``."""
    found = []
    for match in rule.match:
        changed = {
            key: (*(name for name in getattr(match, key) if name != _GROUP), *members)
            for key, members in groups.items()
            if _GROUP in getattr(match, key)
        }
        found.append(match.model_copy(update=changed))
    return rule.model_copy(update={"match": tuple(found)})
