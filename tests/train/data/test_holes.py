"""Holes are slices of the file, along its syntax where there is one."""

from __future__ import annotations

import ast

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.train.data.sources import FILES, PYTHON, file

from regreen.train.data.files import SourceFile
from regreen.train.data.holes import holes
from regreen.train.data.settings import TextsConfig


@settings(max_examples=100)
@given(FILES, st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 40))
def test_holes_are_inside_distinct_and_drawn_alike(
    one: SourceFile, share: float, most: int
) -> None:
    config = TextsConfig(holes=5, syntax_share=share, middle_characters=most)
    found = holes(one, "seed", config)
    assert found
    assert found == holes(one, "seed", config)
    assert len({(hole.start, hole.end) for hole in found}) == len(found) <= 5
    for hole in found:
        assert 0 <= hole.start < hole.end <= len(one.text)
        assert hole.end - hole.start <= most
        if hole.kind == "lines":
            assert hole.start == 0 or one.text[hole.start - 1] in "\r\n"
            assert hole.end == len(one.text) or one.text[hole.end - 1] in "\r\n"


def test_python_is_cut_along_its_tree() -> None:
    config = TextsConfig(holes=200, syntax_share=1.0)
    found = holes(file("a.py", PYTHON), "s", config)
    assert {hole.kind for hole in found} == {"function", "statement"}
    middles = {PYTHON[hole.start : hole.end] for hole in found}
    assert {'name = "wörld"', "other = 1", "return Greeter().greet(2)"} <= middles
    assert any(middle.startswith('"""Say it."""\n        if times') for middle in middles)
    for hole in found:
        if hole.kind == "statement":
            ast.parse(PYTHON[: hole.start] + "pass" + PYTHON[hole.end :])


def test_what_cannot_be_parsed_is_cut_by_lines() -> None:
    for one in (file("a.py", "def f(:\n  x\n"), file("a.js", "f()\ng()\n")):
        found = holes(one, "s", TextsConfig(holes=20, syntax_share=1.0))
        assert {hole.kind for hole in found} == {"lines"}
        assert {one.text[hole.start : hole.end] for hole in found} == {
            one.text,
            *one.text.splitlines(keepends=True),
        }


def test_shares_are_kept() -> None:
    kinds = [
        hole.kind
        for seed in range(400)
        for hole in holes(file("a.py", PYTHON), str(seed), TextsConfig(syntax_share=0.25))
    ]
    assert 0.65 < kinds.count("characters") / len(kinds) < 0.85


def test_the_text_of_a_licence_has_no_holes() -> None:
    text = "Permission is hereby granted\nfree of charge\n"
    for path in ("LICENSE", "COPYING", "lib/licence.txt", "License.md"):
        assert not holes(file(path, text), "s", TextsConfig())
    for path in ("README", "license.py", "notes.txt", "license_server.md"):
        assert holes(file(path, text), "s", TextsConfig())
