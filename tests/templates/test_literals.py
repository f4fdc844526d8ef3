"""Lenient literals to strict JSON: round trips, every split, every cut, and garbage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.templates.calls.literals import DEEPEST, Dialect, skip, strict, unwrapped, value
from regreen.templates.source import Source

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.lists(
        st.sampled_from(["'", '"', "\\", "\n", "\t", "{", "]", ",", "u00", "x", "é", "\U0001f600"]),
        max_size=8,
    ).map("".join),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
MARKS = """{ } [ ] ( ) , : ' " \"\"\" \\ \\u \\x4 \\N{ r' 1 - 0x 1_0 . e True null NaN f é a"""
GARBAGE = st.lists(st.sampled_from([*MARKS.split(), " ", "\n", "\0"]), max_size=14).map("".join)
FINITE = settings(deadline=None, max_examples=150)


def read(
    pieces: list[str], dialect: Dialect, *, faults: list[str] | None = None
) -> tuple[bool, str, str]:
    """Whether a value was read from pieces of text, its JSON, and what is left."""
    source, got = Source(), list[str]()
    note = None if faults is None else faults.append
    steps = value(source, got.append, dialect=dialect, fault=note)
    try:
        for piece in pieces:
            source.feed(piece)
            next(steps)
        source.end()
        next(steps)
    except StopIteration as stop:
        rest = "".join(pieces)
        return stop.value, "".join(got), source.text if stop.value else rest
    raise AssertionError("the reader waits at the end of the text")


def load(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no strict JSON")

    return json.loads(text, parse_constant=refuse)


@FINITE
@given(VALUES, st.sampled_from([None, 0, 3]), st.booleans())
def test_json_in_any_style_is_read(x: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(x, indent=indent, ensure_ascii=ascii_only)
    found = strict(text)
    assert found is not None
    assert load(found) == x


@FINITE
@given(VALUES)
def test_python_literals_are_read(x: Any) -> None:
    text = repr(x)
    # in double quotes the JSON dialect takes escapes as JSON means them
    dialects: list[Dialect] = ["python"] if '"' in text else ["python", "json"]
    for dialect in dialects:
        found = strict(text, dialect=dialect)
        assert found is not None
        assert load(found) == x


@FINITE
@given(st.one_of(VALUES.map(json.dumps), VALUES.map(repr), GARBAGE), st.sampled_from([1, 2, 5]))
def test_no_split_changes_what_is_read(text: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    for dialect in ("json", "python"):
        whole, cut = list[str](), list[str]()
        one = read([text] if text else [], dialect, faults=whole)
        many = read(pieces, dialect, faults=cut)
        assert one[:2] == many[:2]
        assert whole == cut


@FINITE
@given(st.one_of(VALUES.map(json.dumps), VALUES.map(repr)).filter(lambda text: text[0] in "[{'\""))
def test_a_cut_value_is_not_read_and_gives_a_prefix(text: str) -> None:
    for dialect in ("json", "python"):
        full = strict(text, dialect=dialect)
        assert full is not None
        for end in range(len(text)):
            done, got, _ = read([text[:end]] if end else [], dialect)
            assert not done or (dialect == "python" and text[:end] in {"''", '""'})
            assert full.startswith(got)
            assert got != full or done


@FINITE
@given(GARBAGE)
def test_garbage_never_raises_and_gives_no_bad_json(text: str) -> None:
    for dialect in ("json", "python"):
        done, got, _ = read([text] if text else [], dialect)
        if done:
            load(got)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (r'"a\'b\d\x41"', r"a'b\d\x41"),
        ('"a\nb\x01"', "a\nb\x01"),
        ("{'a': True, b: None,}", {"a": True, "b": None}),
        ("[01, +5, .5, 5., 0x1F, 1_000]", [1, 5, 0.5, 5.0, 31, 1000]),
        ("[NaN, -Infinity, undefined]", ["NaN", "-Infinity", None]),
        ("(1, 2)", [1, 2]),
    ],
)
def test_json_is_mended_and_the_mending_reported(text: str, want: Any) -> None:
    faults: list[str] = []
    done, got, rest = read([text], "json", faults=faults)
    assert (done, load(got), rest) == (True, want, "")
    assert faults
    assert len(set(faults)) == len(faults)


def test_lone_surrogates_stay_escapes() -> None:
    assert strict('"\\ud800 \ud800"') == '"\\ud800 \\ud800"'


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (r"'\x41\101\N{BULLET}\U0001F600\a\q'", "AA\u2022\U0001f600\a\\q"),
        (r"r'\d\'' ", "\\d\\'"),
        ("'''it's \"\"\"\n'''", 'it\'s """\n'),
        ('"""a""b"""', 'a""b'),
        ("'a' \"b\"\n r'\\c'", "ab\\c"),
        ("('a'\n 'b')", "ab"),
        ("((1,), (), (2), [3,])", [[1], [], 2, [3]]),
        ("'a\\\nb'", "ab"),
        ("{1: 'x', True: 'y'}", {"1": "x", "true": "y"}),
        ("[.5, 5., +5, 0x1f, 1_000]", [0.5, 5.0, 5, 31, 1000]),
    ],
)
def test_python_is_read_as_python_means_it(text: str, want: Any) -> None:
    found = strict(text, dialect="python")
    assert found is not None
    assert load(found) == want


