"""A plain text to token ids, with which of them the loss falls on.

What a row masks itself is encoded apart from its neighbours, because a prompt is encoded apart from
its answer too; what many texts repeat is masked token by token and leaves the encoding as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from regreen.store.texts import TextRow
from regreen.templates.conversion.steps import Unconvertible
from regreen.templates.tokens.tokenizers import Tokenizer

__all__ = ["text_tokens"]

Stretches = Sequence[tuple[int, int]]


def text_tokens(
    row: TextRow, tokenizer: Tokenizer, repeated: Stretches = ()
) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """The ids of a text, and for each whether the loss falls on it.

    Args:
        row: the text.
        tokenizer: the vocabulary.
        repeated: further characters to mask; a token is masked by the character it begins in.

    Raises:
        Unconvertible: the vocabulary lacks a special token of the row.
    """
    masked = np.zeros(len(row.text) + 1, np.bool_)
    for start, end in (*row.masked, *repeated):
        masked[start:end] = True
    ids: list[int] = []
    trained: list[NDArray[np.bool_]] = []
    for start, end, special in _pieces(row):
        text = row.text[start:end]
        if special:
            ids.append(_special(text, tokenizer))
            trained.append(~masked[start : start + 1])
        else:
            more, starts = tokenizer.encode_with_starts(text)
            ids += more
            trained.append(~masked[start + np.array(starts, np.int64)])
    loss = np.concatenate(trained) if trained else np.zeros(0, np.bool_)
    return np.array(ids, np.uint32), loss


def _special(text: str, tokenizer: Tokenizer) -> int:
    found = tokenizer.specials.get(text)
    if found is None:
        what = "the vocabulary lacks a special token of the text"
        raise Unconvertible(what, where=f"{text}; bytes takes it by --special")
    return found


def _pieces(row: TextRow) -> Iterator[tuple[int, int, bool]]:
    """Stretches that are encoded alone, and whether each is a special token."""
    specials = dict(row.specials)
    inside = {place for start, end in row.specials for place in range(start + 1, end)}
    borders = {0, len(row.text), *(edge for pair in (*row.masked, *row.specials) for edge in pair)}
    ordered = sorted(borders - inside)
    for start, end in pairwise(ordered):
        yield start, end, specials.get(start) == end
