"""The blocker's place in the loop: a call is judged before it runs; a refusal answers in its stead.

A refused call is an observation with an error, but no failed attempt: it does not count toward
the limit of repeated errors. What a model does after a refusal is what the blocker is there to
teach, and ending the rollout would hide it; the turn limit bounds it in any case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from regreen.agents.record import Conversation
from regreen.agents.tools import Context, Result
from regreen.core.trajectory import Incident, Observation
from regreen.inference.messages import Message

if TYPE_CHECKING:
    from regreen.guard.blocker import Blocker, Decision

__all__ = ["refusal"]

_LONGEST_FILE = 256_000


async def refusal(
    blocker: Blocker | None, context: Context, call: Message, log: Conversation
) -> tuple[Result, Observation] | None:
    """The answer to a call that the blocker refuses, its incident recorded; None lets it run."""
    if blocker is None:
        return None
    name, text = call["function"]["name"], call["function"]["arguments"]
    arguments = _decoded(text)
    wanted = blocker.wanted_files(name, arguments)
    decision = blocker.judge(name, arguments, await _texts(context, wanted))
    for flag in decision.flags:
        log.incident(_incident(decision, call, log, blocker, flag=flag))
    if not decision.blocked:
        return None
    log.incident(_incident(decision, call, log, blocker))
    observation = Observation(call_id=call["id"], tool=name, error=True)
    return Result(text=decision.message, error=True, refused=True), observation


def _incident(
    decision: Decision, call: Message, log: Conversation, blocker: Blocker, *, flag: str = ""
) -> Incident:
    text = call["function"]["arguments"]
    return Incident(
        rule=flag or decision.rule,
        message=f"Worth a look: {text[:200]}" if flag else f"{decision.message} {_seen(decision)}",
        turn=log.num_turns - 1,
        blocked=not flag,
        confirmed=decision.hacking and not flag,
        call_id=call["id"],
        span=(0, len(text)) if flag else _span(text, decision.evidence),
        penalty=0.0 if flag else blocker.penalty,
    )


def _seen(decision: Decision) -> str:
    return f"Seen: {decision.evidence}"


def _span(text: str, evidence: str) -> tuple[int, int]:
    """Where the evidence stands in a call's arguments; all of them when it is hidden there."""
    for shown in (json.dumps(evidence)[1:-1], json.dumps(evidence, ensure_ascii=False)[1:-1]):
        start = text.find(shown) if shown else -1
        if start >= 0:
            return start, start + len(shown)
    return 0, len(text)


def _decoded(text: str) -> Mapping[str, Any]:
    """The arguments; text that is no JSON object is judged as a command, though no tool runs it."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"command": text}


async def _texts(context: Context, paths: tuple[str, ...]) -> dict[str, str]:
    """The texts of files that a call would run, as far as they can be read."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            data = await context.box.read(path)
        except (OSError, ValueError):
            continue
        if len(data) <= _LONGEST_FILE and b"\0" not in data[:8192]:
            found[path] = data.decode("utf-8", "replace")
    return found
