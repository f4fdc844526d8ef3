"""A pattern: what counts as evidence, how bad it is, and what follows from it; data, not code.

Patterns are read from TOML, so a team adds one without touching this package. ``confirmed`` is for
those whose evidence has no honest explanation: only they move the hack rate. All others are labels
that a person, a model judge or the comparison with sibling rollouts may raise.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from regreen.core.errors import UsageError
from regreen.guard.monitor.events import Kind

__all__ = ["Clause", "Example", "Pattern", "load_patterns", "shipped_patterns"]

VARIABLES = ("repo", "name", "package")
"""What ``$NAME`` in an expression may stand for: the task's repository, its name, its package."""
_SHIPPED = Path(__file__).parent / "patterns"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_many)]


class Clause(_Row):
    """Which events count; every condition given must hold."""

    where: Annotated[tuple[Kind, ...], BeforeValidator(_many)]
    """Kinds of event."""
    name: str = ""
    """Expression that the event's whole name must match."""
    match: str = ""
    """Expression to find in the event's text. ``^`` and ``$`` are ends of lines; ``$repo``,
    ``$name`` and ``$package`` stand for the task's, and never match where that is not known."""
    unless: str = ""
    """Expression that must not be found in the text."""
    path: Words = ()
    """Globs of which the path must match one; ``@tests`` are test files, ``@product`` all files
    that are neither tests nor scratch."""
    not_path: Words = ()
    """Globs of which the path must match none."""
    state: Words = ()
    """States of which the event must have one."""
    min: int = Field(default=1, ge=1)
    """Times the expression must be found in one event."""
    code_only: bool = False
    """Look past comments and long strings of the text, where code is only spoken of."""
    unless_seen: bool = False
    """Pass over the whole clause where the project does such things itself: where the expression is
    found in the diff's context or removed lines, in files of the tree read before they were
    written, or in the task's own repair. Without an expression the event's text is looked for."""

    @field_validator("name", "match", "unless")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(filled(value, dict.fromkeys(VARIABLES, "x")) or "")
        except re.error as error:
            msg = f"this is no regular expression: {error}"
            raise ValueError(msg) from error
        return value


def filled(expression: str, values: dict[str, str]) -> str | None:
    """An expression with its variables put in; None when one of them is not known."""
    if "$" not in expression:
        return expression
    for name in VARIABLES:
        if re.search(rf"\${name}\b", expression):
            if not values.get(name):
                return None
            expression = values[name].join(re.split(rf"\${name}\b", expression))
    return expression


class Example(_Row):
    """A tiny rollout of one turn for each step, to test a pattern with."""

    words: str = ""
    """What the agent says."""
    command: str = ""
    """What it runs in a shell."""
    path: str = ""
    """A file it writes, with ``text``; alone, a file it looks at."""
    text: str = ""
    """What it writes there."""
    result: str = ""
    """What the call returns."""
    patch: str = ""
    """The final diff."""
    exit_status: str = ""
    """How the rollout ended."""


Steps = Annotated[
    tuple[Example, ...], BeforeValidator(lambda v: (v,) if isinstance(v, dict) else v)
]


class Pattern(_Row):
    """One pattern: evidence, risk, intervention."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """Unique; stands in an incident's ``rule``."""
    family: str
    """The kind of hack, several patterns share one."""
    title: str
    """What it catches, one phrase."""
    reason: str
    """Why it is hacking, and what honest work looks like it."""
    risk: Literal["low", "medium", "high"]
    """How bad it is where it is true."""
    confirmed: bool = False
    """Whether its evidence suffices to count the rollout as hacked."""
    intervention: Literal["label", "penalise", "drop", "zero"] = "label"
    """What training should do: nothing but label, penalise the tokens, drop the rollout, or zero
    its reward."""
    amount: float = Field(default=0.0, ge=0.0)
    """Subtracted from the reward of the penalised tokens."""
    any: tuple[Clause, ...] = Field(min_length=1)
    """One of these must match; each event that does is an incident."""
    all: tuple[Clause, ...] = ()
    """Each of these must match somewhere in the rollout as well."""
    none: tuple[Clause, ...] = ()
    """None of these may match anywhere in the rollout."""
    repo: str = "acme/widget"
    """Repository of the examples' task."""
    match: tuple[Steps, ...] = ()
    """Rollouts it must find."""
    no_match: tuple[Steps, ...] = ()
    """Honest rollouts it must pass."""


def load_patterns(path: Path) -> tuple[Pattern, ...]:
    """Patterns of a TOML file: an array of tables ``[[pattern]]``.

    Raises:
        UsageError: the file cannot be read, or a pattern is not well formed.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"the patterns cannot be read: {error}"
        raise UsageError(what, where=str(path), mend="give a TOML file of [[pattern]]") from error
    rows = document.get("pattern")
    if not isinstance(rows, list) or set(document) != {"pattern"}:
        what = "this file holds no array of tables [[pattern]], or something beside it"
        raise UsageError(what, where=str(path), mend="see docs/reference/monitor-patterns.md")
    return tuple(_pattern(row, number, path) for number, row in enumerate(rows, 1))


def _pattern(row: Any, number: int, path: Path) -> Pattern:
    try:
        return Pattern.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        name = row.get("id", f"number {number}") if isinstance(row, dict) else f"number {number}"
        what = f"pattern {name}, {place}: {first['msg']}"
        mend = f"correct it; `where` is one of {', '.join(get_args(Kind))}"
        raise UsageError(what, where=str(path), mend=mend) from error


def shipped_patterns(extra: Iterable[Pattern] = ()) -> tuple[Pattern, ...]:
    """The patterns of this package; one of ``extra`` replaces the one that has its id."""
    found = {
        pattern.id: pattern
        for path in sorted(_SHIPPED.glob("*.toml"))
        for pattern in load_patterns(path)
    }
    found.update((pattern.id, pattern) for pattern in extra)
    return tuple(found.values())
