"""The reference page of the blocker's rules, written from the rules themselves."""

from __future__ import annotations

import json

from regreen.guard.rules.table import Example, Rule
from regreen.guard.rules.tables import load

__all__ = ["reference_page"]

_HEAD = """# The blocker's rules

Written by `make docs`; a test compares it with the rules, and every example is a test. A call is
read as a shell would read it and comes down to commands; the first rule that holds for one of them
refuses the call, and the agent is told the message. `regreen guard replay` explains a decision.
The examples protect `octo/widget`. The rules are feedback; the walls are the box without a route
and the repository without later history.
"""


def reference_page() -> str:
    """The page in Markdown, in the order in which the rules are asked."""
    return "\n".join([_HEAD, *(_section(rule) for rule in load().rules)])


def _section(rule: Rule) -> str:
    does = "Only flagged, never refused." if rule.flag else f"> {rule.message}"
    if not rule.flag and not rule.hacking:
        does += "\n\nRefused, and not counted as an attempt to cheat."
    verb = "flags" if rule.flag else "refuses"
    lines = [f"## {rule.id}", "", rule.reason, "", does, ""]
    lines += [f"It {verb}, among others:", "", _listed(rule.block), ""]
    if rule.allow:
        lines += ["It leaves alone:", "", _listed(rule.allow), ""]
    return "\n".join(lines)


def _listed(examples: tuple[str | Example, ...]) -> str:
    return "```text\n" + "\n".join(map(_shown, examples)) + "\n```"


def _shown(example: str | Example) -> str:
    if isinstance(example, str):
        return example
    return f"{example.tool} {json.dumps(example.arguments)}"
