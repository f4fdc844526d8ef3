"""Small programs with one bug each, put in by the same fault classes that break real libraries.

A puzzle is decided by its number alone. Training and held-out puzzles differ by a hash of the
healthy program and the fault, so no held-out program was ever seen with its bug.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from regreen.tasks.inject.operators.enumerate import enumerate_sites
from regreen.tasks.inject.operators.site import Site, apply

__all__ = ["FAULTS", "FILE", "OPERATOR", "OPERATORS", "Case", "Puzzle", "make", "puzzles"]

FILE = "f.py"
"""The one file of a puzzle."""
FAULTS = ("change_arithmetic", "change_bitwise", "change_comparison")
"""Fault classes that are put in."""
OPERATORS = ("+", "-", "*", "&", "|", "^", "<", ">", "==", "!=")
"""What a line can be repaired with."""
OPERATOR = re.compile(f" ({'|'.join(map(re.escape, sorted(OPERATORS, key=len, reverse=True)))}) ")
"""One of them in a line."""

_SHAPES = (
    "def {n}({a}, {b}):\n    return {a} {o} {b}\n",
    "def {n}({a}, {b}):\n    {c} = {a} {o} {b}\n    return {c}\n",
    "def {n}({a}, {b}):\n    {c} = {b}\n    return {a} {o} {c}\n",
)
_CONSONANTS, _VOWELS = "bdfgklmnprst", "aeiou"
_VISIBLE, _HIDDEN = 3, 6
_HELD_OUT = 0.3
"""Share of programs with their faults that is kept out of training."""

Split = Literal["train", "held_out"]


@dataclass(frozen=True, slots=True)
class Case:
    """One call and what the healthy program returns."""

    arguments: tuple[int, ...]
    """Positional arguments."""
    expected: Any
    """An int or a bool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Puzzle:
    """One program to be repaired."""

    number: int
    """Decides everything else."""
    name: str
    """Of its function."""
    healthy: str
    """The program before the bug."""
    broken: str
    """The program that the agent finds."""
    fault: Site
    """What was put in."""
    visible: tuple[Case, ...]
    """What the tool ``test`` runs."""
    hidden: tuple[Case, ...]
    """What the reward is decided by."""


def make(number: int, split: Split) -> Puzzle | None:
    """The puzzle of this number, or None where the draw is of the other split or shows no fault."""
    draw = random.Random(f"puzzle {number}")
    names = [_name(draw) for _ in range(4)]
    if len(set(names)) < 4:
        return None
    shape, operator = draw.choice(_SHAPES), draw.choice(OPERATORS)
    name, a, b, c = names
    healthy = shape.format(n=name, a=a, b=b, c=c, o=operator)
    sites = [site for site in enumerate_sites(FILE, healthy, operators=FAULTS)]
    sites = [site for site in sites if site.replacement in OPERATORS]
    if not sites:
        return None
    fault = draw.choice(sites)
    held_out = _share(healthy, fault.replacement) < _HELD_OUT
    if held_out is not (split == "held_out"):
        return None
    broken = apply(healthy, [fault])
    cases = _cases(healthy, broken, name, draw)
    if cases is None:
        return None
    return Puzzle(
        number=number, name=name, healthy=healthy, broken=broken, fault=fault,
        visible=cases[:_VISIBLE], hidden=cases[_VISIBLE:],
    )  # fmt: skip


def puzzles(split: Split, start: int = 0) -> Iterator[Puzzle]:
    """All puzzles of a split whose numbers are at least ``start``, in order."""
    number = start
    while True:
        found = make(number, split)
        if found is not None:
            yield found
        number += 1


def _name(draw: random.Random) -> str:
    return draw.choice(_CONSONANTS) + draw.choice(_VOWELS)


def _share(healthy: str, replacement: str) -> float:
    digest = hashlib.sha256(f"{healthy}\0{replacement}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / (1 << 64)


def _cases(healthy: str, broken: str, name: str, draw: random.Random) -> tuple[Case, ...] | None:
    """Calls on both of which sides return, at least one of the visible and the hidden differing."""
    right, wrong = _function(healthy, name), _function(broken, name)
    found: list[Case] = []
    differ: list[bool] = []
    for _ in range(40):
        top = 9 if draw.random() < 0.5 else 4
        arguments = (draw.randint(0, top), draw.randint(1, top))
        try:
            expected, other = right(*arguments), wrong(*arguments)
        except (ArithmeticError, ValueError):
            continue
        if any(case.arguments == arguments for case in found):
            continue
        found.append(Case(arguments, expected))
        differ.append(expected != other or type(expected) is not type(other))
    order = sorted(range(len(found)), key=lambda place: not differ[place])
    if sum(differ) < 3 or len(found) < _VISIBLE + _HIDDEN:
        return None
    # Of the calls that show the fault two are visible; hidden ones begin with another.
    chosen = [order[0], order[1], order[-1], order[2], *order[3 : _HIDDEN + 2]]
    return tuple(found[place] for place in chosen)


def _function(source: str, name: str) -> Any:
    """A function of our own making; what agents write never runs in this process."""
    space: dict[str, Any] = {}
    exec(compile(source, FILE, "exec"), space)
    return space[name]
