"""Accounts are names such as ``Assets:Bank:Savings``; everything else follows from the colons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ledger.amounts import Amount
from ledger.errors import LedgerError

ROOTS = ("Assets", "Liabilities", "Equity", "Income", "Expenses")
"""The five kinds of accounts, in the order reports show them."""


def check_name(name: str) -> str:
    """The name itself.

    Raises:
        LedgerError: it does not begin with a root, or a part is empty or not capitalised.
    """
    root, *rest = name.split(":")
    if root not in ROOTS:
        raise LedgerError(f"unknown root account: {root!r}")
    for part in rest:
        if not part or not (part[0].isupper() or part[0].isdigit()):
            raise LedgerError(f"bad account name: {name!r}")
    return name


def ancestors(name: str) -> Iterator[str]:
    """The accounts above, nearest first."""
    parts = name.split(":")
    for length in range(len(parts) - 1, 0, -1):
        yield ":".join(parts[:length])


def is_below(name: str, above: str) -> bool:
    """Whether an account is another one or lies below it."""
    return name == above or name.startswith(f"{above}:")


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern fits a whole name; ``*`` is one part, ``**`` any number of parts."""
    return _matches(pattern.split(":"), name.split(":"))


def _matches(pattern: list[str], parts: list[str]) -> bool:
    if not pattern:
        return not parts
    head, *rest = pattern
    if head == "**":
        return any(_matches(rest, parts[start:]) for start in range(len(parts) + 1))
    if not parts:
        return False
    return head in ("*", parts[0]) and _matches(rest, parts[1:])


def sort_key(name: str) -> tuple[int, str]:
    """Orders accounts by root first, then by name without regard to case."""
    root, _, rest = name.partition(":")
    return ROOTS.index(root), rest.casefold()


def roll_up(balances: Mapping[str, Amount]) -> dict[str, Amount]:
    """Every account with what it and the accounts below it hold, sorted."""
    totals: dict[str, Amount] = {}
    for name, amount in balances.items():
        for account in (name, *ancestors(name)):
            if account in totals:
                totals[account] += amount
            else:
                totals[account] = amount
    return {name: totals[name] for name in sorted(totals, key=sort_key)}


def outline(names: Iterable[str], indent: str = "  ") -> str:
    """The accounts and those above them as an indented list."""
    known = set(names)
    for name in list(known):
        known.update(ancestors(name))
    lines = []
    for name in sorted(known, key=sort_key):
        depth = name.count(":")
        lines.append(indent * depth + name.rpartition(":")[2])
    return "\n".join(lines)
