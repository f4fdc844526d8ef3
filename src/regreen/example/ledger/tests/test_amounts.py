from fractions import Fraction

import pytest

from ledger import Amount, CurrencyMismatchError, LedgerError, total
from ledger.amounts import places


@pytest.mark.parametrize(
    ("text", "minor", "currency"),
    [
        ("12.50", 1250, "EUR"),
        ("  12.5 ", 1250, "EUR"),
        ("7", 700, "EUR"),
        ("1,234.05 EUR", 123405, "EUR"),
        ("-USD 7", -700, "USD"),
        ("USD 0.99", 99, "USD"),
        ("1,500 JPY", 1500, "JPY"),
        ("-1.005 KWD", -1005, "KWD"),
        ("1234567.89", 123456789, "EUR"),
    ],
)
def test_reads_amounts(text: str, minor: int, currency: str) -> None:
    assert Amount.parse(text) == Amount(minor, currency)


def test_takes_the_default_currency_when_none_is_named() -> None:
    assert Amount.parse("3", "CHF") == Amount(300, "CHF")
    assert Amount.parse("3 USD", default="CHF") == Amount(300, "USD")
    assert Amount(5).currency == "EUR"


@pytest.mark.parametrize(
    "text", ["", "abc", "1,23", "12.", "1.2.3", "--1", "5 eur", "1,2345", "x1"]
)
def test_refuses_what_is_no_amount(text: str) -> None:
    with pytest.raises(LedgerError, match="not an amount"):
        Amount.parse(text)


def test_refuses_two_currencies_and_too_many_digits() -> None:
    with pytest.raises(LedgerError, match="two currencies"):
        Amount.parse("EUR 5 USD")
    with pytest.raises(LedgerError, match="too many digits for JPY"):
        Amount.parse("5.0 JPY")
    with pytest.raises(LedgerError, match="too many digits for EUR"):
        Amount.parse("5.001")


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123456789, "EUR", "1,234,567.89 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (-100, "USD", "-1.00 USD"),
        (1500, "JPY", "1,500 JPY"),
        (1005, "KWD", "1.005 KWD"),
    ],
)
def test_is_written_with_the_digits_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert str(Amount(minor, currency)) == text
    assert Amount.parse(text) == Amount(minor, currency)


def test_knows_the_places_of_currencies() -> None:
    assert [places(code) for code in ("EUR", "JPY", "KRW", "KWD")] == [2, 0, 0, 3]


def test_adds_subtracts_and_negates() -> None:
    assert Amount(250) + Amount(75) == Amount(325)
    assert Amount(250) - Amount(75) == Amount(175)
    assert -Amount(3, "USD") == Amount(-3, "USD")
    assert abs(Amount(-3, "USD")) == Amount(3, "USD")
    assert Amount(2, "USD") + Amount(2, "USD") == Amount(4, "USD")


def test_orders_amounts_of_one_currency() -> None:
    low, high = Amount(1), Amount(2)
    assert low < high
    assert high > low
    assert low <= Amount(1)
    assert high >= Amount(2)
    assert not high < Amount(2)
    assert max(low, high) is high


def test_does_not_mix_currencies() -> None:
    with pytest.raises(CurrencyMismatchError, match="EUR and USD do not mix") as caught:
        Amount(1) + Amount(1, "USD")
    assert caught.value.currencies == ("EUR", "USD")
    with pytest.raises(CurrencyMismatchError):
        assert Amount(1, "USD") < Amount(2)


def test_only_zero_is_false() -> None:
    assert not Amount(0)
    assert Amount(1)
    assert Amount(-1)


def test_scales_with_halves_to_the_even_neighbour() -> None:
    assert Amount(100, "USD").scaled(3) == Amount(300, "USD")
    assert Amount(5).scaled(Fraction(1, 2)) == Amount(2)
    assert Amount(7).scaled(Fraction(1, 2)) == Amount(4)
    assert Amount(-10).scaled(Fraction(1, 3)) == Amount(-3)


def test_converts_between_currencies_with_different_places() -> None:
    assert Amount(1000, "EUR").convert("USD", Fraction(11, 10)) == Amount(1100, "USD")
    assert Amount(1000, "EUR").convert("JPY", Fraction(160)) == Amount(1600, "JPY")
    assert Amount(1600, "JPY").convert("KWD", Fraction(1, 500)) == Amount(3200, "KWD")


def test_allocates_every_minor_unit() -> None:
    assert Amount(100).allocate(1, 1, 1) == [Amount(34), Amount(33), Amount(33)]
    assert Amount(5, "USD").allocate(3, 0, 7) == [
        Amount(2, "USD"),
        Amount(0, "USD"),
        Amount(3, "USD"),
    ]
    assert Amount(-100).allocate(1, 1, 1) == [Amount(-33), Amount(-33), Amount(-34)]
    assert Amount(101).allocate(0, 1, 1) == [Amount(0), Amount(51), Amount(50)]


@pytest.mark.parametrize("weights", [(), (0, 0), (2, -1)])
def test_refuses_useless_weights(weights: tuple[int, ...]) -> None:
    with pytest.raises(LedgerError, match="weights must be positive"):
        Amount(100).allocate(*weights)


def test_totals_amounts() -> None:
    assert total([Amount(1), Amount(2), Amount(4)]) == Amount(7)
    assert total(Amount(n, "USD") for n in (5, -5)) == Amount(0, "USD")
    assert total([]) == Amount(0, "EUR")
    assert total([], "CHF") == Amount(0, "CHF")
    with pytest.raises(CurrencyMismatchError):
        total([Amount(1), Amount(1, "USD")])
