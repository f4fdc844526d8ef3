"""Names that nothing binds: a rewritten function that uses one fails for a dull reason."""

from __future__ import annotations

import builtins
import symtable

__all__ = ["unknown_names"]

_MODULE = {
    *("__file__", "__name__", "__doc__", "__package__", "__spec__", "__path__", "__loader__"),
    *("__builtins__", "__annotations__", "__class__", "__module__", "__qualname__"),
}


def unknown_names(text: str) -> set[str]:
    """Global names that functions of a module use and that neither it nor Python defines.

    Args:
        text: a module that compiles. One that imports ``*`` may define anything: nothing is
            reported for it.
    """
    top = symtable.symtable(text, "module", "exec")
    if "import *" in text:
        return set()
    known = {*dir(builtins), *_MODULE}
    used: set[str] = set()
    tables = [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            here = table.get_type() == "module" or symbol.is_declared_global()
            if here and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()):
                known.add(symbol.get_name())
            elif symbol.is_global() and symbol.is_referenced():
                used.add(symbol.get_name())
    return used - known
