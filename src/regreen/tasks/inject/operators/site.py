"""A site is one possible fault as a text splice, so that applying it touches nothing else.

A splice (start, end, replacement) rather than a tree edit: enumeration then parses a file once,
and the reverse of a fault is the splice back, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from regreen.core.errors import UsageError

__all__ = ["Site", "apply", "identity", "overlaps"]


@dataclass(frozen=True, slots=True)
class Site:
    """One fault that can be put into one file."""

    path: str
    """Posix path in the repository."""
    operator: str
    """Fault class, for example ``invert_condition``."""
    function: str
    """Qualified name of the innermost function; of the class, or ``<module>``, outside of one."""
    line: int
    """First original line changed, from 1."""
    end_line: int
    """Last original line changed, inclusive."""
    reach: tuple[int, ...]
    """Original lines, as coverage reports them; a test that runs any of them reaches the fault."""
    import_time: bool
    """True when the changed code also runs as the module is imported."""
    start: int
    """Offset in characters of the first character replaced."""
    end: int
    """Offset in characters one past the last character replaced."""
    replacement: str
    """What stands there afterwards."""
    note: str
    """The fault in one phrase, for the record only."""
    weight: float
    """Prior probability (0 to 1) that a test notices."""


def overlaps(a: Site, b: Site) -> bool:
    """Whether two sites cannot stand in one file together.

    Sites that merely touch count as overlapping: together they could empty a block.
    """
    return a.path == b.path and a.start <= b.end and b.start <= a.end


def apply(source: str, sites: Sequence[Site]) -> str:
    """The text with every site put in.

    Args:
        source: the text the sites were enumerated from.
        sites: sites of one file that do not overlap, in any order.

    Raises:
        UsageError: two sites overlap, or one lies outside the text.
    """
    ordered = sorted(sites, key=lambda site: (site.start, site.end))
    for left, right in pairwise(ordered):
        if left.path != right.path or overlaps(left, right):
            what = f"faults {left.operator} and {right.operator} cannot be applied together"
            raise UsageError(what, where=f"{left.path}:{left.line} and {right.path}:{right.line}")
    parts: list[str] = []
    position = 0
    for site in ordered:
        if not position <= site.start <= site.end <= len(source):
            what = f"fault {site.operator} lies outside the text it is applied to"
            raise UsageError(what, where=f"{site.path}:{site.line}", mend="enumerate it again")
        parts += [source[position : site.start], site.replacement]
        position = site.end
    return "".join([*parts, source[position:]])


def identity(site: Site, seed: int = 0) -> str:
    """A hash of seed and site that no input order, worker count or process changes."""
    key = (seed, site.path, site.operator, site.start, site.end, site.replacement)
    return hashlib.sha256(repr(key).encode()).hexdigest()
