"""A text row put together from pieces: what is special, what is masked, where it comes from.

The row's columns count characters, so whoever joins texts by hand has to count them too; here the
pieces count for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from regreen.store.texts import TextPart, TextRow

__all__ = ["Piece", "Source", "joined"]


class Source(NamedTuple):
    """The repository that rows come from."""

    repo: str
    """``owner/name`` where that is known."""
    commit: str
    """The commit."""
    license: str
    """As the project states it, or as its licence file says."""

    def origin(self, path: str) -> str:
        """One name for a file, whatever is made of it."""
        return f"{self.repo}:{path}"


class Piece(NamedTuple):
    """One stretch of a row."""

    text: str
    """What it says; an empty piece leaves no trace."""
    special: bool = False
    """It is one special token."""
    masked: bool = False
    """The loss does not fall on it."""
    origin: str = ""
    """The file that it is of."""


def joined(name: str, source: Source, pieces: Iterable[Piece], *, closed: bool = False) -> TextRow:
    """The row of these pieces.

    Args:
        name: of the row.
        source: where it comes from.
        pieces: in order.
        closed: whether the last piece is the row's own end.
    """
    texts: list[str] = []
    masked: list[tuple[int, int]] = []
    specials: list[tuple[int, int]] = []
    parts: list[TextPart] = []
    at = 0
    for piece in pieces:
        end = at + len(piece.text)
        if end > at:
            texts.append(piece.text)
            if piece.special:
                specials.append((at, end))
            if piece.origin:
                parts.append(TextPart(start=at, end=end, origin=piece.origin))
            if piece.masked and masked and masked[-1][1] == at:
                masked[-1] = (masked[-1][0], end)
            elif piece.masked:
                masked.append((at, end))
        at = end
    return TextRow(
        name=name,
        text="".join(texts),
        masked=tuple(masked),
        specials=tuple(specials),
        parts=tuple(parts),
        closed=closed,
        repo=source.repo,
        commit=source.commit,
        license=source.license,
    )
