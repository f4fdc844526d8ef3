"""Bank statements in CSV: read by the layout of the bank, sorted into accounts by rules."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from ledger.amounts import Amount
from ledger.errors import JournalError, LedgerError
from ledger.journal import Posting, Transaction


@dataclass(frozen=True, slots=True)
class Line:
    """One booking as the bank tells it."""

    day: date
    text: str
    amount: Amount


class Layout:
    """Commas, ISO dates, signed amounts with a decimal point."""

    delimiter = ","
    date_format = "%Y-%m-%d"
    fields = ("Date", "Text", "Amount")

    def read(self, content: str, currency: str = "EUR") -> list[Line]:
        """The bookings of a statement, oldest first.

        Raises:
            JournalError: a column is missing, or a row cannot be read.
        """
        reader = csv.DictReader(io.StringIO(content.lstrip("\ufeff")), delimiter=self.delimiter)
        absent = [name for name in self.fields if name not in (reader.fieldnames or ())]
        if absent:
            raise JournalError(1, f"no column {', '.join(absent)}")
        lines = []
        for row in reader:
            try:
                lines.append(self.line(row, currency))
            except ValueError as error:
                raise JournalError(reader.line_num, str(error)) from error
        return sorted(lines, key=lambda line: line.day)

    def line(self, row: dict[str, str], currency: str) -> Line:
        """One row of the file."""
        day, text, amount = (row[name] for name in self.fields)
        return Line(self.day(day), " ".join(text.split()), self.amount(amount, currency))

    def day(self, text: str) -> date:
        """A date as the bank writes it."""
        return datetime.strptime(text.strip(), self.date_format).date()  # noqa: DTZ007

    def amount(self, text: str, currency: str) -> Amount:
        """An amount as the bank writes it; a leading plus is allowed."""
        return Amount.parse(text.strip().removeprefix("+"), currency)


class GermanLayout(Layout):
    """Semicolons, 31.12.2024 and 1.234,50, with ``S`` behind what was debited."""

    delimiter = ";"
    date_format = "%d.%m.%Y"
    fields = ("Buchungstag", "Verwendungszweck", "Umsatz")

    def amount(self, text: str, currency: str) -> Amount:
        """An amount with the comma as decimal point."""
        number, _, mark = text.strip().partition(" ")
        amount = super().amount(number.translate(str.maketrans(",.", ".,")), currency)
        return -amount if mark == "S" else amount


@dataclass(frozen=True, slots=True)
class Rule:
    """Sends bookings whose text matches to an account."""

    pattern: str
    account: str
    payee: str = ""

    def apply(self, line: Line) -> tuple[str, str] | None:
        """Account and payee for a booking, None when it does not match."""
        found = re.search(self.pattern, line.text, flags=re.IGNORECASE)
        if found is None:
            return None
        return self.account, found.expand(self.payee) if self.payee else line.text.title()


def categorise(
    lines: Iterable[Line], rules: Sequence[Rule], own: str, other: str = "Expenses:Unknown"
) -> list[Transaction]:
    """Transactions of bookings; the first rule that matches decides.

    Args:
        lines: of the statement.
        rules: tried in order.
        own: the account the statement is of.
        other: account of what no rule knows; such transactions are pending.
    """
    made = []
    for line in lines:
        hits = (hit for rule in rules if (hit := rule.apply(line)) is not None)
        account, payee = next(hits, ("", line.text))
        postings = (Posting(account or other, -line.amount), Posting(own, line.amount))
        made.append(Transaction(line.day, payee, postings, pending=not account))
    return made


def new_lines(lines: Iterable[Line], known: Iterable[Line]) -> list[Line]:
    """The bookings not known yet; of equal ones as many as there are more of."""
    seen = Counter(known)
    fresh = []
    for line in lines:
        if seen[line] > 0:
            seen[line] -= 1
        else:
            fresh.append(line)
    return fresh


def check_balance(lines: Sequence[Line], opening: Amount, closing: Amount) -> None:
    """Compare the bookings with the balances the bank states.

    Raises:
        LedgerError: they do not add up.
    """
    balance = opening
    for line in lines:
        balance += line.amount
    if balance != closing:
        raise LedgerError(f"{closing - balance} missing")
