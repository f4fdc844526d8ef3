"""What can go wrong; everything is a ``LedgerError``, which is a ``ValueError``."""

from __future__ import annotations

from collections.abc import Sequence


class LedgerError(ValueError):
    """Something in the books is not right."""


class CurrencyMismatchError(LedgerError):
    """Two amounts of different currencies met."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"{left} and {right} do not mix")
        self.currencies = (left, right)


class JournalError(LedgerError):
    """A line of a journal or statement cannot be read."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class CycleError(LedgerError):
    """Things depend on each other in a ring."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(" -> ".join(path))
        self.path = tuple(path)