def test_well_formed_text_has_no_faults() -> None:
    faults: list[str] = []
    read([r'{"a": [1, -2.5e3, true, null, "\"\u00e9\/"]}'], "json", faults=faults)
    read(["{'a': (1, .5, True, None, r'\\d', 'x' 'y'), }"], "python", faults=faults)
    assert faults == []


@pytest.mark.parametrize(
    "text", ["", "]", "[1 2]", "[1,,2]", '{"a" 1}', "{1}", "hello", "[1}", "[f(x)]", '{"a": }']
)
def test_what_is_not_clear_is_refused(text: str) -> None:
    for dialect in ("json", "python"):
        assert strict(text, dialect=dialect) is None


def test_a_value_ends_where_it_ends() -> None:
    assert read(['{"a": 1}</tool_call>'], "json") == (True, '{"a": 1}', "</tool_call>")
    assert read(["'a' , b=2)"], "python") == (True, '"a"', " , b=2)")
    assert read(["12)"], "python") == (True, "12", ")")


def test_strings_come_piece_by_piece() -> None:
    source, got = Source(), list[str]()
    steps = value(source, got.append)
    for piece in ('{"a": "x', "y\\", "u00", "e9z"):
        source.feed(piece)
        next(steps)
    assert got == ['{"a": "x', "y", "\\u00e9z"]
    assert source.text == ""


def test_depth_is_limited() -> None:
    assert strict("[" * DEEPEST + "]" * DEEPEST) is not None
    assert strict("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)) is None
    assert strict("(" * 100_000, dialect="python") is None


def test_digits_beyond_what_python_reads_are_refused() -> None:
    assert strict("9" * 4300) == "9" * 4300
    assert strict("-" + "9" * 4301) is None
    assert strict("0x" + "f" * 4000) is None


def test_skip_looks_and_leaves_the_text() -> None:
    source = Source()
    source.text = "f( 'a)' , 2)"
    source.end()
    with pytest.raises(StopIteration) as stop:
        next(skip(source, 2, dialect="python"))
    assert (stop.value.value, source.text) == (7, "f( 'a)' , 2)")


def test_an_object_in_a_string_is_unwrapped() -> None:
    assert unwrapped(json.dumps(json.dumps({"a": "b\n"}))) == '{"a": "b\\n"}'
    assert unwrapped('{"a": 1}') is None
    assert unwrapped('"text"') is None
    assert unwrapped('"[1]"') is None
