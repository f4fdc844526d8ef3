"""Diversity for training data: every trajectory in a format drawn for it.

A model that knows one scaffold's format fails in the next, so the call syntax, how tools are
defined and introduced, their order and schema, the wrapper of results and the chat framing are
drawn separately. A draw depends on the seed and the trajectory's id alone, so neither order nor
parallelism matters, and it is written as text, so a format drawn once can be read back.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

from regreen.core.errors import UsageError
from regreen.templates.chat import CHATML, Results
from regreen.templates.definitions.listings import attributes, markdown, prose, yaml_like
from regreen.templates.definitions.signatures import python_signatures, typescript
from regreen.templates.definitions.styles import json_array, json_lines, nested_xml
from regreen.templates.diversity.families import family, shown_alike
from regreen.templates.diversity.probes import PLAIN, answer, native, reads_back
from regreen.templates.diversity.schema_style import SCHEMA_STYLES, restyle
from regreen.templates.diversity.wording import RESULTS, WORDINGS
from regreen.templates.format import ToolFormat
from regreen.templates.message import ToolCall
from regreen.templates.registry import ALIASES, FORMATS, tool_format
from regreen.templates.tools import ToolTable, tool_table

__all__ = ["STYLES", "DiversityConfig", "Draw", "Permits", "draw", "drawn_format"]

Name = TypeVar("Name", str, int)
NATIVE = "native"
STYLES = {
    "json_lines": json_lines,
    "json_array": json_array,
    "nested_xml": nested_xml,
    "attributes": attributes,
    "markdown": markdown,
    "prose": prose,
    "yaml": yaml_like,
    "typescript": typescript,
    "python": python_signatures,
}
"""Styles of definitions by name."""
_SHOW_REQUIRED = ("json_lines", "json_array", "nested_xml", "yaml")
_CHATS = {"chatml": CHATML}
_EXAMPLE = {
    "name": "example_tool",
    "parameters": {
        "type": "object",
        "properties": {"first": {"type": "string"}, "second": {"type": "string"}},
    },
}
_CALL = ToolCall("example_tool", {"first": "a value", "second": "a value\nof two lines"})


class DiversityConfig(BaseModel):
    """What may be drawn and how often: weights by name; a name left out is not drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    """Seed of every draw."""
    formats: dict[str, float] = {}
    """Weight of each call format; none given draws every registered one equally."""
    held_out: tuple[str, ...] = ()
    """Call formats never drawn, nor others that write calls alike (``families``), nor result
    wrappers in the same words: kept for a test of generalisation. A format whose own wrapper is
    held out gets another one, unless ``results`` permits none."""
    definitions: dict[str, float] = {NATIVE: 4.0, **dict.fromkeys(STYLES, 1.0)}
    """Weight of each style of definitions; ``native`` is the format's own block."""
    wordings: dict[int, float] = dict.fromkeys(range(len(WORDINGS)), 1.0)
    """Weight of each wording of a block that is not native, by its index."""
    schemas: dict[str, float] = {"full": 4.0, **dict.fromkeys(list(SCHEMA_STYLES)[1:], 1.0)}
    """Weight of each way to show the parameters."""
    results: dict[str, float] = {NATIVE: 4.0, **dict.fromkeys(RESULTS, 0.5)}
    """Weight of each result wrapper: ``native``, ours, or that of a format by its name."""
    chats: dict[str, float] = {NATIVE: 1.0, "chatml": 1.0}
    """Weight of the format's own chat framing, and of ChatML."""
    shuffle_tools: bool = True
    """Whether tools are put in a drawn order."""

    @model_validator(mode="after")
    def _check(self) -> DiversityConfig:
        known = {
            "formats": [*FORMATS, *ALIASES],
            "held_out": [*FORMATS, *ALIASES],
            "definitions": [NATIVE, *STYLES],
            "wordings": range(len(WORDINGS)),
            "schemas": SCHEMA_STYLES,
            "results": [NATIVE, *RESULTS, *FORMATS],
            "chats": [NATIVE, *_CHATS],
        }
        for axis, names in known.items():
            given = getattr(self, axis)
            for name in given:
                if name not in names and ":" not in str(name):
                    near = get_close_matches(str(name), map(str, names), 3, 0.0)
                    msg = f"{axis} has no {name!r}; did you mean {' or '.join(near)}?"
                    raise ValueError(msg)
            _check_weights(axis, given)
        if not any(self.weights().values()):
            msg = "held_out leaves no format to draw: every one, or one with the same calls, is in"
            raise ValueError(msg)
        if not self._wrappers() and not self.results.get(NATIVE):
            msg = "held_out leaves none of the results to draw; give others, native among them"
            raise ValueError(msg)
        return self

    def weights(self) -> dict[str, float]:
        """Weight of each format that may be drawn, aliases resolved."""
        given = self.formats or dict.fromkeys(FORMATS, 1.0)
        named = {ALIASES.get(name, name): weight for name, weight in given.items()}
        if not self.held_out:
            return named
        held = set(map(family, self.held_out))
        return {name: weight for name, weight in named.items() if family(name) not in held}

    def wrappers(self, name: str) -> dict[str, float]:
        """Weight of each result wrapper that may be drawn with a format."""
        found, own = self._wrappers(), self.results.get(NATIVE, 0.0)
        if own and not (found and self._held_wrapper(tool_format(name).results)):
            found[NATIVE] = own
        return found

    def _wrappers(self) -> dict[str, float]:
        """Weight of each that is no format's own."""
        return {
            name: weight
            for name, weight in self.results.items()
            if weight and name != NATIVE and not self._held_wrapper(name)
        }

    def _held_wrapper(self, wrapper: str | Results) -> bool:
        """Whether a held-out format shows results in these words; no words at all are nobody's."""
        if not self.held_out:
            return False
        if wrapper in {ALIASES.get(name, name) for name in self.held_out}:
            return True
        words = shown_alike(_wrapper(wrapper) if isinstance(wrapper, str) else wrapper)
        held = {shown_alike(tool_format(name).results) for name in self.held_out}
        return any(words) and words in held


