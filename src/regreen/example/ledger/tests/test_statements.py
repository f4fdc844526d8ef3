from datetime import date

import pytest

from ledger import Amount, JournalError, LedgerError, Posting
from ledger.statements import (
    GermanLayout,
    Layout,
    Line,
    Rule,
    categorise,
    check_balance,
    new_lines,
)

PLAIN = """\
Date,Text,Amount,Balance
2024-03-02,"GROCER  42, MAIN ST",-12.50,0
 2024-03-01 , salary ,"+2,000.00",0
"""
GERMAN = """\
\ufeffBuchungstag;Verwendungszweck;Umsatz
02.03.2024;MIETE MAERZ;1.800,50 S
03.03.2024;GEHALT;2.000,00 H
"""


def line(text: str, cents: int = -100, day: int = 1) -> Line:
    return Line(date(2024, 3, day), text, Amount(cents))


def test_reads_a_plain_statement_oldest_first() -> None:
    assert Layout().read(PLAIN) == [
        Line(date(2024, 3, 1), "salary", Amount(200000)),
        Line(date(2024, 3, 2), "GROCER 42, MAIN ST", Amount(-1250)),
    ]


def test_reads_another_currency() -> None:
    assert Layout().read(PLAIN, "USD")[0].amount == Amount(200000, "USD")


def test_reads_a_german_statement() -> None:
    assert GermanLayout().read(GERMAN) == [
        Line(date(2024, 3, 2), "MIETE MAERZ", Amount(-180050)),
        Line(date(2024, 3, 3), "GEHALT", Amount(200000)),
    ]


def test_names_missing_columns() -> None:
    with pytest.raises(JournalError, match=r"^line 1: no column Text, Amount$"):
        Layout().read("Date,Betrag\n")
    with pytest.raises(JournalError, match="no column Date, Text, Amount"):
        Layout().read("")


def test_names_the_row_that_is_wrong() -> None:
    with pytest.raises(JournalError, match="line 3: not an amount: 'free'"):
        Layout().read("Date,Text,Amount\n2024-03-01,a,1\n2024-03-02,b,free\n")
    with pytest.raises(JournalError, match=r"line 2: .*2024"):
        GermanLayout().read("Buchungstag;Verwendungszweck;Umsatz\n2024-03-01;a;1,00\n")


def test_a_rule_matches_without_regard_to_case() -> None:
    rule = Rule(r"gro(cer|ssist)", "Expenses:Food")
    assert rule.apply(line("GROCER 42")) == ("Expenses:Food", "Grocer 42")
    assert rule.apply(line("salary")) is None


def test_a_rule_can_name_the_payee() -> None:
    rule = Rule(r"card \d+ (?P<shop>\w+)", "Expenses:Fun", r"\g<shop>, by card")
    assert rule.apply(line("Card 123 Kiosk")) == ("Expenses:Fun", "Kiosk, by card")


def test_categorises_by_the_first_rule() -> None:
    rules = [Rule("rent", "Expenses:Rent", "Landlord"), Rule("e", "Expenses:Other")]
    rent, wine = categorise([line("RENT", -500, 3), line("wine", -70)], rules, "Assets:Bank")
    assert rent.day == date(2024, 3, 3)
    assert rent.payee == "Landlord"
    assert rent.postings == (
        Posting("Expenses:Rent", Amount(500)),
        Posting("Assets:Bank", Amount(-500)),
    )
    assert (wine.payee, wine.postings[0].account) == ("Wine", "Expenses:Other")
    assert not rent.pending


def test_keeps_what_no_rule_knows_pending() -> None:
    (made,) = categorise([line("???", 50)], [], "Assets:Bank")
    assert made.pending
    assert made.payee == "???"
    assert [posting.account for posting in made.postings] == ["Expenses:Unknown", "Assets:Bank"]
    (other,) = categorise([line("???", 50)], [], "Assets:Bank", other="Equity:Open")
    assert other.postings[0] == Posting("Equity:Open", Amount(-50))


def test_finds_new_lines_and_counts_equal_ones() -> None:
    coffee, tea = line("coffee"), line("tea")
    assert new_lines([coffee, tea, coffee, coffee], [coffee, coffee]) == [tea, coffee]
    assert new_lines([coffee], []) == [coffee]
    assert new_lines([], [coffee]) == []


def test_checks_the_balance() -> None:
    lines = [line("a", -100), line("b", 250)]
    check_balance(lines, Amount(1000), Amount(1150))
    with pytest.raises(LedgerError, match=r"^0\.50 EUR missing$"):
        check_balance(lines, Amount(1000), Amount(1200))
    with pytest.raises(LedgerError, match=r"^-1\.00 EUR missing$"):
        check_balance([], Amount(1000), Amount(900))
