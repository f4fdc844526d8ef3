"""xgrammar's C++ core without its Python package, which imports torch: accept texts, draw texts.

An empty package object under the name ``xgrammar`` keeps its ``__init__`` from running; the modules
that bind the core need nothing but ``tvm_ffi``. The vocabulary is the 256 bytes and a stop token.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
import types
from collections.abc import Iterable
from functools import cache
from typing import Any

STOP = 256
_ASCII = [chr(code) for code in range(32, 127)] + ["\n"]
_ODD = ["é", "中", "😀", "\u2028", "\u2060", "\t", "\r\n", "\\", '"', "'", "null", "-1", "0.5", "{"]
_CLOSERS = ['"', "'", "]", ")", "}", "0", "'''", '"""']


@cache
def core() -> Any:
    """The module of the bindings."""
    import tvm_ffi  # noqa: F401  before a torch that happens to be there

    if "xgrammar" not in sys.modules:
        spec = importlib.util.find_spec("xgrammar")
        assert spec is not None, "make install puts xgrammar into the virtual environment"
        package = types.ModuleType("xgrammar")
        package.__path__ = list(spec.submodule_search_locations or ())
        package.__spec__ = spec
        sys.modules["xgrammar"] = package
    for name in ("exception", "load_binding"):
        importlib.import_module(f"xgrammar.{name}")
    return importlib.import_module("xgrammar.base")._core


@cache
def _compiler() -> Any:
    vocabulary = [bytes([code]) for code in range(256)] + [b"</s>"]
    info = core().TokenizerInfo(vocabulary, 0, None, [STOP], False)
    return core().GrammarCompiler(info, 1, False, -1)


class Grammar:
    """A compiled structural tag."""

    def __init__(self, tag: dict[str, Any]) -> None:
        self._compiled = _compiler().compile_structural_tag(json.dumps(tag))

    def _matcher(self) -> Any:
        return core().GrammarMatcher(self._compiled, None, False, -1, None)

    def accepts(self, text: str) -> bool:
        """Whether the whole text is accepted, and the stop token behind it."""
        matcher = self._matcher()
        return (not text or matcher.accept_string(text, False)) and matcher.accept_token(
            STOP, False
        )

    def refused_at(self, text: str) -> str:
        """What was accepted, a mark, and what was not; for messages of failed tests."""
        matcher = self._matcher()
        for at, char in enumerate(text):
            if not matcher.accept_string(char, False):
                return f"{text[:at]!r} | {text[at:]!r}"
        return f"{text!r} | the end"

    def draw(
        self, rng: random.Random, words: Iterable[str], ends: Iterable[str] = (), length: int = 200
    ) -> str | None:
        """A random text of the grammar, ended where the stop token was drawn; None if none was.

        Args:
            rng: where chance comes from.
            words: texts worth trying whole: names, keys and marks of the format.
            ends: texts that lead to the end.
            length: after so many characters whatever leads to the end is preferred.
        """
        walk = _Walk(self._matcher(), rng, list(words), [*ends, *_CLOSERS])
        for _ in range(length * 12):
            if walk.step(closing=len(walk.text) >= length):
                return walk.text
        return None


class _Walk:
    def __init__(self, matcher: Any, rng: random.Random, words: list[str], ends: list[str]) -> None:
        self.matcher = matcher
        self.rng = rng
        self.words = words
        self.ends = ends
        self.text = ""

    def step(self, *, closing: bool) -> bool:
        """Take one step; True at the end."""
        chance = self.rng.random()
        done = (closing or chance < 0.03) and self.matcher.is_completed()
        if done and self.matcher.accept_token(STOP, False):
            return True
        if closing:
            return self._close()
        forced = str(self.matcher.find_jump_forward_string())
        if forced and self._take(forced):
            return False
        if chance < 0.35 and self._take(self.rng.choice(self.words)):
            return False
        if chance < 0.5 and self._take(self.rng.choice(_ODD)):
            return False
        return self._any([self.rng.choice(_ASCII) for _ in range(4)] + _shuffled(self.rng, _ASCII))

    def _close(self) -> bool:
        forced = str(self.matcher.find_jump_forward_string())
        if forced and self._take(forced):
            return False
        if self.rng.random() < 0.8 and self._any_of(_shuffled(self.rng, self.ends)):
            return False
        return self._any(_shuffled(self.rng, [*self.words, *_ASCII]))

    def _any(self, texts: list[str]) -> bool:
        """Take any of the texts, or anything at all; True if nothing but the end is left."""
        if self._any_of([*texts, *_ODD]):
            return False
        if not self.matcher.accept_token(STOP, False):
            message = f"a dead end behind {self.text!r}"
            raise RuntimeError(message)
        return True

    def _any_of(self, texts: Iterable[str]) -> bool:
        return any(self._take(text) for text in texts)

    def _take(self, text: str) -> bool:
        if self.matcher.accept_string(text, False):
            self.text += text
            return True
        return False


def _shuffled(rng: random.Random, items: Iterable[str]) -> list[str]:
    found = list(items)
    rng.shuffle(found)
    return found