def _check_weights(axis: str, given: Iterable[str | int] | Mapping[str | int, float]) -> None:
    if not isinstance(given, Mapping) or (axis == "formats" and not given):
        return
    if not all(math.isfinite(weight) and weight >= 0 for weight in given.values()):
        msg = f"the weights of {axis} must be numbers from 0 on, and finite"
        raise ValueError(msg)
    if not 0 < sum(given.values()) < math.inf:
        msg = f"the weights of {axis} must not all be 0, nor add up to more than a number holds"
        raise ValueError(msg)


@dataclass(frozen=True)
class Draw:
    """A choice on every axis."""

    calls: str
    """Call format, by its registered name."""
    definitions: str = NATIVE
    """Style of the definitions."""
    wording: int = 0
    """Index of the wording around definitions that are not native."""
    schema: str = "full"
    """How parameters are shown."""
    order: int = 0
    """Seed of the tools' order; 0 keeps the client's."""
    results: str = NATIVE
    """Result wrapper."""
    chat: str = NATIVE
    """Chat framing."""

    def __str__(self) -> str:
        """As text, for example ``hermes[definitions=yaml,wording=3]``; defaults are left out."""
        said = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)[1:]
            if getattr(self, field.name) != field.default
        ]
        return f"{self.calls}[{','.join(said)}]" if said else self.calls

    @classmethod
    def read(cls, text: str) -> Draw:
        """The draw that is written as ``text``; a bare name is the format as it is.

        Raises:
            UsageError: no such axis.
        """
        match = re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]*)\])?", text)
        axes = {field.name: field.type for field in fields(cls)[1:]}
        found: dict[str, str | int] = {}
        for part in filter(None, (match[2] or "").split(",") if match else [""]):
            key, _, value = part.partition("=")
            if key not in axes or (axes[key] == "int" and not value.isdecimal()):
                match = None
                break
            found[key] = int(value) if axes[key] == "int" else value
        if match is None:
            what = f"this names no drawn format: {text!r}"
            mend = f"write NAME or NAME[AXIS=VALUE,...] with the axes {', '.join(axes)}"
            raise UsageError(what, where="tool format", mend=mend)
        return replace(cls(ALIASES.get(match[1], match[1])), **found)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Permits:
    """What of a format can be exchanged without changing what its calls say."""

    definitions: bool
    """Any tool can be called in it, so any definition fits; False where its tools are fixed."""
    chat: bool
    """Its completions are read back the same in ChatML."""
    required: bool
    """Its own definitions show the schema's list of required parameters, so that it can be told in
    prose instead without a contradiction."""


