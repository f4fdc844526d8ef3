"""Pieces of text to token ids, with the span of tokens that each piece became.

Text is encoded in runs that end at special tokens and wherever sampling begins or ends, because
there a model's own tokens end too. Within a run a token that straddles two pieces belongs to the
piece that it begins in.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from regreen.templates.tokens.tokenizers import Tokenizer
from regreen.templates.write import Piece

__all__ = ["Marked", "Rendered", "Span", "encode_pieces"]


class Span(NamedTuple):
    """Tokens that come from one piece."""

    start: int
    """Index of the first token."""
    end: int
    """One past the last."""
    role: str
    """Role of the message it belongs to."""
    kind: str
    """As ``Piece.kind``."""
    message: int
    """Index of the message; -1 for what belongs to none."""
    trained: bool
    """Whether a model that writes this conversation samples it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as token ids."""

    ids: list[int]
    """Every token."""
    spans: list[Span]
    """Which tokens come from where; in order, without gaps, none empty."""

    def loss_mask(
        self, *, kinds: Collection[str] | None = None, last_only: bool = False
    ) -> list[int]:
        """1 for each token to train on, 0 for the others.

        Args:
            kinds: train on these kinds of pieces only, for example ``{"calls", "end"}``.
            last_only: train on the last assistant's message only.
        """
        mask = [0] * len(self.ids)
        trained = [span for span in self.spans if span.trained]
        last = trained[-1].message if trained else -1
        for span in trained:
            if (kinds is None or span.kind in kinds) and (not last_only or span.message == last):
                mask[span.start : span.end] = [1] * (span.end - span.start)
        return mask


class Marked(NamedTuple):
    """A piece, and the special tokens the format itself wrote in it."""

    piece: Piece
    """The piece."""
    marks: Sequence[tuple[int, int]]
    """Start and end of each, in order."""


class _Run:
    """Text waiting to be encoded, with the pieces that begin in it."""

    def __init__(self, tokenizer: Tokenizer, ids: list[int], begins: list[int]) -> None:
        self.tokenizer, self.ids, self.begins = tokenizer, ids, begins
        self.texts: list[str] = []
        self.length = 0
        self.openings: list[int] = []

    def open(self) -> None:
        """A piece begins here."""
        self.openings.append(self.length)

    def add(self, text: str) -> None:
        if text:
            self.texts.append(text)
            self.length += len(text)

    def flush(self) -> None:
        """Encode what waits, as one text."""
        base, text = len(self.ids), "".join(self.texts)
        if self.openings and self.openings[-1]:
            new, starts = self.tokenizer.encode_with_starts(text)
            self.begins += [base + bisect_left(starts, opening) for opening in self.openings]
        else:
            new = self.tokenizer.encode(text) if text else []
            self.begins += [base] * len(self.openings)
        self.ids += new
        self.texts.clear()
        self.openings.clear()
        self.length = 0


def encode_pieces(tokenizer: Tokenizer, pieces: Iterable[Marked]) -> Rendered:
    """Token ids of pieces; the marks become single tokens, all else is encoded as text."""
    ids: list[int] = []
    begins: list[int] = []
    rows: list[Piece] = []
    run, specials, trained = _Run(tokenizer, ids, begins), tokenizer.specials, False
    for piece, marks in pieces:
        if piece.trained != trained:
            run.flush()
            trained = piece.trained
        rows.append(piece)
        run.open()
        text, at = piece.text, 0
        for start, end in marks:
            run.add(text[at:start])
            run.flush()
            ids.append(specials[text[start:end]])
            at = end
        run.add(text[at:] if at else text)
    run.flush()
    begins.append(len(ids))
    spans = [
        Span(begins[place], begins[place + 1], *piece[1:])
        for place, piece in enumerate(rows)
        if begins[place] < begins[place + 1]
    ]
    return Rendered(ids, spans)
