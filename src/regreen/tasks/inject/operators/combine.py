"""Several validated faults at once: in one function, one file or one directory.

Only which faults stand together is decided here; whether the result still fails its tests, and
fails them for each of its parts, is for the validation to find out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

from regreen.core.errors import UsageError
from regreen.tasks.inject.operators.site import Site, identity, overlaps

__all__ = ["Level", "combine"]

Level = Literal["function", "file", "module"]

_MODULE_DEPTH = 2


def combine(
    sites_by_group: Mapping[str, Sequence[Site]],
    *,
    level: Level,
    size: int,
    seed: int = 0,
    limit: int | None = None,
) -> list[tuple[Site, ...]]:
    """Join sites into combinations that can be applied together.

    Args:
        sites_by_group: validated sites; the keys are the caller's (for example a file or a
            library) and sites of different keys are never joined.
        level: ``function`` joins sites of one function; ``file`` sites of different functions of
            one file; ``module`` sites of different files under one directory, directories
            compared to a depth of two.
        size: how many sites make a combination, at least 2.
        seed: another seed, another choice.
        limit: how many combinations at most, all that were found when None.

    Returns:
        Combinations in an order that depends on the sites and the seed alone; a site stands in
        one of them at most, its sites in file order.

    Raises:
        UsageError: ``size`` is below 2.
    """
    if size < 2:
        what = f"a combination of {size} is none"
        raise UsageError(what, where="size", mend="use 2 or more")
    found: list[tuple[Site, ...]] = []
    for group in sorted(sites_by_group):
        pools: defaultdict[str, list[Site]] = defaultdict(list)
        for site in sites_by_group[group]:
            pools[_place(site, level)].append(site)
        for place in sorted(pools):
            found += _join(pools[place], level, size, seed)
    found.sort(key=lambda sites: [identity(site, seed) for site in sites])
    return found if limit is None else found[:limit]


def _place(site: Site, level: Level) -> str:
    if level == "function":
        return f"{site.path}\0{site.function}"
    if level == "file":
        return site.path
    return "/".join(PurePosixPath(site.path).parent.parts[:_MODULE_DEPTH])


def _join(sites: Sequence[Site], level: Level, size: int, seed: int) -> list[tuple[Site, ...]]:
    """Greedily take compatible sites in hash order until no combination is left."""
    left = sorted(sites, key=lambda site: identity(site, seed))
    joined: list[tuple[Site, ...]] = []
    while len(left) >= size:
        first, *others = left
        members = [first]
        for other in others:
            if all(_compatible(member, other, level) for member in members):
                members.append(other)
                if len(members) == size:
                    break
        left.remove(first)
        if len(members) == size:
            for member in members[1:]:
                left.remove(member)
            joined.append(tuple(sorted(members, key=lambda s: (s.path, s.start, s.end))))
    return joined


def _compatible(a: Site, b: Site, level: Level) -> bool:
    if level == "module":
        return a.path != b.path
    if overlaps(a, b) or a.operator == b.operator:
        return False
    if level == "file":
        return a.function != b.function
    return a.end_line < b.line or b.end_line < a.line
