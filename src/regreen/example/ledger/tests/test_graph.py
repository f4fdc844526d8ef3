from fractions import Fraction

import pytest

from ledger import CycleError, LedgerError
from ledger.graph import components, exchange_rate, order, shortest, stages

HOUSE = {
    "roof": ["walls"],
    "walls": ["floor"],
    "paint": ["walls", "roof"],
    "garden": [],
}
ROADS = {"a": ["b", "c"], "b": ["d"], "c": ["e"], "d": ["e", "f"], "e": ["g"], "f": ["g"]}
RATES = {
    ("EUR", "USD"): Fraction(11, 10),
    ("USD", "JPY"): Fraction(150),
    ("CHF", "EUR"): Fraction(21, 20),
    ("XAU", "XAG"): Fraction(80),
}


def test_orders_what_is_needed_first() -> None:
    assert order(HOUSE) == ["floor", "walls", "roof", "paint", "garden"]
    assert order({}) == []


def test_keeps_the_order_of_what_is_free() -> None:
    assert order({"b": [], "a": [], "c": ["a"]}) == ["b", "a", "c"]


def test_names_the_cycle() -> None:
    with pytest.raises(CycleError, match=r"^b -> c -> b$") as caught:
        order({"a": ["b"], "b": ["c"], "c": ["b"]})
    assert caught.value.path == ("b", "c", "b")
    with pytest.raises(CycleError, match=r"^x -> x$"):
        order({"x": ["x"]})


def test_groups_into_stages() -> None:
    assert stages(HOUSE) == [["floor", "garden"], ["walls"], ["roof"], ["paint"]]
    assert stages({"z": [], "y": [], "x": ["z", "y"]}) == [["y", "z"], ["x"]]
    assert stages({}) == []


def test_finds_components_largest_first() -> None:
    links = [("a", "b"), ("x", "y"), ("c", "d"), ("d", "b"), ("m", "m")]
    assert components(links) == [["a", "b", "c", "d"], ["x", "y"], ["m"]]
    assert components([("q", "r"), ("b", "c")]) == [["b", "c"], ["q", "r"]]


def test_finds_the_shortest_way() -> None:
    assert shortest(ROADS, "a", "g") == ["a", "c", "e", "g"]
    assert shortest(ROADS, "b", "f") == ["b", "d", "f"]
    assert shortest(ROADS, "a", "a") == ["a"]


def test_prefers_the_first_of_equal_ways() -> None:
    assert shortest({"s": ["l", "r"], "l": ["t"], "r": ["t"]}, "s", "t") == ["s", "l", "t"]


def test_goes_one_way_only() -> None:
    with pytest.raises(LedgerError, match=r"^no way from g to a$"):
        shortest(ROADS, "g", "a")


def test_a_ring_does_not_trap_the_search() -> None:
    assert shortest({"a": ["b"], "b": ["a", "c"]}, "a", "c") == ["a", "b", "c"]


def test_exchanges_directly_in_both_directions() -> None:
    assert exchange_rate(RATES, "EUR", "USD") == Fraction(11, 10)
    assert exchange_rate(RATES, "USD", "EUR") == Fraction(10, 11)
    assert exchange_rate(RATES, "EUR", "EUR") == 1


def test_exchanges_through_other_currencies() -> None:
    assert exchange_rate(RATES, "EUR", "JPY") == 165
    assert exchange_rate(RATES, "JPY", "CHF") == 1 / (Fraction(21, 20) * 165)


def test_cannot_exchange_what_is_not_connected() -> None:
    with pytest.raises(LedgerError, match="no way from EUR to XAU"):
        exchange_rate(RATES, "EUR", "XAU")
