"""Whether what was observed is what was expected: outside the box, on plain data, type by type.

A truth value is never a number, whatever the rule: ``True`` is not ``1``. Everything looser than
exact types is said by the problem, because only its author knows what the task left open.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from regreen.train.code.box import plain

__all__ = ["Rule", "same", "same_output"]


class Rule(BaseModel):
    """How outputs of one problem are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: Literal["typed", "value"] = "typed"
    """``value`` lets 2 and 2.0 be the same, as Python's ``==`` and JSON do."""
    sequences: Literal["typed", "value"] = "typed"
    """``value`` lets lists and tuples be the same, for tests that came through JSON."""
    tolerance: float = Field(default=0.0, ge=0.0)
    """Allowed difference of floats, relative for those above 1 and absolute below; never of
    two integers, nor inside sets and keys."""
    output: Literal["lines", "tokens", "exact"] = "lines"
    """Of programs: ``lines`` ignores white space at the ends of lines and of the whole, ``tokens``
    all that is not inside a word, ``exact`` nothing."""


def same(expected: Any, seen: Any, rule: Rule) -> bool:
    """Whether two plain values are the same under a rule; nan is the same as nan."""
    kinds = type(expected), type(seen)
    if kinds[0] in (int, float) and kinds[1] in (int, float):
        return _same_number(expected, seen, rule)
    sequences = (list, tuple)
    if kinds[0] is not kinds[1] and not (
        rule.sequences == "value" and kinds[0] in sequences and kinds[1] in sequences
    ):
        return False
    if kinds[0] in sequences:
        return len(expected) == len(seen) and all(
            same(one, other, rule) for one, other in zip(expected, seen, strict=True)
        )
    return _same_other(expected, seen, rule)


def _same_other(expected: Any, seen: Any, rule: Rule) -> bool:
    """Of one type, which is no number, list or tuple."""
    kind = type(expected)
    if kind is dict:
        return _same_dict(expected, seen, rule)
    if kind in (set, frozenset):
        keys = [sorted(_key(one, rule) for one in value) for value in (expected, seen)]
        return keys[0] == keys[1]
    if kind is complex:
        parts = ((expected.real, seen.real), (expected.imag, seen.imag))
        return all(_same_number(one, other, rule) for one, other in parts)
    return bool(expected == seen)


def _same_number(expected: float, seen: float, rule: Rule) -> bool:
    if type(expected) is not type(seen) and rule.numbers == "typed":
        return False
    if expected == seen or (_is_nan(expected) and _is_nan(seen)):
        return True
    if not rule.tolerance or (type(expected) is int and type(seen) is int):
        return False
    try:
        return math.isclose(expected, seen, rel_tol=rule.tolerance, abs_tol=rule.tolerance)
    except OverflowError:  # an integer beyond all floats
        return False


def _is_nan(value: float) -> bool:
    return type(value) is float and math.isnan(value)


def _same_dict(expected: dict[Any, Any], seen: dict[Any, Any], rule: Rule) -> bool:
    if len(expected) != len(seen):
        return False
    found = {_key(key, rule): value for key, value in seen.items()}
    return all(
        (name := _key(key, rule)) in found and same(value, found[name], rule)
        for key, value in expected.items()
    )


def _key(value: Any, rule: Rule) -> str:
    """One text for all hashable values that are the same."""
    return plain.dumps(_normal(value, rule))


def _normal(value: Any, rule: Rule) -> Any:
    if type(value) is float:
        if value == 0:
            value = 0.0
        return int(value) if rule.numbers == "value" and value.is_integer() else value
    if type(value) is tuple:
        parts = tuple(_normal(part, rule) for part in value)
        return list(parts) if rule.sequences == "value" else parts
    if type(value) is frozenset:
        return ("frozenset", sorted(_key(part, rule) for part in value))
    return value


def same_output(expected: str, seen: str, rule: Rule) -> bool:
    """Whether a program printed what was expected."""
    if rule.output == "exact":
        return expected == seen
    if rule.output == "lines" and not rule.tolerance:
        return _lines(expected) == _lines(seen)
    if rule.output == "lines" and len(_lines(expected)) != len(_lines(seen)):
        return False
    wanted, got = expected.split(), seen.split()
    return len(wanted) == len(got) and all(
        one == other or (rule.tolerance > 0 and _close(one, other, rule))
        for one, other in zip(wanted, got, strict=True)
    )


def _lines(text: str) -> list[str]:
    # splitlines() would also split at form feeds and other separators inside a line.
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _close(expected: str, seen: str, rule: Rule) -> bool:
    """Two words as numbers, the expected one being written as a float."""
    try:
        int(expected)
    except ValueError:
        pass
    else:
        return False
    try:
        return _same_number(float(expected), float(seen), rule)
    except ValueError:
        return False
