"""A repository as one text: nothing lost, specials where they belong, parts that name the files."""

from __future__ import annotations

import pytest
from tests.train.data.sources import PYTHON, SOURCE, file

from regreen.packing.text_tokens import text_tokens
from regreen.store.texts import TextRow
from regreen.templates.tokens.tokenizers import JsonTokenizer, qwen_vocabulary
from regreen.train.data.repository_text import file_rows, repository_rows
from regreen.train.data.settings import TextsConfig

FILES = (
    file("a.py", "import z\n"),
    file("b.md", "no line end, and <|file_sep|> as text"),
    file("z.py", PYTHON),
)


def rows(**given: object) -> list[TextRow]:
    return list(repository_rows(FILES, SOURCE, TextsConfig.model_validate(given)))


def shown(row: TextRow) -> dict[str, str]:
    return {part.origin: row.text[part.start : part.end] for part in row.parts}


def test_the_joined_text() -> None:
    (row,) = rows()
    assert row.text == (
        "<|repo_name|>owner/name\n"
        f"<|file_sep|>z.py\n{PYTHON}"
        "<|file_sep|>a.py\nimport z\n"
        "<|file_sep|>b.md\nno line end, and <|file_sep|> as text\n"
    )
    assert shown(row) == {f"owner/name:{one.path}": one.text for one in FILES}
    assert (row.license, row.repo, row.commit) == ("MIT", "owner/name", "0123456789abcdef")
    assert not row.masked


def test_only_the_joints_are_special_tokens() -> None:
    tokenizer = JsonTokenizer(qwen_vocabulary())
    (row,) = rows()
    ids, trained = text_tokens(row, tokenizer)
    assert ids.tolist().count(tokenizer.specials["<|file_sep|>"]) == 3
    assert ids[0] == tokenizer.specials["<|repo_name|>"]
    assert tokenizer.decode(ids.tolist()) == row.text
    assert trained.all()


def test_a_document_for_each_order_and_layout() -> None:
    made = rows(orders=("path", "random", "dependency"), layouts=("plain", "listing"), seed=3)
    assert len({row.name for row in made}) == 6
    assert all(shown(row) == shown(made[0]) for row in made)
    assert made[1].text.startswith("<|repo_name|>owner/name\na.py\nb.md\nz.py\n<|file_sep|>a.py\n")
    assert made == rows(
        orders=("path", "random", "dependency"), layouts=("plain", "listing"), seed=3
    )
    orders = {rows(orders=("random",), seed=seed)[0].text for seed in range(20)}
    assert len(orders) == 6


@pytest.mark.parametrize("most", [1, 50, 10_000])
def test_a_long_repository_is_divided_between_files(most: int) -> None:
    made = rows(document_characters=most)
    assert all(row.text.startswith("<|repo_name|>owner/name\n<|file_sep|>") for row in made)
    assert [origin for row in made for origin in shown(row)] == [
        "owner/name:z.py",
        "owner/name:a.py",
        "owner/name:b.md",
    ]
    for row in made:
        assert len(row.parts) == 1 or sum(len(text) for text in shown(row).values()) <= most


def test_a_file_alone() -> None:
    made = list(file_rows(FILES, SOURCE))
    assert [row.text for row in made] == [one.text for one in FILES]
    assert [row.parts[0].origin for row in made] == [f"owner/name:{one.path}" for one in FILES]
