"""Converting one trajectory after another: which format, which tools, what row comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from regreen.core.trajectory import Trajectory, Turn
from regreen.store.rendered import AsideRow, RenderedRow, RenderedSpan
from regreen.store.trajectory_sets import Refuse
from regreen.templates.conversation import id_of
from regreen.templates.conversion.convert import Converted, as_openai, as_prompt, as_text
from regreen.templates.conversion.recorded import (
    OPENAI,
    check_spans,
    segments,
    source_format,
    steps_between,
    tools_offered,
)
from regreen.templates.conversion.steps import Steps, Unconvertible
from regreen.templates.diversity.draw import DiversityConfig, Draw, draw, drawn_format
from regreen.templates.tokens.tokenizers import JsonTokenizer
from regreen.templates.tools import ToolTable

__all__ = ["OPENAI", "Conversion", "Tally"]


@dataclass
class Tally:
    """What became of the trajectories so far."""

    read: int = 0
    converted: int = 0
    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    draws: list[tuple[Draw, int]] = field(default_factory=list)
    """Each draw with the tokens, else the characters, that it came to."""
    first_aside: str = ""
    """Id and details of the first trajectory put aside."""

    def aside(self, name: str, reason: str, details: str) -> None:
        """Count a trajectory that is put aside."""
        self.reasons[reason] += 1
        self.first_aside = self.first_aside or f"{name} {details}"


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What is to be made of every trajectory."""

    to: str
    """Target format by its own name, no alias; empty when it is drawn."""
    shape: Literal["messages", "text", "ids"]
    """What a row is to hold."""
    diversity: DiversityConfig | None = None
    """How formats are drawn."""
    source: str = ""
    """Format of the source, where rows do not say it rightly."""
    tools: tuple[dict[str, Any], ...] = ()
    """Tools, where rows do not say them."""
    tokenizer: Path | None = None
    """A tokenizer.json, for ids and for counting."""

    def rows(
        self,
        trajectories: Iterable[Trajectory],
        tally: Tally,
        put_aside: Callable[[AsideRow], None],
    ) -> Iterator[Trajectory | RenderedRow]:
        """Rows of every trajectory that can be converted; the others are put aside."""
        for row in trajectories:
            tally.read += 1
            try:
                made, notes, choice = self._convert(row)
            except Unconvertible as error:
                put_aside(_aside(row, error.what, error.where, tally))
                continue
            except RecursionError:
                put_aside(_aside(row, "it is nested too deep", "", tally))
                continue
            tally.converted += 1
            tally.notes.update(notes)
            if choice is not None:
                tally.draws.append((choice, sum(map(self._size, made))))
            for one in made:
                tally.rows += 1
                yield one

    def refuse(self, tally: Tally, put_aside: Callable[[AsideRow], None]) -> Refuse:
        """What puts a row aside that is no trajectory."""

        def refused(name: str, row: dict[str, Any], details: str) -> None:
            tally.read += 1
            reason = "the row is no trajectory"
            tally.aside(name, reason, details)
            put_aside(AsideRow(rollout_id=name, reason=reason, details=details, row=row))

        return refused

    def _convert(
        self, row: Trajectory
    ) -> tuple[Sequence[Trajectory | RenderedRow], list[str], Draw | None]:
        form = source_format(self.source or row.tool_format)
        check_spans(row)
        offered, notes = tools_offered(row, form, self.tools)
        choice = draw(self.diversity, row.rollout_id) if self.diversity else None
        target = str(choice) if choice else self.to
        if self.shape != "messages":
            made: list[Trajectory | RenderedRow] = []
            for place, steps in enumerate(segments(row, form, offered)):
                new, more = self._rendered(row, steps, target, offered, place)
                made.append(new)
                notes += more
            return made, notes, choice
        steps = steps_between(row, form, offered, 0, len(row.messages))
        if target == OPENAI:
            found = as_openai(steps)
        else:
            found = as_prompt(steps, drawn_format(target), offered)
        notes += found.notes
        return [_retold(row, found, target, offered)], notes, choice

    def _rendered(
        self, row: Trajectory, steps: Steps, target: str, offered: ToolTable, place: int
    ) -> tuple[RenderedRow, tuple[str, ...]]:
        form = drawn_format(target)
        found = as_text(steps, form, offered)
        base = RenderedRow(
            rollout_id=row.rollout_id,
            task=row.task,
            agent=row.agent,
            model=row.model,
            segment=place,
            tool_format=target,
            unit="characters",
            text=found.text,
            spans=tuple(_span(span) for span in found.spans),
            trained=found.trained,
            resolved=row.verdict.resolved if row.verdict else None,
            rewards=row.rewards,
        )
        if self.tokenizer is None or self.shape == "text":
            return base, found.notes
        from regreen.templates.tokens.renderer import Renderer

        encoded = Renderer(form, _tokenizer(self.tokenizer)).encode(found.messages, offered)
        ranges: list[tuple[int, int]] = []
        for span in encoded.spans:
            if span.trained and ranges and ranges[-1][1] == span.start:
                ranges[-1] = (ranges[-1][0], span.end)
            elif span.trained:
                ranges.append((span.start, span.end))
        tokens = {
            "unit": "tokens",
            "text": "",
            "ids": tuple(encoded.ids),
            "spans": tuple(_span(span) for span in encoded.spans),
            "trained": tuple(ranges),
        }
        return base.model_copy(update=tokens), found.notes

    def _size(self, row: Trajectory | RenderedRow) -> int:
        if isinstance(row, RenderedRow) and row.ids:
            return len(row.ids)
        texts = [row.text] if isinstance(row, RenderedRow) else _contents(row)
        if self.tokenizer is None:
            return sum(map(len, texts))
        return sum(len(_tokenizer(self.tokenizer).encode(text)) for text in texts)


