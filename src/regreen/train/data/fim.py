"""Fill in the middle: prefix and suffix are shown, the loss falls on the middle and its end.

The forms are those of Bavarian et al. (arXiv 2207.14255, section 3): PSM is prefix, suffix, middle;
SPM puts the suffix first and lets the middle follow the prefix without a mark between them. The
chat form asks in ChatML, as Qwen's coders are asked. A special token that the file itself spells
out stays ordinary text: the row names its own by position.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from regreen.store.texts import TextRow
from regreen.train.data.files import SourceFile
from regreen.train.data.holes import Hole, holes
from regreen.train.data.joined import Piece, Source, joined
from regreen.train.data.settings import TextsConfig

__all__ = ["chat_row", "fim_rows", "prefix_first", "suffix_first"]

_SYSTEM = "You are a code completion assistant."


def fim_rows(files: Sequence[SourceFile], source: Source, config: TextsConfig) -> Iterator[TextRow]:
    """A row for each hole of each file, its form drawn by the shares of the settings."""
    for file in files:
        seed = f"{config.seed}:{source.origin(file.path)}"
        chance = random.Random(f"{seed}:form")
        for number, hole in enumerate(holes(file, seed, config)):
            if chance.random() < config.chat_share:
                form, made = "chat", chat_row
            elif chance.random() < config.suffix_first_share:
                form, made = "spm", suffix_first
            else:
                form, made = "psm", prefix_first
            place = f"{source.repo}@{source.commit[:10]}:{file.path}"
            yield made(f"{place}#{form}-{hole.kind}-{number}", file, hole, source)


def prefix_first(name: str, file: SourceFile, hole: Hole, source: Source) -> TextRow:
    """PSM: prefix, suffix, middle."""
    prefix, suffix, middle = _three(file, hole, source)
    shown = [_mark("prefix"), prefix, _mark("suffix"), suffix, _mark("middle")]
    return joined(name, source, [*shown, middle])


def suffix_first(name: str, file: SourceFile, hole: Hole, source: Source) -> TextRow:
    """SPM: suffix, then prefix and middle as one text."""
    prefix, suffix, middle = _three(file, hole, source)
    shown = [_mark("prefix"), _mark("suffix"), suffix, _mark("middle"), prefix]
    return joined(name, source, [*shown, middle])


def chat_row(name: str, file: SourceFile, hole: Hole, source: Source) -> TextRow:
    """PSM as a question in ChatML and the middle as its answer, with the end of a turn."""
    prefix, suffix, middle = _three(file, hole, source)
    pieces = [
        *_opened("system"),
        Piece(_SYSTEM, masked=True),
        *_CLOSED,
        *_opened("user"),
        _mark("prefix"),
        prefix,
        _mark("suffix"),
        suffix,
        _mark("middle"),
        *_CLOSED,
        *_opened("assistant"),
        middle,
        Piece("<|im_end|>", special=True),
    ]
    return joined(name, source, pieces, closed=True)


def _three(file: SourceFile, hole: Hole, source: Source) -> tuple[Piece, Piece, Piece]:
    origin = source.origin(file.path)
    return (
        Piece(file.text[: hole.start], masked=True, origin=origin),
        Piece(file.text[hole.end :], masked=True, origin=origin),
        Piece(file.text[hole.start : hole.end], origin=origin),
    )


def _mark(name: str) -> Piece:
    return Piece(f"<|fim_{name}|>", special=True, masked=True)


def _opened(role: str) -> list[Piece]:
    return [Piece("<|im_start|>", special=True, masked=True), Piece(f"{role}\n", masked=True)]


_CLOSED = (Piece("<|im_end|>", special=True, masked=True), Piece("\n", masked=True))
