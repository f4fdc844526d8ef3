"""The edit of a sample, applied to what was shown, gives the file back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packing.corpus import write_jsonl
from tests.train.data.sources import FILES, PYTHON, SOURCE, file

from regreen.packing.rendering import Made, Rendering
from regreen.packing.settings import PackConfig
from regreen.packing.vocabulary import open_vocabulary, record_vocabulary
from regreen.store.packed_header import LOSS
from regreen.store.trajectory_sets import read_trajectories
from regreen.train.data.files import SourceFile
from regreen.train.data.holes import Hole, holes
from regreen.train.data.search_replace import MARK, apply, infilling, search_replace_rows
from regreen.train.data.settings import TextsConfig


@settings(max_examples=150)
@given(FILES, st.integers(0, 12), st.integers(0, 99))
def test_the_edit_gives_the_file_back(one: SourceFile, region: int, seed: int) -> None:
    for hole in holes(one, str(seed), TextsConfig(holes=3)):
        made = infilling(one, hole, region)
        if isinstance(made, str):
            assert "=======" in one.text
            continue
        assert apply(made.shown, made.answer) == one.text
        assert made.shown.count(MARK) == 1
        search = made.answer.split("\n=======\n")[0].removeprefix("<<<<<<< SEARCH\n")
        lines = made.shown.split("\n")
        assert search.split("\n") == lines[made.first - 1 : made.last]
        at = next(number for number, line in enumerate(lines) if MARK in line)
        assert made.first - 1 == max(0, at - region)
        assert made.last == min(len(lines), at + region + 1)


def test_the_comment_is_of_the_language() -> None:
    hole = Hole(0, 1, "characters")
    for path, comment in (
        ("a.c", f"/* {MARK} */"),
        ("a.py", f"# {MARK}"),
        ("a.md", f"<!-- {MARK} -->"),
    ):
        made = infilling(file(path, "xy\n"), hole, 10)
        assert not isinstance(made, str)
        assert made.shown == f"{comment}y\n"


@pytest.mark.parametrize("mark", ["<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"])
def test_marks_near_the_hole_are_refused_and_far_ones_are_not(mark: str) -> None:
    text = f"a\n{mark}\n" + "b\n" * 5
    near, far = Hole(0, 1, "characters"), Hole(len(text) - 2, len(text) - 1, "characters")
    inside = Hole(0, len(text), "characters")
    assert isinstance(infilling(file("a.py", text), near, 2), str)
    assert isinstance(infilling(file("a.py", text), inside, 2), str)
    assert not isinstance(infilling(file("a.py", text), far, 2), str)
    assert isinstance(infilling(file("a.py", f"# {MARK}\n"), near, 2), str)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I would write b.",
        "<<<<<<< SEARCH\nmissing\n=======\nb\n>>>>>>> REPLACE",
        "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE",
        "<<<<<<< SEARCH\nc\n=======\nb\n>>>>>>> REPLACE\nDone.",
    ],
)
def test_an_answer_that_is_no_edit_is_not_applied(answer: str) -> None:
    assert apply("a\nc\na\n", answer) is None


def test_rows_are_chats_that_pack_renders(tmp_path: Path) -> None:
    left_out = Counter[str]()
    config = TextsConfig(form="search_replace", holes=3)
    files = [file("a.py", PYTHON), file("b.rst", "x\n=======\n")]
    rows = list(search_replace_rows(files, SOURCE, config, left_out))
    assert len(rows) + sum(left_out.values()) > 3
    assert left_out
    assert rows[0]["license"] == "MIT"
    source = write_jsonl(tmp_path / "rows.jsonl", rows)
    trajectories = list(read_trajectories(source, spare_columns=True))
    vocabulary = record_vocabulary("qwen", ["hermes"], "")
    rendering = Rendering(
        config=PackConfig(tokenizer="qwen", tool_format="hermes"), vocabulary=vocabulary
    )
    tokenizer = open_vocabulary("qwen", vocabulary)
    for row, trajectory in zip(rows, trajectories, strict=True):
        made = rendering(trajectory)
        assert isinstance(made, Made)
        (document,) = made.documents
        trained = document.tokens[document.labels >= LOSS].tolist()
        assert tokenizer.decode(trained) == row["messages"][2]["content"] + "<|im_end|>"
