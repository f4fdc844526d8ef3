"""A balanced choice of sites: no fault class fills the set, no function takes more than its turn.

Enumeration finds wrong variables and lost arguments by the thousand; without a limit per class
two operators would be most of every set.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping

from regreen.core.errors import UsageError
from regreen.tasks.operators.catalog import OPERATORS
from regreen.tasks.operators.site import Site, identity

__all__ = ["balanced"]


def balanced(
    sites: Iterable[Site],
    *,
    limit: int,
    max_share: float = 0.15,
    mix: Mapping[str, float] | None = None,
    seed: int = 0,
) -> list[Site]:
    """Choose sites so that classes and functions are spread.

    The result is a function of the set of sites and the arguments alone: neither the order of
    ``sites`` nor who enumerated them matters. A class never exceeds its share of what is
    returned; when the pool does not allow that, fewer sites come back. A set too small for the
    share to make one whole site takes one of each class.

    Args:
        sites: the pool.
        limit: how many at most.
        max_share: the largest share of one class, 0 to 1.
        mix: relative frequency per class; a class left out or at 0 is not used. None means all
            classes alike.
        seed: another seed, another choice.

    Raises:
        UsageError: ``mix`` names an unknown class or a negative frequency, or a share is not
            within 0 to 1.
    """
    _refuse(mix, max_share)
    pools: dict[str, deque[Site]] = {}
    for name, members in _by_operator(sites).items():
        if mix is None or mix.get(name, 0.0) > 0:
            pools[name] = deque(_spread(members, seed))
    size = _size({name: len(pool) for name, pool in pools.items()}, limit, max_share)
    cap = _cap(size, max_share)
    chosen: list[Site] = []
    count: Counter[str] = Counter()
    functions: Counter[tuple[str, str]] = Counter()
    while len(chosen) < size:
        ready = [name for name in sorted(pools) if pools[name] and count[name] < cap]
        if not ready:
            break
        name = min(ready, key=lambda n: ((count[n] + 1) / _appeal(n, pools[n][0], mix), n))
        pool = pools[name]
        best = min(range(len(pool)), key=lambda i: (_turns(pool[i], functions), i))
        site = pool[best]
        del pool[best]
        chosen.append(site)
        count[name] += 1
        functions[site.path, site.function] += 1
    return chosen


def _refuse(mix: Mapping[str, float] | None, max_share: float) -> None:
    if not 0 < max_share <= 1:
        what = f"a share of {max_share} is not within 0 to 1"
        raise UsageError(what, where="max_share")
    unknown = sorted(set(mix or ()) - set(OPERATORS))
    if unknown:
        what = f"there is no fault class named {', '.join(unknown)}"
        raise UsageError(what, where="mix", mend="regreen plugins lists them")
    if any(share < 0 for share in (mix or {}).values()):
        what = "a fault class cannot have a negative frequency"
        raise UsageError(what, where="mix")


def _by_operator(sites: Iterable[Site]) -> dict[str, list[Site]]:
    groups: defaultdict[str, list[Site]] = defaultdict(list)
    for site in sites:
        groups[site.operator].append(site)
    return groups


def _spread(sites: list[Site], seed: int) -> list[Site]:
    """Order one class: heavy before light in coarse steps, by hash within a step.

    Coarse, because a weight is a guess and its second digit means nothing.
    """
    return sorted(sites, key=lambda s: (-round(s.weight * 5), identity(s, seed)))


def _appeal(name: str, site: Site, mix: Mapping[str, float] | None) -> float:
    """How often a class is drawn: as asked, and less as its best site is likely to survive."""
    return (mix[name] if mix else 1.0) * max(site.weight, 0.05)


def _turns(site: Site, functions: Counter[tuple[str, str]]) -> float:
    """Turns the site's function has had; a quarter of weight counts like one turn more."""
    return functions[site.path, site.function] + 4 * (1 - round(site.weight * 5) / 5)


def _cap(size: int, max_share: float) -> int:
    return max(1, math.floor(size * max_share + 1e-9))


def _size(available: Mapping[str, int], limit: int, max_share: float) -> int:
    """The largest size at which classes capped at ``max_share`` of it still fill it."""
    size = min(limit, sum(available.values()))
    while size > 0:
        cap = _cap(size, max_share)
        filled = sum(min(number, cap) for number in available.values())
        if filled >= size:
            return size
        size = min(filled, size - 1)
    return 0
