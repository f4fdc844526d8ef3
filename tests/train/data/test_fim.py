"""Prefix, suffix, middle: the file byte for byte, and the loss on the middle and its end alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.train.data.sources import FILES, PYTHON, SOURCE, file

from regreen.packing.rendering import Made, Rendering
from regreen.packing.settings import PackConfig
from regreen.packing.vocabulary import open_vocabulary, record_vocabulary
from regreen.store.packed_header import LOSS, ROLES
from regreen.train.data.files import SourceFile
from regreen.train.data.fim import chat_row, fim_rows, prefix_first, suffix_first
from regreen.train.data.holes import Hole
from regreen.train.data.settings import TextsConfig

SPECIALS = tuple(f"<|fim_{name}|>" for name in ("prefix", "suffix", "middle"))
FORMS = {"psm": prefix_first, "spm": suffix_first, "chat": chat_row}
RENDERINGS = {
    name: Rendering(
        config=PackConfig(tokenizer=name),
        vocabulary=record_vocabulary(name, ["qwen3_coder"], "<|endoftext|>", SPECIALS),
    )
    for name in ("bytes", "qwen")
}


@settings(max_examples=60)
@given(FILES, st.data(), st.sampled_from(sorted(FORMS)))
def test_the_parts_are_the_file_and_the_loss_is_the_middle(
    one: SourceFile, data: st.DataObject, form: str
) -> None:
    start = data.draw(st.integers(0, len(one.text) - 1))
    hole = Hole(start, data.draw(st.integers(start + 1, len(one.text))), "characters")
    row = FORMS[form]("n", one, hole, SOURCE)
    middle = one.text[hole.start : hole.end]
    prefix, suffix = one.text[: hole.start], one.text[hole.end :]
    said = {"psm": [prefix, suffix, middle], "spm": [suffix, prefix, middle]}
    texts = [row.text[part.start : part.end] for part in row.parts]
    assert texts == [text for text in said.get(form, said["psm"]) if text]
    for name, rendering in RENDERINGS.items():
        made = rendering(row)
        assert isinstance(made, Made)
        (document,) = made.documents
        tokenizer = open_vocabulary(name, rendering.vocabulary)
        trained = document.tokens[document.labels >= LOSS].tolist()
        end = tokenizer.specials["<|im_end|>" if form == "chat" else "<|endoftext|>"]
        assert trained[-1] == end
        assert tokenizer.decode(trained[:-1]) == middle
        assert document.tokens.tolist().count(tokenizer.specials["<|fim_middle|>"]) == 1
        untrained = document.labels[document.labels < LOSS]
        assert (untrained == ROLES.index("context")).all()


def test_the_three_forms_spelled_out() -> None:
    one, hole = file("a.py", "one two three"), Hole(4, 7, "characters")
    assert prefix_first("n", one, hole, SOURCE).text == (
        "<|fim_prefix|>one <|fim_suffix|> three<|fim_middle|>two"
    )
    assert suffix_first("n", one, hole, SOURCE).text == (
        "<|fim_prefix|><|fim_suffix|> three<|fim_middle|>one two"
    )
    assert chat_row("n", one, hole, SOURCE).text == (
        "<|im_start|>system\nYou are a code completion assistant.<|im_end|>\n"
        "<|im_start|>user\n<|fim_prefix|>one <|fim_suffix|> three<|fim_middle|><|im_end|>\n"
        "<|im_start|>assistant\ntwo<|im_end|>"
    )


@pytest.mark.parametrize(
    ("given", "forms"),
    [
        ({"chat_share": 1.0}, {"chat"}),
        ({"suffix_first_share": 1.0}, {"spm"}),
        ({"suffix_first_share": 0.0}, {"psm"}),
        ({"chat_share": 0.3}, {"chat", "spm", "psm"}),
    ],
)
def test_shares_of_the_forms(given: dict[str, float], forms: set[str]) -> None:
    files = [file(f"f{number}.py", PYTHON) for number in range(60)]
    rows = list(fim_rows(files, SOURCE, TextsConfig(form="fim", **given)))  # type: ignore[arg-type]
    assert {row.name.split("#")[1].split("-")[0] for row in rows} == forms
    assert len({row.name for row in rows}) == 60


def test_a_vocabulary_without_the_tokens_refuses_with_a_reason() -> None:
    rendering = Rendering(
        config=PackConfig(tokenizer="bytes"), vocabulary=record_vocabulary("bytes", [], "")
    )
    row = prefix_first("n", file("a.py", "ab"), Hole(0, 1, "characters"), SOURCE)
    refused = rendering(row)
    assert not isinstance(refused, Made)
    assert "lacks a special token" in refused.reason


def test_a_question_is_not_cut_from_its_answer() -> None:
    config = PackConfig(tokenizer="bytes", capacity=32)
    vocabulary = record_vocabulary("bytes", [], "", SPECIALS)
    rendering = Rendering(config=config, vocabulary=vocabulary)
    for size, whole in ((32, True), (33, False)):
        one = file("a.py", "x" * (size - 3))
        made = rendering(prefix_first("n", one, Hole(0, 1, "characters"), SOURCE))
        assert isinstance(made, Made) is whole
