import pytest

from ledger import Amount, LedgerError
from ledger.tables import Column, MarkdownTable, Table, pad, paragraph, shorten


def filled(table: Table) -> Table:
    table.add("Rent", Amount(80000), "fixed")
    table.add("Food | drink", Amount(-950), None)
    return table


def columns() -> tuple[Column, ...]:
    return Column("Account"), Column("Amount", "right"), Column("Kind", "center")


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("two words", 5, "two…"),
        ("longer", 1, "…"),
        ("longer", 0, ""),
    ],
)
def test_shortens(text: str, width: int, expected: str) -> None:
    assert shorten(text, width) == expected


def test_shortens_with_another_mark() -> None:
    assert shorten("abcdefgh", 6, "...") == "abc..."
    assert shorten("abcdefgh", 2, "...") == ".."


def test_pads() -> None:
    assert pad("ab", 5) == "ab   "
    assert pad("ab", 5, "right") == "   ab"
    assert pad("ab", 5, "center") == " ab  "
    assert pad("ab", 6, "center") == "  ab  "
    assert pad("abc", 2) == "abc"


def test_wraps_paragraphs_under_their_bullet() -> None:
    text = "one two  three\nfour five"
    assert paragraph(text, width=12, bullet="- ").splitlines() == [
        "- one two",
        "  three four",
        "  five",
    ]
    assert paragraph("word " * 20).splitlines()[0] == ("word " * 14).strip()
    assert paragraph("incomprehensibilities", width=5) == "incomprehensibilities"


def test_refuses_an_unknown_alignment() -> None:
    with pytest.raises(LedgerError, match="unknown alignment: 'middle'"):
        Column("A", "middle")


def test_refuses_a_row_of_the_wrong_length() -> None:
    table = Table(*columns())
    with pytest.raises(LedgerError, match=r"^2 cells for 3 columns$"):
        table.add("a", "b")
    assert table.rows == []


def test_shows_values_as_text() -> None:
    table = filled(Table(*columns()))
    assert table.rows == [["Rent", "800.00 EUR", "fixed"], ["Food | drink", "-9.50 EUR", ""]]
    assert table.widths() == [12, 10, 5]


def test_renders_aligned_text() -> None:
    assert filled(Table(*columns())).render().splitlines() == [
        "Account           Amount  Kind",
        "------------  ----------  -----",
        "Rent          800.00 EUR  fixed",
        "Food | drink   -9.50 EUR",
    ]


def test_cuts_wide_columns() -> None:
    table = Table(Column("Name", width=6), Column("N"))
    table.add("a long name", 1)
    table.add("b", 22)
    assert table.widths() == [6, 2]
    assert table.render().splitlines() == ["Name    N", "------  --", "a lon…  1", "b       22"]


def test_a_width_is_only_an_upper_bound() -> None:
    table = Table(Column("Id", width=10))
    table.add("abc")
    assert table.widths() == [3]
    assert Table(Column("Title")).widths() == [5]


def test_an_empty_table_has_its_titles() -> None:
    assert Table(*columns()).render() == "Account  Amount  Kind\n-------  ------  ----"


def test_renders_markdown() -> None:
    assert filled(MarkdownTable(*columns())).render().splitlines() == [
        "| Account       |     Amount | Kind  |",
        "| :------------ | ---------: | :---: |",
        "| Rent          | 800.00 EUR | fixed |",
        "| Food \\| drink |  -9.50 EUR |       |",
    ]
