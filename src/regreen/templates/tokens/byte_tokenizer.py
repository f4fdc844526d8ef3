"""The smallest honest vocabulary: one token per byte, and the special tokens it is given.

Anything can be written in it, no text is out of vocabulary, and a model can sample bytes that are
no UTF-8, which is what makes it a good test of everything built on tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["ByteTokenizer"]

_BYTES = 256


class ByteTokenizer:
    """A byte-level tokenizer; ids 0 to 255 are the bytes, the specials follow.

    Args:
        specials: texts of the special tokens, usually ``format.chat.specials``.
    """

    def __init__(self, specials: Iterable[str] = ()) -> None:
        names = dict.fromkeys(specials)
        self._specials = {name: _BYTES + place for place, name in enumerate(names)}
        self._tokens = [bytes([byte]) for byte in range(_BYTES)] + [name.encode() for name in names]

    @property
    def specials(self) -> Mapping[str, int]:
        """See ``Tokenizer``."""
        return self._specials

    @property
    def size(self) -> int:
        """See ``Tokenizer``."""
        return len(self._tokens)

    def encode(self, text: str) -> list[int]:
        """Bytes of the text; those that ``text_of`` kept as lone surrogates come back as they were.

        Any other lone surrogate is written as UTF-8 would write it, so nothing raises.
        """
        return list(_bytes(text))

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """See ``Tokenizer``."""
        ids = self.encode(text)
        if len(ids) == len(text):
            return ids, list(range(len(ids)))
        starts: list[int] = []
        for index, char in enumerate(text):
            starts += [index] * (1 if char < "\x80" else len(_bytes(char)))
        return ids, starts

    def decode(self, ids: Iterable[int]) -> str:
        """See ``Tokenizer``."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of any ids, exactly."""
        tokens = self._tokens
        return b"".join([tokens[token] for token in ids if 0 <= token < len(tokens)])

    def text_of(self, ids: Iterable[int]) -> str:
        """Text from which ``encode`` gives the same bytes: stray ones are lone surrogates."""
        return self.decode_bytes(ids).decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b"".join([_char(char) for char in text])


def _char(char: str) -> bytes:
    stray = "\udc80" <= char <= "\udcff"
    return char.encode("utf-8", "surrogateescape" if stray else "surrogatepass")
