"""The paragraph that names what hidden tests need and the code does not have yet.

Its words are fixed, so that it can be told from the rest of a statement and survives a rewrite.
"""

from __future__ import annotations

__all__ = ["LEAD", "specified", "unspecified"]

LEAD = "Whatever else changes, the following must exist under these names and be called like this:"


def specified(statement: str, interface: str) -> str:
    """A statement with the paragraph about an interface at its end; as it is without one."""
    text = unspecified(statement).rstrip("\n")
    if not interface.strip():
        return f"{text}\n"
    return f"{text}\n\n{LEAD}\n\n```python\n{interface.strip()}\n```\n"


def unspecified(statement: str) -> str:
    """The statement without that paragraph."""
    return statement.partition(LEAD)[0].rstrip("\n") + "\n" if LEAD in statement else statement
