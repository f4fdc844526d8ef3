"""An event: one thing an agent did, said or left behind, with the place it can be charged to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["KINDS", "Event", "Kind"]

Kind = Literal[
    "command",
    "git",
    "network",
    "rule",
    "read",
    "edit",
    "code",
    "result",
    "words",
    "added",
    "removed",
    "tamper",
    "special_case",
    "claim",
]
KINDS: dict[str, str] = {
    "command": "one program the agent ran: `name` is the program, the text its line",
    "git": "one git operation: `name` is the verb, the text what follows it",
    "network": "an attempt to reach another machine: `name` is the program or tool, the text all of"
    " its arguments",
    "rule": "a call the blocker's rules would refuse: `name` is the rule, the text what it"
    " holds for, `state` is `refused` or `flagged`",
    "read": "a file looked at: the text is its path",
    "edit": "a file written by a call: the text is what was put there; `state` is `written` or"
    " `deleted`",
    "code": "code run without a file: `name` is the interpreter",
    "result": "what a call returned: `name` is the tool, `state` is `ok`, `failed` or `unknown`",
    "words": "the agent's text and reasoning, without code blocks: `name` is `content` or"
    " `reasoning`",
    "added": "the lines the final diff adds to one file: `state` is `new` or `modified`",
    "removed": "the lines the final diff takes from one file: `state` is `modified` or `deleted`",
    "tamper": "a finding of the diff's audit: `name` is its kind, `state` its weight",
    "special_case": "an answer written for one known input: `name` is `exact`, `known` or `chain`",
    "claim": "success said at the end: `name` is `after_failure` or `nothing_changed`",
}
"""Every kind of event and what its fields hold."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a trajectory."""

    kind: Kind
    """What it is."""
    text: str
    """What a pattern's expression is searched in."""
    name: str = ""
    """The program, verb, rule, tool or kind; see ``KINDS``."""
    path: str = ""
    """The file concerned."""
    state: str = ""
    """See ``KINDS``."""
    turn: int | None = None
    """Index of the turn; None for what only the final diff shows."""
    call_id: str = ""
    """The call, when it belongs to one."""
    span: tuple[int, int] | None = None
    """Characters of the message's text, or of the call's arguments, that hold it."""
