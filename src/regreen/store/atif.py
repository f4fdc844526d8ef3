"""Trajectories as ATIF v1.8 (Agent Trajectory Interchange Format, RFC 0001 of Harbor) and back.

A step is our message and the tool messages after it. Where a message does not survive the mapping
it also stands verbatim in the step's ``extra.regreen``, so coming back is exact for any message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regreen import __version__
from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory, Turn
from regreen.store.atif_steps import step_to_messages, to_steps
from regreen.store.atomic import disk_error, replacing
from regreen.store.jsonl import encode_row
from regreen.store.rows import to_record

__all__ = ["from_atif", "read_atif", "to_atif", "write_atif"]

_VERSION = "ATIF-v1.8"
_READABLE = {f"ATIF-v1.{minor}" for minor in range(9)}
_IDS = ("completion_ids", "logprobs")


def to_atif(trajectory: Trajectory) -> dict[str, Any]:
    """One ATIF document; what ATIF lacks is in ``extra.regreen``, token ids in the metrics."""
    ours = trajectory.model_dump(exclude={"messages"})
    steps, step_of_message = to_steps(trajectory.messages)
    for turn, row in zip(trajectory.turns, ours["turns"], strict=True):
        step = step_of_message.get(turn.start)
        if step is not None and steps[step]["source"] == "agent" and "metrics" not in steps[step]:
            row["step_id"] = step + 1
            steps[step]["metrics"] = _metrics(turn)
            for key in _IDS:
                row.pop(key)
    document: dict[str, Any] = {
        "schema_version": _VERSION,
        "session_id": trajectory.rollout_id,
        "trajectory_id": trajectory.rollout_id,
        "agent": {"name": trajectory.agent, "version": f"regreen {__version__}"},
        "steps": steps,
        "final_metrics": _totals(trajectory.turns, len(steps)),
        "extra": {"regreen": ours},
    }
    if trajectory.model:
        document["agent"]["model_name"] = trajectory.model
    return document


def from_atif(document: Mapping[str, Any], where: str = "ATIF document") -> Trajectory:
    """The trajectory of one ATIF document, exact for ours and by its steps for others'.

    Raises:
        UsageError: no ATIF document, or a version this reader does not know.
    """
    version, steps = document.get("schema_version"), document.get("steps")
    if str(version) not in _READABLE or not isinstance(steps, list):
        what = f"this is no ATIF document of a known version: schema_version is {version!r}"
        mend = f"give one of {', '.join(sorted(_READABLE))}"
        raise UsageError(what, where=where, mend=mend)
    try:
        per_step = [step_to_messages(step) for step in steps]
        row = dict((document.get("extra") or {}).get("regreen") or _foreign(document, per_step))
        row["turns"] = [_with_ids(turn, steps) for turn in row.get("turns", ())]
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        what = f"a step does not follow the format: {type(error).__name__}: {error}"
        mend = "check the document with an ATIF validator"
        raise UsageError(what, where=where, mend=mend) from error
    row["messages"] = [message for messages in per_step for message in messages]
    return to_record(Trajectory, row, where)


def write_atif(path: Path, trajectory: Trajectory) -> None:
    """Replace ``path`` by the ATIF document of ``trajectory``."""
    with replacing(path) as file:
        file.write(encode_row(to_atif(trajectory)))


def read_atif(path: Path) -> Trajectory:
    """The trajectory in an ATIF file.

    Raises:
        UsageError: the file cannot be read or holds no ATIF document.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise disk_error(error, path) from error
    except ValueError as error:
        what = f"this file is not JSON: {error}"
        raise UsageError(what, where=str(path), mend="restore or export it again") from error
    return from_atif(document if isinstance(document, dict) else {}, str(path))


def _metrics(turn: Turn) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "prompt_tokens": turn.usage.prompt_tokens,
        "completion_tokens": turn.usage.completion_tokens,
    }
    if turn.completion_ids is not None:
        metrics["completion_token_ids"] = list(turn.completion_ids)
    if turn.logprobs is not None:
        metrics["logprobs"] = list(turn.logprobs)
    return metrics


def _with_ids(turn: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    row = dict(turn)
    if (step_id := row.pop("step_id", None)) is not None:
        metrics = steps[step_id - 1]["metrics"]
        row["completion_ids"] = metrics.get("completion_token_ids")
        row["logprobs"] = metrics.get("logprobs")
    return row


def _totals(turns: Sequence[Turn], num_steps: int) -> dict[str, Any]:
    return {
        "total_prompt_tokens": sum(turn.usage.prompt_tokens for turn in turns),
        "total_completion_tokens": sum(turn.usage.completion_tokens for turn in turns),
        "total_steps": num_steps,
    }


def _foreign(
    document: Mapping[str, Any], per_step: Sequence[Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """The fields of a document that another program wrote."""
    name = document.get("trajectory_id") or document.get("session_id") or "imported"
    turns, start = [], 0
    for number, (step, messages) in enumerate(zip(document["steps"], per_step, strict=True), 1):
        if step["source"] == "agent":
            metrics = step.get("metrics")
            usage = {k: (metrics or {}).get(k) or 0 for k in ("prompt_tokens", "completion_tokens")}
            turn = {"start": start, "end": start + len(messages), "usage": usage}
            turns.append({**turn, "step_id": number} if metrics else turn)
        start += len(messages)
    agent = document["agent"]
    return {
        "schema_name": "regreen.trajectory",
        "rollout_id": name,
        "task": document.get("session_id") or name,
        "agent": agent["name"],
        "model": agent.get("model_name") or "",
        "turns": turns,
    }