def draw(config: DiversityConfig, trajectory: str) -> Draw:
    """The draw for a trajectory, by its id."""
    chance = random.Random(f"{config.seed}:{trajectory}")
    name = _pick(chance, config.weights())
    allowed = permits(name)
    definitions = _pick(chance, config.definitions)
    wording = _pick(chance, config.wordings)
    schema = _pick(chance, config.schemas)
    order = chance.randrange(1, 1 << 20)
    results = _pick(chance, config.wrappers(name))
    chat = _pick(chance, config.chats)
    if not allowed.definitions:
        definitions, schema, order = NATIVE, "full", 0
    shown = allowed.required if definitions == NATIVE else definitions in _SHOW_REQUIRED
    if schema == "required_in_prose" and not shown:
        schema = "full"
    return Draw(
        calls=name,
        definitions=definitions,
        wording=wording if definitions != NATIVE else 0,
        schema=schema,
        order=order if config.shuffle_tools else 0,
        results=results if results != name else NATIVE,
        chat=chat if allowed.chat else NATIVE,
    )


def _pick(chance: random.Random, weights: Mapping[Name, float]) -> Name:
    """A name by weight; the order in which the names were given does not matter."""
    names = sorted(weights)
    return chance.choices(names, [weights[name] for name in names])[0]


@cache
def permits(name: str) -> Permits:
    """What can be exchanged in a format, found by trying."""
    form = tool_format(name)
    tied = native(form) is not None or not _general(form)
    block = form.definitions(tool_table([PLAIN.tool]))
    return Permits(
        definitions=not tied,
        chat=form.channels is None and _general(_in_chatml(form)),
        required=re.search(r'\[\s*"pattern",\s*"limit",\s*"exact"\s*\]', block) is not None,
    )


def _general(form: ToolFormat) -> bool:
    """Whether any tool can be called, and the call read back."""
    return all(reads_back(form, [call], [PLAIN.tool]) for call in PLAIN.calls)


@lru_cache(maxsize=4096)
def drawn_format(text: str) -> ToolFormat:
    """The format of a draw written as text; a registered name gives the format itself.

    Raises:
        UsageError: no such format, axis or choice.
    """
    choice = Draw.read(text)
    form = tool_format(choice.calls)
    if choice == Draw(choice.calls):
        return form
    if choice.chat != NATIVE:
        _known("chat framing", choice.chat, _CHATS)
        form = _in_chatml(form)
    if choice.results != NATIVE:
        form = replace(form, results=_wrapper(choice.results))
    _known("way to show parameters", choice.schema, SCHEMA_STYLES)
    _known("style of definitions", choice.definitions, [NATIVE, *STYLES])
    if choice.wording >= len(WORDINGS):
        what = f"there is no wording {choice.wording}"
        raise UsageError(what, where="tool format", mend=f"choose from 0 to {len(WORDINGS) - 1}")
    return replace(form, definitions=_Block(form, choice), name=str(choice))


def _in_chatml(form: ToolFormat) -> ToolFormat:
    moved = form.within(CHATML)
    if moved.results.role in CHATML.turns:
        return moved
    return replace(moved, results=replace(moved.results, role="user"))


def _wrapper(name: str) -> Results:
    if name in RESULTS:
        return RESULTS[name]
    _known("result wrapper", name, [*RESULTS, *FORMATS])
    return replace(tool_format(name).results, role="user")


def _known(axis: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        what = f"there is no {axis} {name!r}"
        raise UsageError(what, where="tool format", mend=f"choose of {', '.join(names)}")


@dataclass(frozen=True)
class _Block:
    """The tool block of a draw."""

    form: ToolFormat
    choice: Draw

    def __call__(self, tools: ToolTable) -> str:
        shown = list(restyle(tools, self.choice.schema).tools)
        if self.choice.order:
            random.Random(self.choice.order).shuffle(shown)
        table = ToolTable(tuple(shown))
        if self.choice.definitions == NATIVE:
            return self.form.definitions(table)
        words = WORDINGS[self.choice.wording]
        listed = STYLES[self.choice.definitions](table.tools)
        return "".join(
            (
                words.before,
                words.around[0],
                listed,
                words.around[1],
                words.behind,
                _example(self.form),
                words.many if self.form.parallel else words.one,
            )
        )


def _example(form: ToolFormat) -> str:
    """A call of a made-up tool as the format writes it."""
    text = form.completion(answer([_CALL]), [_EXAMPLE])
    if form.reasoning is not None:
        text = text.removeprefix(form.reasoning.empty)
    return text.strip("\n")
