"""Ids mean the same in the rows and in the model, or nothing is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.train.sft_sets import conversations, pack_rows, packed
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from regreen.core.errors import UsageError
from regreen.store.packed import PackedShards
from regreen.store.packed_header import PackedHeader
from regreen.templates import ByteTokenizer, JsonTokenizer
from regreen.train.vocabulary import (
    TOKENIZER,
    VOCABULARY,
    check_vocabulary,
    checkpoint_tokenizer,
    companions,
    one_vocabulary,
)

SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]


def tokenizer_file(path: Path, size: int = 300) -> Path:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(["find the fault and mend the file"] * 9, trainer)
    made.save(str(path))
    return path


def header(path: Path) -> PackedHeader:
    return PackedShards(path).header


def beside(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_file_stands_beside_the_checkpoint_and_is_compared(tmp_path: Path) -> None:
    file = tokenizer_file(tmp_path / "small.json")
    rows = [{"messages": messages} for messages in conversations(2)]
    one = header(pack_rows(tmp_path / "one", rows, tokenizer=str(file)))
    files = companions(one.vocabulary, [one], None)
    assert files[TOKENIZER] == file.read_bytes()
    folder = beside(tmp_path / "checkpoint", files)
    assert isinstance(checkpoint_tokenizer(folder), JsonTokenizer)
    size = one.vocabulary.size
    assert check_vocabulary(one.vocabulary, folder, size, packed="one") == ""
    assert check_vocabulary(one.vocabulary, None, size, packed="one") == ""

    file.unlink()  # the copy beside the checkpoint serves as well
    assert companions(one.vocabulary, [one], folder) == files
    with pytest.raises(UsageError, match="nowhere"):
        companions(one.vocabulary, [one], None)

    other = tokenizer_file(tmp_path / "other.json", size=262)
    two = header(pack_rows(tmp_path / "two", rows, tokenizer=str(other)))
    with pytest.raises(UsageError, match="another vocabulary than"):
        check_vocabulary(two.vocabulary, folder, size, packed="two")
    (folder / VOCABULARY).unlink()
    with pytest.raises(UsageError, match=TOKENIZER) as found:
        check_vocabulary(two.vocabulary, folder, size, packed="two")
    assert str(folder / TOKENIZER) in found.value.mend
    assert check_vocabulary(one.vocabulary, folder, size, packed="one") == ""
    with pytest.raises(UsageError, match="another vocabulary than one"):
        one_vocabulary({"one": one, "two": two})
    (folder / TOKENIZER).unlink()
    assert "only its size" in check_vocabulary(two.vocabulary, folder, size, packed="two")
    with pytest.raises(UsageError, match="the model knows 261"):
        check_vocabulary(two.vocabulary, folder, 261, packed="two")
    with pytest.raises(UsageError, match="no tokenizer"):
        checkpoint_tokenizer(folder)


def test_bytes_are_their_record_and_may_go_on(tmp_path: Path) -> None:
    one = header(packed(tmp_path / "one", 1))
    folder = beside(tmp_path / "checkpoint", companions(one.vocabulary, [one], None))
    found = checkpoint_tokenizer(folder)
    assert isinstance(found, ByteTokenizer)
    assert tuple(found.specials) == one.vocabulary.specials

    more = one.vocabulary.model_copy(
        update={"specials": (*one.vocabulary.specials, "<x>"), "size": 260, "digest": "d"}
    )
    larger = one.model_copy(update={"vocabulary": more})
    assert one_vocabulary({"one": one, "larger": larger}) == more
    assert one_vocabulary({"larger": larger, "one": one}) == more
    with pytest.raises(UsageError, match="another vocabulary"):
        check_vocabulary(more, folder, 300, packed="larger")
    (folder / VOCABULARY).write_text(json.dumps(more.model_dump()))
    assert check_vocabulary(one.vocabulary, folder, 300, packed="one") == ""
    (folder / VOCABULARY).write_text("{}")
    with pytest.raises(UsageError, match="no record"):
        check_vocabulary(one.vocabulary, folder, 300, packed="one")
