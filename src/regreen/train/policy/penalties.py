"""Penalties of single tokens: those of an invalid call, and those the guard points at.

A rollout's reward says how all of it went; a penalty says which words were wrong, and falls on
nothing else. How large it should be is published nowhere (Qwen3-Coder-Next, 2603.00729, names
both kinds and no number), so the amounts here are ours: about half of what a success is worth.

Shapes: T tokens of a conversation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory
from regreen.guard.monitor.spans import token_spans
from regreen.templates.tokens.dialogue import Dialogue
from regreen.templates.tokens.renderer import Renderer
from regreen.templates.tools import ToolTable, tool_table
from regreen.train.policy.penalty_calls import CallFault, call_faults, token_texts

__all__ = ["Penalised", "PenaltyConfig", "penalise"]


class PenaltyConfig(BaseModel):
    """How much is subtracted from the advantage of which tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    invalid_call: float = Field(default=0.5, ge=0.0)
    """A call that cannot be executed, names no offered tool, or does not fit the tool's schema."""
    mended_call: float = Field(default=0.1, ge=0.0)
    """A call that departs from its format and was read all the same; other clients may not."""
    guard: float = Field(default=1.0, ge=0.0)
    """Factor on the penalty that an incident names for its words."""
    most: float = Field(default=2.0, gt=0.0)
    """Largest penalty of one token, where several fall on it."""


@dataclass(frozen=True, slots=True, eq=False)
class Penalised:
    """The penalties of one conversation."""

    penalties: NDArray[np.float32]
    """(T,) at least 0; 0 where not sampled."""
    faults: tuple[tuple[int, CallFault], ...]
    """The invalid calls, each with its sample."""
    num_guarded: int
    """Incidents whose penalty found tokens."""


def penalise(
    dialogue: Dialogue,
    trajectory: Trajectory | None = None,
    *,
    config: PenaltyConfig | None = None,
    tools: Iterable[Mapping[str, Any]] = (),
    first_turn: int = 0,
) -> Penalised:
    """Find the tokens of a conversation that are to be penalised.

    Args:
        dialogue: the conversation as it was sampled, or ``Dialogue.replay`` of a record.
        trajectory: its record, for the incidents; a last turn that broke off may be missing. None
            for none.
        config: the amounts.
        tools: the tools offered, in OpenAI shape, where the dialogue was not given them; else the
            trajectory's.
        first_turn: the trajectory's turn that the dialogue's first sample is, where a rewritten
            history left several dialogues.

    Raises:
        UsageError: the trajectory recorded other ids.
    """
    config = config or PenaltyConfig()
    found = np.zeros(len(dialogue.ids), np.float32)
    table = dialogue.tools
    if not table.tools:
        table = tool_table([*tools] or (trajectory.tools if trajectory is not None else ()))
    faults = tuple(_invalid(dialogue, table))
    for place, fault in faults:
        amount = config.mended_call if fault.kind == "mended" else config.invalid_call
        _add(found, dialogue.samples[place].prompt_len, fault.tokens, amount)
    guarded = 0
    if trajectory is not None and config.guard:
        for place, spans, penalty in _guarded(dialogue, trajectory, first_turn):
            guarded += 1
            for span in spans:
                _add(found, dialogue.samples[place].prompt_len, span, config.guard * penalty)
    return Penalised(np.minimum(found, np.float32(config.most)), faults, guarded)


def _invalid(dialogue: Dialogue, tools: ToolTable) -> Iterator[tuple[int, CallFault]]:
    ids = dialogue.ids
    for place, sample in enumerate(dialogue.samples):
        in_front = ids[max(0, sample.prompt_len - 64) : sample.prompt_len]
        for fault in call_faults(
            dialogue.renderer,
            tools,
            sample.ids,
            truncated=sample.finish_reason == "length",
            in_reasoning=_opened_reasoning(dialogue.renderer, in_front),
        ):
            yield place, fault


def _opened_reasoning(renderer: Renderer, ids: Sequence[int]) -> bool:
    """Whether a prompt's end opens the reasoning."""
    marks = renderer.form.reasoning
    opening = marks.open.strip() if marks is not None else ""
    return bool(opening) and renderer.tokenizer.decode(ids).rstrip().endswith(opening)


def _guarded(
    dialogue: Dialogue, trajectory: Trajectory, first_turn: int
) -> Iterator[tuple[int, tuple[tuple[int, int], ...], float]]:
    """Sample, token ranges in it, and penalty of each incident that has one."""
    turns = list(trajectory.turns)
    last_turn = min(first_turn + len(dialogue.samples), len(turns))
    for place, sample in enumerate(dialogue.samples[: max(0, last_turn - first_turn)]):
        turn = turns[first_turn + place]
        if turn.completion_ids not in {None, sample.ids}:
            what = f"turn {first_turn + place} was sampled elsewhere"
            mend = "give the record of this dialogue, and its first turn"
            raise UsageError(what, where=trajectory.rollout_id, mend=mend)
        turns[first_turn + place] = turn.model_copy(update={"completion_ids": sample.ids})
    known = trajectory.model_copy(update={"turns": tuple(turns)})

    def pieces(ids: Sequence[int]) -> list[bytes]:
        return [
            text.encode("utf-8", "replace")
            for text in token_texts(dialogue.renderer.tokenizer, ids)
        ]

    for incident in trajectory.incidents:
        turn_number = incident.turn
        if turn_number is None or not first_turn <= turn_number < last_turn:
            continue
        if incident.penalty > 0 and math.isfinite(incident.penalty):
            spans = token_spans(known, incident, pieces)
            if spans:
                yield turn_number - first_turn, spans, incident.penalty


def _add(found: NDArray[np.float32], offset: int, span: tuple[int, int], amount: float) -> None:
    found[offset + span[0] : offset + span[1]] += np.float32(amount)
