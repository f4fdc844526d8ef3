from datetime import date

import pytest

from ledger import (
    Amount,
    JournalError,
    LedgerError,
    Posting,
    Transaction,
    parse_journal,
    render_journal,
)
from ledger.journal import left_over

SHOP = """\
; my journal
2024-03-05 * Grocer | weekly shop #food #cash  ; with a comment
    Expenses:Food    12.50 EUR    apples
    Expenses:Home\t3.20
    Assets:Cash
"""
RENT = """\
2024-03-01 ! Landlord
    Assets:Bank    -800.00
    Expenses:Rent    800.00
"""


def test_reads_a_transaction() -> None:
    (shop,) = parse_journal(SHOP)
    assert shop == Transaction(
        day=date(2024, 3, 5),
        payee="Grocer",
        postings=(
            Posting("Expenses:Food", Amount(1250), "apples"),
            Posting("Expenses:Home", Amount(320)),
            Posting("Assets:Cash", Amount(-1570)),
        ),
        note="weekly shop",
        tags=frozenset({"food", "cash"}),
        pending=False,
    )


def test_sorts_transactions_by_day() -> None:
    found = parse_journal(SHOP + "\n" + RENT)
    assert [one.payee for one in found] == ["Landlord", "Grocer"]
    assert [one.pending for one in found] == [True, False]
    twice = parse_journal(RENT.replace("Landlord", "B") + RENT.replace("Landlord", "A"))
    assert [one.payee for one in twice] == ["B", "A"]


def test_a_flag_is_not_needed() -> None:
    (plain,) = parse_journal("2024-01-01 Two Words\n  Assets:Cash  5\n  Income:Gift\n")
    assert plain.payee == "Two Words"
    assert plain.note == ""
    assert plain.tags == frozenset()
    assert not plain.pending
    assert plain.postings == (
        Posting("Assets:Cash", Amount(500)),
        Posting("Income:Gift", Amount(-500)),
    )


def test_reads_another_currency_by_default() -> None:
    (paid,) = parse_journal("2024-01-01 Shop\n  Assets:Cash  -5\n  Expenses:Fun\n", currency="USD")
    assert [posting.amount for posting in paid.postings] == [
        Amount(-500, "USD"),
        Amount(500, "USD"),
    ]


def test_an_open_posting_takes_every_currency_in_its_place() -> None:
    text = "2024-01-01 Trip\n  Expenses:A  5 USD\n  Assets:Cash\n  Expenses:B  7 EUR\n"
    (trip,) = parse_journal(text)
    assert trip.postings == (
        Posting("Expenses:A", Amount(500, "USD")),
        Posting("Assets:Cash", Amount(-500, "USD")),
        Posting("Assets:Cash", Amount(-700, "EUR")),
        Posting("Expenses:B", Amount(700, "EUR")),
    )


def test_nothing_comes_of_nothing() -> None:
    assert parse_journal("") == []
    assert parse_journal("\n  \n; only a comment\n") == []


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("  Assets:Cash  5\n", 1, "a posting without a transaction"),
        ("\nhello\n", 2, "not the head of a transaction"),
        ("2024-02-30 A\n", 1, "day"),
        ("2024-01-01 A\n  Assets:Cash  5\n", 1, "5.00 EUR left over"),
        ("2024-01-01 A\n  Assets:Cash  5\n  Cash  -5\n", 3, "unknown root account: 'Cash'"),
        ("2024-01-01 A\n  Assets:Cash  5\n  Assets:Bank  five\n", 3, "not an amount: 'five'"),
        (
            "2024-01-01 A\n  Assets:A  1\n  Assets:B\n  Assets:C\n",
            4,
            "a second posting without an amount",
        ),
        (
            "2024-01-01 A\n\n  Assets:A  1\n  Assets:B  -1\n  Assets:C\n",
            5,
            "nothing is left over for this posting",
        ),
    ],
)
def test_names_the_line_that_is_wrong(text: str, line: int, reason: str) -> None:
    with pytest.raises(JournalError, match=f"^line {line}: .*{reason}") as caught:
        parse_journal(text)
    assert caught.value.line == line
    assert reason in caught.value.reason


def test_a_transaction_must_balance() -> None:
    with pytest.raises(LedgerError, match=r"^0\.01 USD left over$"):
        Transaction(date(2024, 1, 1), "A", (Posting("Assets:Cash", Amount(1, "USD")),))


def test_tells_what_is_left_over() -> None:
    postings = [
        Posting("Assets:A", Amount(5)),
        Posting("Assets:B", Amount(3, "USD")),
        Posting("Assets:C", Amount(-2)),
        Posting("Assets:D", Amount(-3, "USD")),
    ]
    assert left_over(postings) == [Amount(3)]
    assert left_over([]) == []


def test_a_plain_transaction_is_cleared_and_bare() -> None:
    plain = Transaction(date(2024, 1, 1), "A", ())
    assert (plain.note, plain.tags, plain.pending) == ("", frozenset(), False)


def test_reverses() -> None:
    (rent,) = parse_journal(RENT)
    undone = rent.reversed(date(2024, 4, 1))
    assert undone.day == date(2024, 4, 1)
    assert undone.note == "reverses 2024-03-01"
    assert undone.payee == "Landlord"
    assert [posting.amount for posting in undone.postings] == [Amount(80000), Amount(-80000)]
    assert [posting.account for posting in undone.postings] == ["Assets:Bank", "Expenses:Rent"]


def test_writes_aligned_text() -> None:
    text = render_journal(parse_journal(SHOP), width=14)
    assert text.splitlines() == [
        "2024-03-05 * Grocer | weekly shop #cash #food",
        "    Expenses:Food        12.50 EUR  apples",
        "    Expenses:Home         3.20 EUR",
        "    Assets:Cash         -15.70 EUR",
    ]
    assert text.endswith("EUR\n")


def test_writes_a_wide_column_by_default() -> None:
    line = render_journal(parse_journal(RENT)).splitlines()[1]
    assert line == "    Assets:Bank" + " " * 26 + "-800.00 EUR"


def test_reads_what_it_writes() -> None:
    found = parse_journal(RENT + SHOP)
    written = render_journal(found)
    assert parse_journal(written) == found
    assert written.count("\n\n") == 1
    assert "2024-03-01 ! Landlord\n" in written
