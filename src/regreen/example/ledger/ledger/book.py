"""A book: transactions in the order of their days, and what follows from them."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from ledger.accounts import is_below, roll_up
from ledger.amounts import Amount, total
from ledger.errors import LedgerError
from ledger.journal import Posting, Transaction
from ledger.periods import Period


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an account's register."""

    transaction: Transaction
    amount: Amount
    balance: Amount


class Book:
    """Transactions of one currency."""

    def __init__(self, currency: str = "EUR") -> None:
        self.currency = currency
        self._transactions: list[Transaction] = []
        self._listeners: list[Callable[[Transaction], None]] = []

    def __len__(self) -> int:
        return len(self._transactions)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(tuple(self._transactions))

    def subscribe(self, listener: Callable[[Transaction], None]) -> Callable[[], None]:
        """Tell a listener about every added transaction, until the returned function is called."""
        self._listeners.append(listener)

        def cancel() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return cancel

    def add(self, transaction: Transaction) -> Self:
        """Put a transaction in its place, behind others of the same day.

        Raises:
            LedgerError: it is of another currency.
        """
        for posting in transaction.postings:
            if posting.amount.currency != self.currency:
                raise LedgerError(f"this book is kept in {self.currency}")
        insort(self._transactions, transaction, key=lambda one: one.day)
        for listener in self._listeners[:]:
            listener(transaction)
        return self

    @contextmanager
    def edit(self) -> Iterator[Self]:
        """Make several changes; all are undone when the block raises."""
        before = self._transactions.copy()
        try:
            yield self
        except BaseException:
            self._transactions = before
            raise

    def _postings(
        self, period: Period | None, pending: bool = True
    ) -> Iterator[tuple[Transaction, Posting]]:
        for transaction in self._transactions:
            if period is not None and transaction.day not in period:
                continue
            if transaction.pending and not pending:
                continue
            for posting in transaction.postings:
                yield transaction, posting

    def balance(self, account: str, period: Period | None = None, pending: bool = True) -> Amount:
        """What an account and those below it hold, or gained in a period.

        Args:
            account: its name.
            period: all time when None.
            pending: False leaves pending transactions out.
        """
        found = self._postings(period, pending)
        return total((p.amount for _, p in found if is_below(p.account, account)), self.currency)

    def balances(self, period: Period | None = None) -> dict[str, Amount]:
        """Every account with the accounts above it; those at zero are left out."""
        sums: dict[str, Amount] = {}
        for _, posting in self._postings(period):
            before = sums.setdefault(posting.account, Amount(0, self.currency))
            sums[posting.account] = before + posting.amount
        return {name: amount for name, amount in roll_up(sums).items() if amount}

    def register(self, account: str, period: Period | None = None) -> list[Entry]:
        """The postings of an account with its balance after each.

        Args:
            account: its name; accounts below it count too.
            period: shows these days only; the balance still begins with what came before.
        """
        entries = []
        balance = Amount(0, self.currency)
        for transaction, posting in self._postings(None):
            if not is_below(posting.account, account):
                continue
            balance += posting.amount
            if period is None or transaction.day in period:
                entries.append(Entry(transaction, posting.amount, balance))
        return entries

    def budget(self, limits: dict[str, Amount], period: Period) -> dict[str, Amount]:
        """What is left of each account's limit, the most overspent first."""
        left = {name: limit - self.balance(name, period) for name, limit in limits.items()}
        return dict(sorted(left.items(), key=lambda item: item[1]))

    def tagged(self, *tags: str) -> list[Transaction]:
        """The transactions that carry all of the tags."""
        return [one for one in self._transactions if one.tags.issuperset(tags)]
