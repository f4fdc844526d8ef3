from datetime import date

import pytest

from ledger import Amount, Book, Entry, LedgerError, Period, Transaction, parse_journal

YEAR = """\
2024-01-31 * Employer | January
    Assets:Bank:Giro    2,000.00
    Income:Job

2024-02-02 * Landlord #home #fixed
    Expenses:Rent    800.00
    Assets:Bank:Giro

2024-02-10 ! Grocer #food
    Expenses:Food    60.00
    Assets:Cash

2024-02-20 * Grocer #food #home
    Expenses:Food    40.00
    Assets:Bank:Giro

2024-03-01 * Myself
    Assets:Bank:Savings    500.00
    Assets:Bank:Giro
"""


@pytest.fixture
def february() -> Period:
    return Period.parse("2024-02")


@pytest.fixture
def book() -> Book:
    made = Book()
    for transaction in parse_journal(YEAR):
        made.add(transaction)
    return made


def spend(day: date, euros: int, payee: str = "Kiosk") -> Transaction:
    text = f"{day} * {payee}\n  Expenses:Fun  {euros}\n  Assets:Cash\n"
    return parse_journal(text)[0]


def test_keeps_transactions_in_order() -> None:
    book = Book()
    book.add(spend(date(2024, 5, 2), 1, "b")).add(spend(date(2024, 5, 1), 2, "a"))
    book.add(spend(date(2024, 5, 2), 3, "c"))
    assert [one.payee for one in book] == ["a", "b", "c"]
    assert len(book) == 3


def test_refuses_another_currency() -> None:
    dollars = Book("USD")
    with pytest.raises(LedgerError, match="this book is kept in USD"):
        dollars.add(spend(date(2024, 5, 1), 5))
    assert len(dollars) == 0
    assert dollars.balance("Assets") == Amount(0, "USD")


def test_can_be_changed_while_it_is_walked(book: Book) -> None:
    for transaction in book:
        book.add(transaction.reversed(date(2024, 12, 31)))
    assert len(book) == 10
    assert book.balances() == {}


def test_balances_one_account_with_those_below(book: Book) -> None:
    assert book.balance("Assets:Bank:Giro") == Amount(66000)
    assert book.balance("Assets:Bank") == Amount(116000)
    assert book.balance("Assets") == Amount(110000)
    assert book.balance("Equity") == Amount(0)


def test_balances_a_period(book: Book, february: Period) -> None:
    assert book.balance("Assets", february) == Amount(-90000)
    assert book.balance("Expenses:Food", Period.parse("2024-02-20")) == Amount(4000)
    assert book.balance("Income", february) == Amount(0)


def test_can_leave_pending_transactions_out(book: Book) -> None:
    assert book.balance("Expenses:Food") == Amount(10000)
    assert book.balance("Expenses:Food", pending=False) == Amount(4000)
    assert book.balance("Assets:Cash", pending=False) == Amount(0)


def test_lists_all_balances(book: Book) -> None:
    assert list(book.balances().items()) == [
        ("Assets", Amount(110000)),
        ("Assets:Bank", Amount(116000)),
        ("Assets:Bank:Giro", Amount(66000)),
        ("Assets:Bank:Savings", Amount(50000)),
        ("Assets:Cash", Amount(-6000)),
        ("Income", Amount(-200000)),
        ("Income:Job", Amount(-200000)),
        ("Expenses", Amount(90000)),
        ("Expenses:Food", Amount(10000)),
        ("Expenses:Rent", Amount(80000)),
    ]


def test_leaves_empty_accounts_out_of_balances(book: Book) -> None:
    assert book.balances(Period.parse("2024-03")) == {
        "Assets:Bank:Giro": Amount(-50000),
        "Assets:Bank:Savings": Amount(50000),
    }


def test_registers_with_a_running_balance(book: Book) -> None:
    rows = book.register("Assets:Bank:Giro")
    assert [row.amount.minor for row in rows] == [200000, -80000, -4000, -50000]
    assert [row.balance.minor for row in rows] == [200000, 120000, 116000, 66000]
    assert rows[0] == Entry(next(iter(book)), Amount(200000), Amount(200000))


def test_a_register_begins_with_what_came_before(book: Book, february: Period) -> None:
    rows = book.register("Assets", february)
    assert [row.balance.minor for row in rows] == [120000, 114000, 110000]
    assert [row.transaction.payee for row in rows] == ["Landlord", "Grocer", "Grocer"]


def test_budgets_show_the_most_overspent_first(book: Book, february: Period) -> None:
    limits = {
        "Expenses:Fun": Amount(1000),
        "Expenses:Food": Amount(9000),
        "Expenses": Amount(90000),
    }
    assert list(book.budget(limits, february).items()) == [
        ("Expenses:Food", Amount(-1000)),
        ("Expenses", Amount(0)),
        ("Expenses:Fun", Amount(1000)),
    ]
    assert book.budget({"Expenses": Amount(5)}, Period.parse("2024-01")) == {"Expenses": Amount(5)}


def test_finds_transactions_by_all_their_tags(book: Book) -> None:
    assert [one.day.day for one in book.tagged("home")] == [2, 20]
    assert [one.day.day for one in book.tagged("home", "food")] == [20]
    assert book.tagged("travel") == []
    assert len(book.tagged()) == 5


def test_an_edit_that_fails_changes_nothing(book: Book) -> None:
    before = list(book)
    (dollars,) = parse_journal("2024-01-02 Shop\n  Assets:Cash  -5 USD\n  Expenses:Fun\n")
    with pytest.raises(LedgerError), book.edit() as draft:
        draft.add(spend(date(2024, 1, 1), 5)).add(dollars)
    assert list(book) == before


def test_an_edit_that_ends_well_stays(book: Book) -> None:
    with book.edit() as draft:
        assert draft is book
        draft.add(spend(date(2024, 1, 1), 5))
    assert len(book) == 6
    assert next(iter(book)).payee == "Kiosk"


def test_tells_listeners_until_they_cancel() -> None:
    book = Book()
    seen: list[str] = []
    heard: list[int] = []
    cancel = book.subscribe(lambda transaction: seen.append(transaction.payee))
    book.subscribe(lambda _: heard.append(len(book)))
    book.add(spend(date(2024, 5, 1), 1, "first"))
    cancel()
    cancel()
    book.add(spend(date(2024, 5, 1), 1, "second"))
    assert seen == ["first"]
    assert heard == [1, 2]


def test_a_listener_may_cancel_while_it_is_told() -> None:
    book = Book()
    seen: list[str] = []

    def once(transaction: Transaction) -> None:
        seen.append(transaction.payee)
        cancel()

    cancel = book.subscribe(once)
    book.subscribe(lambda transaction: seen.append(transaction.payee.upper()))
    book.add(spend(date(2024, 5, 1), 1, "a")).add(spend(date(2024, 5, 1), 1, "b"))
    assert seen == ["a", "A", "B"]
