"""Trajectories and texts to token documents: ids, labels, head, and where each may be cut.

A trajectory becomes one document for each of its segments, or none at all: where one segment cannot
be said in the format, the trajectory is put aside with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory, Turn
from regreen.packing.cut_places import cut_places, head_length, text_places
from regreen.packing.filters import UNKNOWN, dropped, is_unknown
from regreen.packing.planner import DEFAULT_POLICY
from regreen.packing.repeats import Repeats
from regreen.packing.sampled import with_sampled_ids
from regreen.packing.settings import PackConfig
from regreen.packing.text_tokens import text_tokens
from regreen.packing.vocabulary import open_vocabulary
from regreen.store.packed_header import LOSS, ROLES, VocabularyRecord
from regreen.store.texts import TextRow
from regreen.templates.conversion.convert import as_text
from regreen.templates.conversion.recorded import (
    check_spans,
    segments,
    source_format,
    tools_offered,
)
from regreen.templates.conversion.steps import Steps, Unconvertible
from regreen.templates.diversity.draw import DiversityConfig, Draw, draw, drawn_format
from regreen.templates.format import ToolFormat
from regreen.templates.tokens.renderer import Renderer
from regreen.templates.tokens.spans import Rendered, Span
from regreen.templates.tokens.tokenizers import Tokenizer
from regreen.templates.tools import ToolTable

__all__ = ["Document", "Made", "Refused", "Rendering", "Unit", "formats_used"]

Unit = Trajectory | TextRow
"""What a source holds."""

_ROLE = {role: place for place, role in enumerate(ROLES)}
_TRAINED = {"text": "assistant", "reasoning": "reasoning", "calls": "call", "end": "end"}
_ANEW = "sampled ids were left aside: the text was rendered and encoded anew"
_SURROGATES = "halves of surrogate pairs, which UTF-8 cannot hold, are not as they were"
_NO_PLACES = np.empty(0, np.int64)


class Document(NamedTuple):
    """One sequence of tokens that a model sees as a whole, if it fits."""

    tokens: NDArray[np.uint32]
    """Ids."""
    labels: NDArray[np.uint8]
    """Role and loss bit of each; see ``regreen.store.packed_header``."""
    head: int
    """Tokens of the system turn and the tool definitions."""
    places: NDArray[np.int64]
    """Where it may be cut; empty where it fits a row."""
    template: str
    """What rendered it, as ``Draw`` reads it; empty for plain text."""
    segment: int
    """Which segment of the trajectory."""


class Made(NamedTuple):
    """A unit that became documents."""

    documents: list[Document]
    """At least one."""
    notes: list[str]
    """What was mended or left out."""


class Refused(NamedTuple):
    """A unit that became none."""

    reason: str
    """Why, in words that are counted."""
    details: str
    """Where, and what exactly."""


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """How units become documents; pickled to other processes, where it opens the vocabulary."""

    config: PackConfig
    """The settings."""
    vocabulary: VocabularyRecord
    """The vocabulary."""
    diversity: DiversityConfig | None = None
    """How templates are drawn; None renders all in one format."""
    source: str = ""
    """Format of the sources, where rows do not say it rightly."""
    tools: tuple[dict[str, Any], ...] = ()
    """Tools, where rows do not say them."""
    repeats: Repeats | None = None
    """What many texts hold; None masks nothing of it."""

    def __call__(self, unit: Unit) -> Made | Refused:
        """The documents of a unit, or why there are none."""
        try:
            if isinstance(unit, TextRow):
                return Made([self._text(unit)], [_SURROGATES] if _torn(unit.text) else [])
            found = dropped(unit, self.config.drop, self.source or unit.tool_format)
            if found:
                return Refused(*found)
            made = self._trajectory(unit)
            if is_unknown(unit, self.config.drop):
                made.notes.append(UNKNOWN)
            return made
        except Unconvertible as error:
            return Refused(error.what, error.where)
        except UsageError as error:
            return Refused("the format cannot say it", error.what)
        except RecursionError:
            return Refused("it is nested too deep", "")

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return open_vocabulary(self.config.tokenizer, self.vocabulary)

    @cached_property
    def _renderer(self) -> Callable[[str], Renderer]:
        return lru_cache(maxsize=256)(
            lambda template: Renderer(drawn_format(template), self._tokenizer)
        )

    def _text(self, row: TextRow) -> Document:
        repeated = self.repeats.stretches(row) if self.repeats else ()
        ids, trained = text_tokens(row, self._tokenizer, repeated)
        labels = np.where(trained, _ROLE["text"] | LOSS, _ROLE["context"]).astype(np.uint8)
        end = self.vocabulary.end_of_text
        if end is not None and not row.closed:
            ids = np.append(ids, np.uint32(end))
            labels = np.append(labels, np.uint8(_ROLE["end"] | LOSS))
        if not len(ids):
            what = "the text is empty"
            raise Unconvertible(what)
        places = _NO_PLACES
        if len(ids) > self.config.capacity:
            if row.masked:  # what it asks would stand in another row than its answer
                what = "a text with a masked prompt is longer than a row"
                raise Unconvertible(what, where=f"{len(ids):,} tokens")
            places = text_places(len(ids), self.config.capacity)
        return Document(ids, labels, 0, places, "", 0)

    def _trajectory(self, row: Trajectory) -> Made:
        source = source_format(self.source or row.tool_format)
        check_spans(row)
        offered, notes = tools_offered(row, source, self.tools)
        template = self._template(row.rollout_id)
        found = []
        spans = row.segments or ((0, len(row.messages)),)
        for place, steps in enumerate(segments(row, source, offered)):
            document, more = self._segment(steps, template, offered, _turns(row, *spans[place]))
            found.append(document._replace(segment=place))
            notes += more
        return Made(found, notes)

    def _template(self, name: str) -> str:
        return str(draw(self.diversity, name)) if self.diversity else self.config.tool_format

    def _segment(
        self, steps: Steps, template: str, offered: ToolTable, turns: dict[int, Turn]
    ) -> tuple[Document, list[str]]:
        form = drawn_format(template)
        said = as_text(steps, form, offered)  # refuses what would not be read back
        renderer, notes = self._renderer(template), list(said.notes)
        if any(map(_torn, _strings(said.messages))):
            notes.append(_SURROGATES)
        rendered = renderer.encode(
            said.messages, offered if self.config.show_tools else None, close=True
        )
        if turns:
            same = len(said.messages) == steps.length
            sampled = with_sampled_ids(rendered, turns, renderer.end_mark) if same else None
            if sampled is None or max(sampled.ids) >= self.vocabulary.size:
                notes.append(_ANEW)
            else:
                rendered = sampled
        head = head_length(rendered.spans)
        places = _NO_PLACES
        if self.config.policy == DEFAULT_POLICY and len(rendered.ids) > self.config.capacity:
            places, inside = self._places(rendered, form, head)
            if inside:
                notes.append("a message longer than a row beside the head was made divisible")
        tokens, labels = np.array(rendered.ids, np.uint32), labels_of(rendered.spans)
        return Document(tokens, labels, head, places, template, 0), notes

    def _places(
        self, rendered: Rendered, form: ToolFormat, head: int
    ) -> tuple[NDArray[np.int64], bool]:
        shared = form.chat.ends_with_next
        found = cut_places(rendered.spans, head, self.config.capacity - head, shared_ends=shared)
        return found.places, found.inside


def _torn(text: str) -> bool:
    """Whether it holds half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _strings(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Every text of messages; arguments of calls as they are read from their JSON too."""
    yield json.dumps(messages, ensure_ascii=False)
    for message in messages:
        for call in message.get("tool_calls") or ():
            arguments = call.get("function", call).get("arguments")
            if isinstance(arguments, str) and "\\ud" in arguments.lower():
                with suppress(ValueError):  # text that only looks like an escape
                    yield json.dumps(json.loads(arguments), ensure_ascii=False)


def _turns(row: Trajectory, start: int, end: int) -> dict[int, Turn]:
    """The turns of a segment that recorded ids, by their answer's place in it."""
    return {
        turn.start - start: turn
        for turn in row.turns
        if turn.completion_ids and start <= turn.start < end
    }


def labels_of(spans: Sequence[Span]) -> NDArray[np.uint8]:
    """Role and loss bit of every token."""
    labels = np.array([_label(span) for span in spans], np.uint8)
    return np.repeat(labels, [span.end - span.start for span in spans])


def _label(span: Span) -> int:
    if span.trained:
        return _ROLE[_TRAINED.get(span.kind, "assistant")] | LOSS
    return _ROLE["frame" if span.role == "assistant" else span.role]


def formats_used(config: PackConfig, diversity: DiversityConfig | None) -> list[str]:
    """Every format that may render something, in a fixed order."""
    if diversity is None:
        return [config.tool_format]
    return sorted(name for name, weight in diversity.weights().items() if weight)


def call_format(template: str) -> str:
    """The call format of a template, for counting; plain text has none."""
    return Draw.read(template).calls if template else "plain text"
