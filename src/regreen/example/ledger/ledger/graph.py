"""Things that depend on each other: in which order, in which rings, by which way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import pairwise

from ledger.errors import CycleError, LedgerError

Graph = Mapping[str, Iterable[str]]


def order(needs: Graph) -> list[str]:
    """Every node after all that it needs; otherwise as the mapping lists them.

    Raises:
        CycleError: some nodes need each other.
    """
    done: dict[str, None] = {}
    path: list[str] = []

    def visit(node: str) -> None:
        if node in done:
            return
        if node in path:
            raise CycleError([*path[path.index(node) :], node])
        path.append(node)
        for needed in needs.get(node, ()):
            visit(needed)
        path.pop()
        done[node] = None

    for node in needs:
        visit(node)
    return list(done)


def stages(needs: Graph) -> list[list[str]]:
    """Nodes grouped so that each needs only those of earlier groups; groups are sorted."""
    depth: dict[str, int] = {}
    for node in order(needs):
        depth[node] = max((depth[needed] + 1 for needed in needs.get(node, ())), default=0)
    groups: dict[int, list[str]] = {}
    for node, level in depth.items():
        groups.setdefault(level, []).append(node)
    return [sorted(groups[level]) for level in sorted(groups)]


def components(links: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Nodes that hang together by any way, largest group first; members are sorted."""
    home: dict[str, set[str]] = {}
    for left, right in links:
        joined = home.get(left, {left}) | home.get(right, {right})
        for node in joined:
            home[node] = joined
    groups = {min(group): sorted(group) for group in home.values()}
    return sorted(groups.values(), key=lambda group: (-len(group), group))


def shortest(links: Graph, start: str, goal: str) -> list[str]:
    """The way with the fewest steps, both ends included.

    Raises:
        LedgerError: there is none.
    """
    before: dict[str, str | None] = {start: None}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for neighbour in links.get(node, ()):
            if neighbour not in before:
                before[neighbour] = node
                waiting.append(neighbour)
    if goal not in before:
        raise LedgerError(f"no way from {start} to {goal}")
    return _trace(before, goal)


def _trace(before: Mapping[str, str | None], node: str) -> list[str]:
    previous = before[node]
    return [node] if previous is None else [*_trace(before, previous), node]


def exchange_rate(rates: Mapping[tuple[str, str], Fraction], source: str, target: str) -> Fraction:
    """The rate between two currencies, through others where no direct one is known.

    Args:
        rates: ``("EUR", "USD")`` -> dollars per euro; each serves both directions.
        source: currency given.
        target: currency wanted.

    Raises:
        LedgerError: nothing leads from one to the other.
    """
    links: dict[str, list[str]] = {}
    for left, right in rates:
        links.setdefault(left, []).append(right)
        links.setdefault(right, []).append(left)
    path = shortest(links, source, target)
    result = Fraction(1)
    for left, right in pairwise(path):
        direct = rates.get((left, right))
        result *= direct if direct is not None else 1 / rates[right, left]
    return result
