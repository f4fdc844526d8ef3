"""Agents: loops that work on a task in a box.

Built-ins stand in one table; others come by the entry-point group ``regreen.agents`` or by dotted
path, ``package.module:Class``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from regreen.agents.base import Agent, Limits, Setting, TaskView
from regreen.core.errors import UsageError

__all__ = ["AGENTS", "Agent", "Limits", "Setting", "TaskView", "agent", "agent_class"]

AGENTS: dict[str, str] = {
    "cheat_equal": "regreen.agents.cheats:CheatByEquality",
    "cheat_fetch": "regreen.agents.cheats:CheatByFetching",
    "cheat_runner": "regreen.agents.cheats:CheatByRunner",
    "mini": "regreen.agents.mini:Mini",
    "nop": "regreen.agents.nop:Nop",
    "oracle": "regreen.agents.oracle:Oracle",
    "react": "regreen.agents.react:React",
    "scripted": "regreen.agents.scripted:Scripted",
}


def _installed() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group="regreen.agents")}


def agent_class(name: str) -> Any:  # a class called with a Setting; see the Agent protocol
    """The class behind a name: a built-in, an installed plug-in, or a dotted path.

    Raises:
        UsageError: there is none, or it cannot be imported.
    """
    target = AGENTS.get(name) or _installed().get(name) or (name if ":" in name else "")
    if not target:
        known = ", ".join(sorted(AGENTS | _installed()))
        msg = f"there is no agent {name!r}"
        raise UsageError(msg, where="--agent", mend=f"choose one of {known}, or give pkg.mod:Class")
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        msg = f"the agent {name!r} cannot be loaded: {exc}"
        mend = f"see that python can import {module} and that it has {attribute}"
        raise UsageError(msg, where=target, mend=mend) from exc


def agent(name: str, **options: Any) -> Agent:
    """Make an agent; ``options`` are the fields of ``Setting``."""
    made: Agent = agent_class(name)(Setting(**options))
    return made
