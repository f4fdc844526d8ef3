"""Foreign Python as a tree: parsed, or None for whatever the running Python cannot take.

Its parser gives up in more ways than one: on bad syntax, on null bytes, on expressions nested too
deep for its stack or for its memory.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

__all__ = ["dumped", "parsed", "parses", "remembered"]

T = TypeVar("T")
_MOST = 20_000


def remembered(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """What is read off a text alone, kept by the text's digest for the next tree that has it.

    Most files of a history's trees are the same as in the tree before.
    """
    known: OrderedDict[bytes, T] = OrderedDict()

    @functools.wraps(read)
    def recalled(text: bytes) -> T:
        digest = hashlib.blake2b(text, digest_size=20).digest()
        if digest in known:
            known.move_to_end(digest)
        else:
            known[digest] = read(text)
            if len(known) > _MOST:
                known.popitem(last=False)
        return known[digest]

    return recalled


def parsed(text: bytes | str) -> ast.Module | None:
    """The module, or None when the running Python cannot parse it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@remembered
def parses(text: bytes) -> bool:
    """Whether the running Python can parse it."""
    return parsed(text) is not None


def dumped(node: ast.AST) -> str | None:
    """Text that equal trees share; None when it is nested too deep, or holds a number too long."""
    try:
        return ast.dump(node)
    except (RecursionError, ValueError):
        return None
