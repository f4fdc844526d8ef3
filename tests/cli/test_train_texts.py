"""The verb, from a directory to packed rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conftest import write_files

from regreen.cli.main import main
from regreen.store.packed import PackedShards
from regreen.store.texts import read_texts

FILES = {
    "pyproject.toml": '[project]\nname = "tiny"\nlicense = {text = "MIT"}\n',
    "tiny/__init__.py": "from tiny.core import one\n",
    "tiny/core.py": "def one():\n    return 1\n",
    "tests/test_tiny.py": "from tiny import one\n\n\ndef test_one():\n    assert one() == 1\n",
    "vendor/big.js": "x()\n",
}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGREEN_HOME", str(tmp_path / "home"))
    return write_files(tmp_path / "tiny", FILES)


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def test_a_repository_becomes_packed_rows(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "texts.jsonl"
    assert run("train", "texts", source, "-o", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["files"], told["tests"]) == (1, 4, 1)
    assert told["left_out"] == {"vendored": 1}
    (row,) = read_texts(out, lambda *_: None)
    assert row.license == "MIT"
    assert row.text.index("tiny/core.py") < row.text.index("tiny/__init__.py")
    assert run("pack", out, "--tokenizer", "qwen", "--capacity", "512", "-o", tmp_path / "p") == 0
    assert PackedShards(tmp_path / "p").document(0).rollout_id == row.name


@pytest.mark.parametrize("form", ["file", "fim", "search_replace"])
def test_every_form_is_the_same_again_and_can_be_packed(
    source: Path, tmp_path: Path, form: str
) -> None:
    flags = ("--form", form, "--holes", "2", "--chat-share", "0.5", "--no-tests", "--seed", "7")
    for name in ("a", "b"):
        assert run("train", "texts", source, "-o", tmp_path / f"{name}.jsonl", *flags) == 0
    data = (tmp_path / "a.jsonl").read_bytes()
    assert data == (tmp_path / "b.jsonl").read_bytes()
    assert b"test_one" not in data
    assert run("pack", tmp_path / "a.jsonl", "--capacity", "4096", "-o", tmp_path / "p") == 0


def test_bytes_takes_the_special_tokens_by_name(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "texts.jsonl"
    assert run("train", "texts", source, "-o", out) == 0
    assert run("pack", out, "--tokenizer", "bytes", "-o", tmp_path / "p1") == 1
    names = "<|repo_name|>,<|file_sep|>"
    flags = ("--tokenizer", "bytes", "--special", names, "-o", tmp_path / "p2")
    assert run("pack", out, *flags) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("{}", "-o", "t.txt"), 2, ".jsonl"),
        (("{}", "-o", "t.jsonl", "--form", "poem"), 2, "form"),
        (("{}", "-o", "t.jsonl", "--order", "size"), 2, "orders"),
        (("{}", "{}", "-o", "t.jsonl", "--commit", "HEAD"), 2, "--commit"),
        (("{}", "-o", "t.jsonl", "-n", "0"), 2, "-n"),
        (("{}/vendor", "-o", "t.jsonl", "--dry-run"), 0, "nothing was written"),
        (("{}/none", "-o", "t.jsonl"), 2, "no such directory"),
    ],
)
def test_what_cannot_be_used_is_said(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("train", "texts", *(word.format(source) for word in arguments)) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "t.jsonl").exists()


def test_a_tree_without_source_files(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path / "data", {"a.csv": "1\n", "b.csv": "2\n"})
    assert run("train", "texts", tmp_path / "data", "-o", tmp_path / "t.jsonl") == 1
    assert "of no known language 2" in capsys.readouterr().err
