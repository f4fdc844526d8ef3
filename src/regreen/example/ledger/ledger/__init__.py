"""Plain-text double-entry bookkeeping."""

from ledger.accounts import matches, roll_up
from ledger.amounts import Amount, total
from ledger.book import Book, Entry
from ledger.cache import ExpiringCache, memoize
from ledger.errors import CurrencyMismatchError, CycleError, JournalError, LedgerError
from ledger.journal import Posting, Transaction, parse_journal, render_journal
from ledger.periods import Period, add_months

__all__ = [
    "Amount",
    "Book",
    "CurrencyMismatchError",
    "CycleError",
    "Entry",
    "ExpiringCache",
    "JournalError",
    "LedgerError",
    "Period",
    "Posting",
    "Transaction",
    "add_months",
    "matches",
    "memoize",
    "parse_journal",
    "render_journal",
    "roll_up",
    "total",
]
