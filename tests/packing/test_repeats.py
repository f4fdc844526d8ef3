"""What many places hold is found, and nothing else is."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from regreen.cli.main import main
from regreen.packing.repeats import Repeats, find_repeats, measure_repeats
from regreen.packing.settings import PackConfig
from regreen.store.packed import PackedShards
from regreen.store.packed_header import LOSS, ROLES
from regreen.store.texts import TextPart, TextRow

LICENCE = """\
# Copyright (c) {year} The authors of this example, all rights reserved.
#
# Licensed under the Example License: you may copy, change and sell this file
# as long as these lines stay where they are.
"""


def unique(number: int) -> str:
    return "".join(f"def f{number}_{k}(x):\n    return x * {number} + {k}\n\n" for k in range(4))


def corpus(count: int, *, years: bool = True) -> list[TextRow]:
    return [
        TextRow(name=str(n), text=LICENCE.format(year=f"20{10 + n}" if years else n) + unique(n))
        for n in range(count)
    ]


def find(rows: list[TextRow], places: int = 5, characters: int = 100) -> Repeats:
    return find_repeats(lambda: rows, places=places, characters=characters)


def test_a_licence_header_is_found_whatever_its_year() -> None:
    rows = corpus(8)
    found = find(rows)
    for row in rows:
        ((start, end),) = found.stretches(row)
        assert row.text[start:end] == LICENCE.format(year=f"20{10 + int(row.name)}")


def test_another_difference_than_the_year_is_a_difference() -> None:
    rows = [
        TextRow(name=str(n), text=f"# written by author number {n * 7919}, who keeps all rights\n")
        for n in range(8)
    ]
    assert not len(find(rows, characters=30).hashes)


def test_one_place_fewer_than_asked_is_not_repeated() -> None:
    assert find(corpus(5)).stretches(corpus(5)[0])
    assert not find(corpus(4)).stretches(corpus(4)[0])


def test_copies_and_cuts_of_one_place_count_once() -> None:
    text = LICENCE.format(year=2020) + unique(1)
    assert not len(find([TextRow(name=str(n), text=text) for n in range(9)]).hashes)

    def cut(at: int) -> TextRow:
        swapped = text[at:] + text[:at]
        parts = (
            TextPart(start=0, end=len(text) - at, origin="r:a.py"),
            TextPart(start=len(text) - at, end=len(text), origin="r:a.py"),
        )
        return TextRow(name=str(at), text=swapped, parts=parts)

    assert not len(find([cut(10 * n + 5) for n in range(12)]).hashes)


def test_files_of_one_repository_document_are_places_of_their_own() -> None:
    texts = [row.text for row in corpus(6)]
    parts, at = [], 0
    for number, text in enumerate(texts):
        parts.append(TextPart(start=at, end=at + len(text), origin=f"r:{number}.py"))
        at += len(text)
    row = TextRow(name="r", text="".join(texts), parts=tuple(parts))
    found = find([row]).stretches(row)
    assert len(found) == 6
    assert all("Example License" in row.text[start:end] for start, end in found)


LINES = st.lists(st.sampled_from(["a = 1", "bb = 2", "ccc", "", "  dd", "e\r", "é"]), max_size=12)


@settings(max_examples=60)
@given(st.lists(LINES, min_size=1, max_size=6), st.integers(2, 3), st.integers(1, 12))
def test_what_is_masked_stands_in_as_many_texts(
    documents: list[list[str]], places: int, characters: int
) -> None:
    """Against the definition, spelled out slowly: runs of lines, counted by distinct texts."""
    rows = [TextRow(name=str(n), text="\n".join(lines)) for n, lines in enumerate(documents)]
    runs: Counter[tuple[str, ...]] = Counter()
    for text in {row.text for row in rows}:
        runs.update(set(_runs(text, characters).values()))
    found = find(rows, places, characters)
    for row in rows:
        wanted: set[int] = set()
        for (first, last), run in _runs(row.text, characters).items():
            if runs[run] >= places:
                wanted |= set(range(first, last + 1))
        masked = {place for start, end in found.stretches(row) for place in range(start, end)}
        at, got = 0, set()
        for number, line in enumerate(row.text.split("\n")):
            if line.strip() and at in masked:
                got.add(number)
            at += len(line) + 1
        assert got == {number for number in wanted if row.text.split("\n")[number].strip()}


def _runs(text: str, least: int) -> dict[tuple[int, int], tuple[str, ...]]:
    """Every run that is long enough and would not be without its first or without its last line."""
    said = [(n, "".join(line.split())) for n, line in enumerate(text.split("\n")) if line.strip()]
    found = {}
    for begin in range(len(said)):
        for end in range(begin + 1, len(said) + 1):
            sizes = [len(line) for _, line in said[begin:end]]
            if sum(sizes) >= least > sum(sizes) - max(sizes[0], sizes[-1]):
                run = tuple(line for _, line in said[begin:end])
                found[said[begin][0], said[end - 1][0]] = run
    return found


@settings(max_examples=60)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 40))
def test_a_copied_block_is_masked_to_its_last_line(sizes: list[int], characters: int) -> None:
    block = "".join("abcdefgh"[place] * size + "\n" for place, size in enumerate(sizes))
    rows = [TextRow(name=str(n), text=f"before{n}\n{block}{n}{n}\n") for n in range(3)]
    found = find(rows, 3, characters).stretches(rows[0])
    if sum(sizes) >= characters:
        assert [rows[0].text[start:end] for start, end in found] == [block]
    else:
        assert not found


def test_the_measure_names_the_stretches() -> None:
    rows = corpus(8, years=False)
    told = measure_repeats(rows, find(rows)).told()
    size = sum(len(row.text) for row in rows)
    assert told["characters"] == size
    assert told["stretches"] == 8
    assert 0 < told["share"] < 0.7
    assert told["top"][0]["times"] >= 1


def test_the_verb_masks_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "texts.jsonl"
    rows = corpus(8)
    source.write_text("".join(json.dumps({"text": row.text}) + "\n" for row in rows))
    out = tmp_path / "out"
    flags = ("--tokenizer", "bytes", "--capacity", "4096", "--mask-repeats", "8")
    with pytest.raises(SystemExit) as stop:
        main(["pack", str(source), *flags, "-o", str(out)])
    assert not stop.value.code
    told = capsys.readouterr().out
    assert "Repeated text" in told
    assert "8 times" in told
    trained = bytearray()
    for row in PackedShards(out):
        assert not (row.weights[~row.loss_mask] > 0).any()
        known = (row.tokens < 256) & row.loss_mask
        trained += bytes(row.tokens[known].tolist())
        context = row.tokens[(row.labels == ROLES.index("context")) & (row.tokens < 256)]
        assert bytes(context.tolist()).count(b"Example License") == len(row.borders) - 1
    wanted = Counter("".join(unique(int(row.name)) for row in rows))
    assert Counter(trained.decode()) == wanted
    assert (LOSS & ROLES.index("context")) == 0


@pytest.mark.parametrize(("places", "fine"), [(0, True), (1, False), (2, True)])
def test_one_place_is_no_repetition(places: int, fine: bool) -> None:
    with nullcontext() if fine else pytest.raises(ValidationError, match="2 or more"):
        PackConfig(mask_repeats=places)
