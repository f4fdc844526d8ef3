import pytest

from ledger import Amount, LedgerError, matches, roll_up
from ledger.accounts import ancestors, check_name, is_below, outline, sort_key


@pytest.mark.parametrize("name", ["Assets", "Assets:Bank", "Expenses:Food:2024", "Equity:Ö"])
def test_accepts_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["Assets:", "Assets::Bank", "Assets:bank", "Income: Job"])
def test_refuses_bad_parts(name: str) -> None:
    with pytest.raises(LedgerError, match="bad account name"):
        check_name(name)


@pytest.mark.parametrize("name", ["", "Money", "assets:Bank", ":Assets"])
def test_refuses_unknown_roots(name: str) -> None:
    with pytest.raises(LedgerError, match="unknown root account"):
        check_name(name)


def test_lists_ancestors_nearest_first() -> None:
    assert list(ancestors("Assets:Bank:Savings:Holiday")) == [
        "Assets:Bank:Savings",
        "Assets:Bank",
        "Assets",
    ]
    assert list(ancestors("Assets")) == []


def test_tells_what_lies_below() -> None:
    assert is_below("Assets:Bank", "Assets")
    assert is_below("Assets", "Assets")
    assert not is_below("Assets", "Assets:Bank")
    assert not is_below("Assets:Banknotes", "Assets:Bank")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("Assets:Bank", "Assets:Bank", True),
        ("Assets:Bank", "Assets:Bank:Savings", False),
        ("Assets:*", "Assets:Bank", True),
        ("Assets:*", "Assets", False),
        ("*:Bank", "Liabilities:Bank", True),
        ("Assets:*", "Assets:Bank:Savings", False),
        ("Assets:**", "Assets:Bank:Savings", True),
        ("Assets:**", "Assets", True),
        ("**:Fees", "Expenses:Bank:Fees", True),
        ("**:Fees", "Fees", True),
        ("**:Fees", "Expenses:Fees:Old", False),
        ("**:Bank:*", "Assets:Bank:Bank:Savings", True),
        ("**", "Anything:At:All", True),
    ],
)
def test_matches_patterns(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


def test_sorts_by_root_then_without_regard_to_case() -> None:
    names = ["Expenses:Food", "Income:Job", "Assets:bank", "Assets:Cash", "Assets", "Equity:A"]
    assert sorted(names, key=sort_key) == [
        "Assets",
        "Assets:bank",
        "Assets:Cash",
        "Equity:A",
        "Income:Job",
        "Expenses:Food",
    ]
    assert sort_key("Income:Job:Bonus") == (3, "job:bonus")


def test_rolls_up_to_every_account_above() -> None:
    totals = roll_up(
        {
            "Income:Job": Amount(-500),
            "Assets:Bank:Savings": Amount(300),
            "Assets:Cash": Amount(150),
            "Assets:Bank": Amount(50),
        }
    )
    assert list(totals.items()) == [
        ("Assets", Amount(500)),
        ("Assets:Bank", Amount(350)),
        ("Assets:Bank:Savings", Amount(300)),
        ("Assets:Cash", Amount(150)),
        ("Income", Amount(-500)),
        ("Income:Job", Amount(-500)),
    ]


def test_outlines_accounts() -> None:
    names = ["Assets:Bank:Savings", "Expenses:Food", "Assets:Cash"]
    assert outline(names).splitlines() == [
        "Assets",
        "  Bank",
        "    Savings",
        "  Cash",
        "Expenses",
        "  Food",
    ]
    assert outline(["Assets:Cash"], indent="-") == "Assets\n-Cash"
    assert outline([]) == ""
