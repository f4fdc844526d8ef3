"""The text format: transactions as paragraphs, one posting to a line.

A posting without an amount takes what is missing to balance the transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from ledger.accounts import check_name
from ledger.amounts import Amount, total
from ledger.errors import JournalError, LedgerError

_HEADER = re.compile(r"(\d{4}-\d\d-\d\d)(?:\s+([*!]))?\s+(.*)")
_Line = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount that enters an account."""

    account: str
    amount: Amount
    note: str = ""


@dataclass(frozen=True, slots=True)
class Transaction:
    """Postings of one day that sum to zero in each currency."""

    day: date
    payee: str
    postings: tuple[Posting, ...]
    note: str = ""
    tags: frozenset[str] = frozenset()
    pending: bool = False

    def __post_init__(self) -> None:
        for amount in left_over(self.postings):
            raise LedgerError(f"{amount} left over")

    def reversed(self, day: date) -> Transaction:
        """The transaction that undoes this one."""
        turned = tuple(replace(posting, amount=-posting.amount) for posting in self.postings)
        return replace(self, day=day, postings=turned, note=f"reverses {self.day}")


def left_over(postings: Iterable[Posting]) -> list[Amount]:
    """What keeps postings from balancing, one amount per currency; nothing when they balance."""
    sums: dict[str, Amount] = {}
    for posting in postings:
        currency = posting.amount.currency
        sums[currency] = total([posting.amount, sums.get(currency, Amount(0, currency))])
    return [amount for amount in sums.values() if amount]


def parse_journal(text: str, currency: str = "EUR") -> list[Transaction]:
    """Read a journal; the result is sorted by day, equal days as they stand.

    Args:
        text: the journal.
        currency: of amounts that name none.

    Raises:
        JournalError: a line cannot be read, or a transaction does not balance.
    """
    found = [_transaction(block, currency) for block in _blocks(text)]
    return sorted(found, key=lambda transaction: transaction.day)


def _blocks(text: str) -> Iterator[list[_Line]]:
    """Numbered lines of one transaction each, comments and blank lines left out."""
    block: list[_Line] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.partition(";")[0].rstrip()
        if not line:
            continue
        if line[0].isspace():
            if not block:
                raise JournalError(number, "a posting without a transaction")
        elif block:
            yield block
            block = []
        block.append((number, line))
    if block:
        yield block


def _transaction(block: list[_Line], currency: str) -> Transaction:
    (number, header), *lines = block
    found = _HEADER.fullmatch(header)
    if found is None:
        raise JournalError(number, "not the head of a transaction")
    day, flag, rest = found.groups(default="")
    words = rest.split()
    plain = " ".join(word for word in words if not word.startswith("#"))
    payee, _, note = plain.partition(" | ")
    postings = _postings(lines, currency)
    try:
        return Transaction(
            day=date.fromisoformat(day),
            payee=payee,
            postings=postings,
            note=note,
            tags=frozenset(word[1:] for word in words if word.startswith("#")),
            pending=flag == "!",
        )
    except ValueError as error:
        raise JournalError(number, str(error)) from error


def _postings(lines: list[_Line], currency: str) -> tuple[Posting, ...]:
    found: list[Posting] = []
    unfilled: tuple[int, str, int] | None = None
    for number, line in lines:
        account, amount, note = _columns(line)
        if not amount and unfilled:
            raise JournalError(number, "a second posting without an amount")
        try:
            check_name(account)
            if amount:
                found.append(Posting(account, Amount.parse(amount, currency), note))
            else:
                unfilled = number, account, len(found)
        except LedgerError as error:
            raise JournalError(number, str(error)) from error
    if unfilled:
        number, account, place = unfilled
        missing = left_over(found)
        if not missing:
            raise JournalError(number, "nothing is left over for this posting")
        found[place:place] = [Posting(account, -amount) for amount in missing]
    return tuple(found)


def _columns(line: str) -> tuple[str, str, str]:
    """Account, amount and note: two spaces or a tab part them."""
    account, *rest = re.split(r"\s{2,}|\t", line.strip(), maxsplit=2)
    amount, note = [*rest, "", ""][:2]
    return account, amount, note


def render_journal(transactions: Iterable[Transaction], width: int = 32) -> str:
    """Write a journal that ``parse_journal`` reads back; amounts end in one column.

    Args:
        transactions: in the order they are to stand.
        width: of the column of accounts.
    """
    return "\n".join(_render(transaction, width) for transaction in transactions)


def _render(transaction: Transaction, width: int) -> str:
    parts = [transaction.day.isoformat(), "!" if transaction.pending else "*", transaction.payee]
    if transaction.note:
        parts += ["|", transaction.note]
    parts += [f"#{tag}" for tag in sorted(transaction.tags)]
    lines = [" ".join(parts)]
    for posting in transaction.postings:
        line = f"    {posting.account:<{width}}  {posting.amount!s:>14}"
        lines.append(f"{line}  {posting.note}".rstrip())
    return "\n".join(lines) + "\n"
