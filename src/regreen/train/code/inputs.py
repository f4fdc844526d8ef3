"""New inputs from examples: each argument is changed within its own type and shape.

The examples are all that is known of a problem's domain, so values stay near them: the same types
at the same places, sizes and signs of the same kind, edge cases now and then. What falls outside
the domain all the same is sorted out by the solutions, most of which then fail.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from regreen.train.code.literals import read_call, write_call
from regreen.train.code.problems import CallTest, Problem

__all__ = ["changed_inputs"]

_NUMBER = re.compile(r"-?\d+")


def changed_inputs(problem: Problem, count: int, *, seed: int) -> list[str]:
    """Up to ``count`` inputs like those of the visible examples, none of which is one of them.

    Args:
        problem: its visible tests are the examples; without any there is nothing to change.
        count: how many.
        seed: of the changes.
    """
    generator = random.Random(seed)
    known = {test.call if isinstance(test, CallTest) else test.input for test in problem.visible}
    found: dict[str, None] = {}
    for _ in range(count * 20 if problem.visible else 0):
        test = generator.choice(problem.visible)
        if isinstance(test, CallTest):
            name, args, kwargs = read_call(test.call)
            changed = tuple(_changed(generator, value) for value in args)
            named = {key: _changed(generator, value) for key, value in kwargs.items()}
            text = write_call(name, changed, named)
        else:
            text = _NUMBER.sub(lambda found: _number(generator, found[0]), test.input)
        if text not in known:
            found.setdefault(text)
        if len(found) == count:
            break
    return list(found)


def _number(generator: random.Random, text: str) -> str:
    return str(_changed(generator, int(text))) if generator.random() < 0.5 else text


def _changed(generator: random.Random, value: Any) -> Any:  # noqa: PLR0911 - one line per type
    """A value of the same type; sometimes the value itself."""
    kind = type(value)
    if kind is bool:
        return generator.random() < 0.5
    if kind is int:
        return _integer(generator, value)
    if kind is float:
        return round(value * generator.uniform(0.0, 2.0) + generator.uniform(-1, 1), 3)
    if kind is tuple:  # a record: places have a meaning
        return tuple(_changed(generator, part) for part in value)
    if kind in (str, bytes, list, set, frozenset):
        return _sequence(generator, value)
    if kind is dict:
        items = _resized(generator, list(value.items()))
        return {_changed(generator, key): _changed(generator, part) for key, part in items}
    return value


def _integer(generator: random.Random, value: int) -> int:
    span = abs(value) + 3
    near = [value, value + 1, max(value - 1, 0), 0, 1]
    far = [generator.randint(0, span), generator.randint(0, 3 * span)]
    signed = [-value, value - 1, generator.randint(-span, span)] if value < 0 else []
    return generator.choice(near + far + signed)


def _sequence(generator: random.Random, value: Any) -> Any:
    unordered = isinstance(value, set | frozenset)
    parts = _resized(generator, sorted(value, key=repr) if unordered else list(value))
    if isinstance(value, str):
        return "".join(parts)
    if isinstance(value, bytes):
        return bytes(parts)
    changed = [_changed(generator, part) if generator.random() < 0.5 else part for part in parts]
    return type(value)(changed)


def _resized(generator: random.Random, parts: Sequence[Any]) -> list[Any]:
    """Shuffled, cut, doubled, drawn from with repetition, emptied, or as it is."""
    changed = list(parts)
    match generator.randrange(7):
        case 0:
            generator.shuffle(changed)
        case 1:
            changed = changed[: generator.randint(0, len(changed))]
        case 2:
            changed = changed + changed
        case 3 if changed:
            changed = generator.choices(changed, k=generator.randint(1, 2 * len(changed) + 2))
        case 4:
            changed = [] if generator.random() < 0.3 else changed[::-1]
        case 5 if changed:
            changed.insert(generator.randint(0, len(changed)), generator.choice(changed))
        case _:
            pass
    return changed