def _aside(row: Trajectory, reason: str, details: str, tally: Tally) -> AsideRow:
    tally.aside(row.rollout_id, reason, details)
    return AsideRow(rollout_id=row.rollout_id, reason=reason, details=details, trajectory=row)


def _contents(row: Trajectory) -> list[str]:
    return [str(message.get("content") or "") for message in row.messages]


@cache
def _tokenizer(path: Path) -> JsonTokenizer:
    return JsonTokenizer(path)


def _span(span: Sequence[Any]) -> RenderedSpan:
    start, end, role, kind, message = span[:5]
    return RenderedSpan(start=start, end=end, role=role, kind=kind, message=message)


def _retold(row: Trajectory, found: Converted, target: str, offered: ToolTable) -> Trajectory:
    """The trajectory with other messages: spans follow, sampled ids go where the text changed."""
    told: dict[str, Any] = {
        "tool_format": target,
        "tools": tuple(dict(tool.declared) for tool in offered.tools),
    }
    if found.messages == row.messages:
        return row.model_copy(update=told)
    cuts = found.cuts
    turns = [new for turn in row.turns for new in _turns(turn, found)]
    segments = tuple((cuts[start], cuts[end]) for start, end in row.segments)
    told |= {"messages": found.messages, "turns": tuple(turns), "segments": segments}
    return row.model_copy(update=told)


def _turns(turn: Turn, found: Converted) -> Iterator[Turn]:
    start, end = found.cuts[turn.start], found.cuts[turn.end]
    answers = [at for at in range(start, end) if found.messages[at]["role"] == "assistant"]
    for place, at in enumerate(answers):
        calls = found.messages[at].get("tool_calls") or ()
        seen = turn.observations
        own = seen if len(answers) == 1 else seen[place : place + 1]
        if len(calls) == len(own):
            ids = [{"call_id": id_of(call.get("id"))} for call in calls]
            own = tuple(one.model_copy(update=new) for new, one in zip(ids, own, strict=True))
        new: dict[str, Any] = {
            "start": at,
            "end": answers[place + 1] if place + 1 < len(answers) else end,
            "observations": own,
        }
        if place:
            yield Turn(**new, finish_reason=turn.finish_reason)
        else:
            gone = dict.fromkeys(("prompt_len", "completion_ids", "logprobs"))
            yield turn.model_copy(update=new | gone)
