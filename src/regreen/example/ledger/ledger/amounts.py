"""Amounts of money: whole minor units and a currency, never floating point."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import total_ordering

from ledger.errors import CurrencyMismatchError, LedgerError

_PLACES = {"JPY": 0, "KRW": 0, "KWD": 3}


def places(currency: str) -> int:
    """Digits after the decimal point."""
    return _PLACES.get(currency, 2)


@total_ordering
@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of one currency; ``Amount(1250, "EUR")`` is 12.50 EUR."""

    minor: int
    currency: str = "EUR"

    @classmethod
    def parse(cls, text: str, default: str = "EUR") -> Amount:
        """Read ``12.50``, ``1,234.50 EUR`` or ``-USD 7``.

        Raises:
            LedgerError: the text is no amount, or has more digits than the currency.
        """
        found = re.fullmatch(
            r"(-?)(?:([A-Z]{3})\s+)?(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?(?:\s+([A-Z]{3}))?",
            text.strip(),
        )
        if found is None:
            raise LedgerError(f"not an amount: {text!r}")
        sign, before, whole, fraction, after = found.groups(default="")
        if before and after:
            raise LedgerError(f"two currencies: {text!r}")
        currency = before or after or default
        if len(fraction) > places(currency):
            raise LedgerError(f"too many digits for {currency}: {text!r}")
        minor = int(whole.replace(",", "") + fraction.ljust(places(currency), "0"))
        return cls(-minor if sign else minor, currency)

    def __str__(self) -> str:
        digits = places(self.currency)
        whole, rest = divmod(abs(self.minor), 10**digits)
        sign = "-" if self.minor < 0 else ""
        decimals = f".{rest:0{digits}d}" if digits else ""
        return f"{sign}{whole:,}{decimals} {self.currency}"

    def __add__(self, other: Amount) -> Amount:
        self._check(other)
        return Amount(self.minor + other.minor, self.currency)

    def __sub__(self, other: Amount) -> Amount:
        return self + -other

    def __neg__(self) -> Amount:
        return Amount(-self.minor, self.currency)

    def __abs__(self) -> Amount:
        return Amount(abs(self.minor), self.currency)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __lt__(self, other: Amount) -> bool:
        self._check(other)
        return self.minor < other.minor

    def scaled(self, factor: Fraction | int) -> Amount:
        """The amount times a factor, halves rounded to the even neighbour."""
        return Amount(round(self.minor * Fraction(factor)), self.currency)

    def convert(self, currency: str, rate: Fraction) -> Amount:
        """The amount in another currency; ``rate`` is the price of one major unit."""
        shift = Fraction(10) ** (places(currency) - places(self.currency))
        return Amount(round(self.minor * rate * shift), currency)

    def allocate(self, *weights: int) -> list[Amount]:
        """Split by weights without losing a minor unit; earlier shares take what is left over.

        Raises:
            LedgerError: a weight is negative, or all are zero.
        """
        if min(weights, default=0) < 0 or not any(weights):
            raise LedgerError(f"weights must be positive: {weights}")
        whole = sum(weights)
        shares = [self.minor * weight // whole for weight in weights]
        left = self.minor - sum(shares)
        takers = [index for index, weight in enumerate(weights) if weight]
        for index in takers[:left]:
            shares[index] += 1
        return [Amount(share, self.currency) for share in shares]

    def _check(self, other: Amount) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatchError(self.currency, other.currency)


def total(amounts: Iterable[Amount], currency: str = "EUR") -> Amount:
    """The sum; zero of ``currency`` when there is nothing to add."""
    listed = list(amounts)
    if not listed:
        return Amount(0, currency)
    first, *rest = listed
    result = first
    for amount in rest:
        result += amount
    return result
