"""What pytest's failure text says: where the test stood, what it was given, what was seen.

Only the first frame is read for code, because it is the test's own; what follows is the library's
and would show where the fault is. Of chained exceptions the last counts: it is what escaped.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from regreen.grading.place import TESTBED

__all__ = ["Report", "last_words", "read_report", "scrub"]

_CHAINED = re.compile(
    r"^(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):$",
    re.MULTILINE,
)
_LOCATION = re.compile(r"^(\S+\.py):(\d+): ?(?:in (\S+)|(\S*))$")
_ENTRY_END = re.compile(r"^(?:_ ?){8,}$")
_ARGUMENT = re.compile(r"(?:^|, )([A-Za-z_]\w*) = (.*?)(?=, [A-Za-z_]\w* = |$)")
_NOISE = ("Use -v", "?", "Omitting", "...Full output", "^")
_CUT_REPR = 230  # pytest cuts the values it shows at 240 characters
_MAX_LINES = 8
_MAX_WIDTH = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One failure."""

    path: str
    """File of the test's frame, as pytest names it; empty when it names none."""
    line: int
    """Line the test stood at, in that file; in ``code`` when there is no path."""
    code: str
    """Source of the test's frame up to the failure, dedented."""
    at: int
    """Line of the failure in ``code``, from 1."""
    arguments: Mapping[str, str]
    """Arguments of the test, as values were shown; ``self`` included."""
    observed: tuple[str, ...]
    """What was seen, free of addresses and paths."""
    exception: str
    """Class of what escaped, without its module."""
    own: bool
    """Whether it was raised in the test's own frame."""


def read_report(message: str) -> Report | None:
    """Read a failure text; None when it shows no code."""
    lines = _CHAINED.split(message)[-1].strip("\n").splitlines()
    entry: list[str] = []
    for line in lines:
        if _ENTRY_END.match(line):
            break
        entry.append(line)
    errors = [line[1:] for line in lines if line == "E" or line.startswith("E  ")]
    marked = [i for i, line in enumerate(entry) if line.startswith(">")]
    if not errors or not marked:
        return None
    places = [(i, found) for i, line in enumerate(entry) if (found := _LOCATION.match(line))]
    place = next((found for i, found in places if i > marked[-1]), None)
    head, code, at = _code(entry[: places[0][0] if places else None], marked[-1])
    last = next((found for line in reversed(lines) if (found := _LOCATION.match(line))), None)
    return Report(
        path=place[1] if place else "",
        line=int(place[2]) if place else at,
        code=code,
        at=at,
        arguments=_arguments(head),
        observed=tuple(_observed(errors)),
        exception=_exception(errors[0].strip(), last[4] or "" if last else ""),
        own=len(entry) == len(lines),
    )


def last_words(message: str) -> list[str]:
    """What the failure text says was seen, and no code."""
    lines = _CHAINED.split(message)[-1].splitlines()
    return _observed(line[1:] for line in lines if line == "E" or line.startswith("E  "))


def _code(entry: list[str], marked: int) -> tuple[list[str], str, int]:
    """The lines of arguments, the code, and the failing line's number in it."""
    start = next((i for i, line in enumerate(entry) if _starts_code(line)), 0)
    head = [line for line in entry[:start] if line.strip()]
    body = [
        " " + line[1:] if line.startswith(">") else line
        for line in entry[start:]
        if not line.startswith("E ") and not re.fullmatch(r"\s*\^+\s*", line)
    ]
    if body and not body[0].startswith(" "):
        body[0] = "    " + body[0]  # texts are kept stripped
    return head, textwrap.dedent("\n".join(body)), marked - start + 1


def _starts_code(line: str) -> bool:
    return bool(re.match(r"\s*(?:@|(?:async )?def \w)|>", line))


def _arguments(head: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in head:
        try:
            call = ast.parse(f"f({line})", mode="eval").body
        except (SyntaxError, ValueError):
            found |= _ARGUMENT.findall(line)
            continue
        assert isinstance(call, ast.Call)
        found |= {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}
    return {name: "..." if _is_cut(value) else scrub(value) for name, value in found.items()}


def _is_cut(value: str) -> bool:
    return "..." in value and len(value) >= _CUT_REPR


def _exception(first: str, located: str) -> str:
    if re.fullmatch(r"\w+", located):
        return located
    named = re.match(r"([A-Za-z_][\w.]*)(?::|$)", first)
    name = named[1].rpartition(".")[2] if named else ""
    return name if name[:1].isupper() else "AssertionError"


def _observed(errors: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for line in textwrap.dedent("\n".join(errors)).splitlines():
        text = line.strip()
        if text.startswith("Full diff"):
            break
        if text and not text.startswith(_NOISE):
            kept.append(_shortened(scrub(text)))
    return kept[:_MAX_LINES]


def scrub(text: str) -> str:
    """The text without memory addresses, which differ from run to run, and without our paths."""
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    text = re.sub(r"\.\.\.\w?x?[0-9a-f]*>", "...>", text)
    text = re.sub(r"\[\d+ chars\][0-9a-f]*>", "[...]>", text)
    return re.sub(rf"{TESTBED}(?:/[\w.-]+)*", "...", text)


def _shortened(text: str) -> str:
    """The text cut in its middle: both ends of a value tell more than one."""
    half = _MAX_WIDTH // 2
    return text if len(text) <= _MAX_WIDTH else f"{text[:half]} ... {text[-half:]}"
