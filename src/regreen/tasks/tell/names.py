"""The names that a script needs and does not have, found without running it."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import warnings
from collections.abc import Iterator

__all__ = ["unbound"]

_BUILT_IN = frozenset(dir(builtins)) | {"__name__", "__doc__"}


def unbound(code: str) -> frozenset[str]:
    """Names a script reads that are neither built in nor bound or imported anywhere in it.

    Of a text that is no script, because it cannot be parsed or stands outside of the function it
    needs, every word is. What a star import brings is taken to be whatever is missing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
            compile(code, "script", "exec", dont_inherit=True)
            table = symtable.symtable(code, "script", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset(re.findall(r"\w+", code))
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in tree.body):
        return frozenset()
    tables = list(_tables(table))
    symbols = [(one, symbol) for one in tables for symbol in one.get_symbols()]
    bound = {
        symbol.get_name()
        for one, symbol in symbols
        if (one is table or symbol.is_declared_global())
        and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace())
    }
    read = {
        symbol.get_name()
        for one, symbol in symbols
        if symbol.is_referenced() and (one is table or symbol.is_global())
    }
    return frozenset(read - bound - _BUILT_IN)


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)
