"""A repository as one text: its files joined by the vocabulary's own special tokens.

The tokens and their places are those of Qwen2.5-Coder (arXiv 2409.12186, section 3.2):
``<|repo_name|>NAME``, then ``<|file_sep|>PATH`` and the content for each file. A document that
would be too long is divided between files, and every part begins with the repository's name.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from regreen.store.texts import TextRow
from regreen.train.data.dependency import by_dependency
from regreen.train.data.files import SourceFile
from regreen.train.data.joined import Piece, Source, joined
from regreen.train.data.settings import Layout, Order, TextsConfig

__all__ = ["FILE_SEP", "REPO_NAME", "file_rows", "in_order", "repository_rows"]

REPO_NAME, FILE_SEP = "<|repo_name|>", "<|file_sep|>"


def repository_rows(
    files: Sequence[SourceFile], source: Source, config: TextsConfig
) -> Iterator[TextRow]:
    """The documents of a repository, one for each order and layout, and for each part of one."""
    for order in config.orders:
        rows = in_order(files, order, f"{config.seed}:{source.repo}")
        for layout in config.layouts:
            for number, part in enumerate(_parts(rows, config.document_characters)):
                name = f"{source.repo}@{source.commit[:10]}#{order}-{layout}-{number}"
                yield joined(name, source, _pieces(part, source, layout))


def file_rows(files: Sequence[SourceFile], source: Source) -> Iterator[TextRow]:
    """Every file as a text of its own."""
    for file in files:
        name = f"{source.repo}@{source.commit[:10]}:{file.path}"
        yield joined(name, source, [Piece(file.text, origin=source.origin(file.path))])


def in_order(files: Sequence[SourceFile], order: Order, seed: str) -> list[SourceFile]:
    """The files by path, by what imports what, or shuffled.

    Args:
        files: in any order.
        order: which.
        seed: decides the shuffle.
    """
    if order == "dependency":
        return by_dependency(files)
    rows = sorted(files, key=lambda file: file.path)
    if order == "random":
        random.Random(seed).shuffle(rows)
    return rows


def _parts(files: Sequence[SourceFile], most: int) -> Iterator[list[SourceFile]]:
    """Neighbours as long as they fit; a file that is longer than that is a part of its own."""
    part: list[SourceFile] = []
    size = 0
    for file in files:
        if part and size + len(file.text) > most:
            yield part
            part, size = [], 0
        part.append(file)
        size += len(file.text)
    if part:
        yield part


def _pieces(files: Sequence[SourceFile], source: Source, layout: Layout) -> Iterator[Piece]:
    yield Piece(REPO_NAME, special=True)
    yield Piece(f"{source.repo}\n")
    if layout == "listing":
        yield Piece("".join(f"{path}\n" for path in sorted(file.path for file in files)))
    for file in files:
        yield Piece(FILE_SEP, special=True)
        yield Piece(f"{file.path}\n")
        yield Piece(file.text, origin=source.origin(file.path))
        yield Piece("" if file.text.endswith("\n") else "\n")
