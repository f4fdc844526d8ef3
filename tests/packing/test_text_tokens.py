"""A text row to tokens: special where the row says so, loss where nothing masks it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.packing.text_tokens import text_tokens
from regreen.store.texts import TextRow
from regreen.templates.conversion.steps import Unconvertible
from regreen.templates.tokens.byte_tokenizer import ByteTokenizer
from regreen.templates.tokens.tokenizers import JsonTokenizer, qwen_vocabulary

MARK = "<|fim_prefix|>"
BYTES = ByteTokenizer([MARK])
QWEN = JsonTokenizer(qwen_vocabulary())


@pytest.mark.parametrize("tokenizer", [BYTES, QWEN], ids=["bytes", "qwen"])
def test_only_the_named_place_is_special(tokenizer: JsonTokenizer | ByteTokenizer) -> None:
    row = TextRow(name="t", text=MARK + "x" + MARK, specials=((0, len(MARK)),))
    ids, _ = text_tokens(row, tokenizer)
    mark = tokenizer.specials[MARK]
    assert ids.tolist().count(mark) == 1
    assert ids[0] == mark
    assert tokenizer.decode(ids.tolist()) == row.text


def test_a_vocabulary_without_the_token_refuses_the_row() -> None:
    row = TextRow(name="t", text="<|other|>", specials=((0, 9),))
    with pytest.raises(Unconvertible, match="lacks a special token"):
        text_tokens(row, BYTES)


PIECES = st.lists(st.tuples(st.text("ab \né🎈", min_size=1, max_size=9), st.booleans()), min_size=1)


@settings(max_examples=60)
@given(PIECES)
def test_the_loss_falls_on_what_is_not_masked(pieces: list[tuple[str, bool]]) -> None:
    text, masked, wanted = "", [], ""
    for said, hidden in pieces:
        if hidden:
            masked.append((len(text), len(text) + len(said)))
        else:
            wanted += said
        text += said
    row = TextRow(name="t", text=text, masked=tuple(masked))
    for tokenizer in (BYTES, QWEN):
        ids, trained = text_tokens(row, tokenizer)
        assert tokenizer.decode(ids.tolist()) == text
        assert tokenizer.decode(ids[trained].tolist()) == wanted


def test_repeated_stretches_leave_the_encoding_as_it_is() -> None:
    row = TextRow(name="t", text="alpha beta\ngamma delta\n")
    plain, whole = text_tokens(row, QWEN)
    ids, trained = text_tokens(row, QWEN, [(0, 11)])
    assert ids.tolist() == plain.tolist()
    assert whole.all()
    assert QWEN.decode(ids[trained].tolist()) == "gamma delta\n"
