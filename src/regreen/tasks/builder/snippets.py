"""Python that a shell script holds: on the command line, fed to an interpreter, or in a test file.

Calls are read as the guard reads them; here stand only the ways to a program's text that are no
calls of files.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence

from regreen.guard.shell import Command
from regreen.guard.shell.python import read_python

__all__ = ["inspections", "python_calls", "snippets"]

_PYTHON = re.compile(r"(python|pypy)[\d.]*")
_LOOKING = frozenset(
    ("getsource", "getsourcelines", "getsourcefile", "findsource", "get_source", "getlines",
     "__code__", "func_code", "co_code", "co_consts", "co_names", "co_varnames", "co_firstlineno",
     "__file__")
)  # fmt: skip
_MODULES = frozenset(("dis", "linecache"))


def snippets(commands: Sequence[Command]) -> tuple[str, ...]:
    """The Python texts of a script, each once."""
    found: dict[str, None] = {}
    for command in commands:
        if command.language != "shell":
            continue
        if _PYTHON.fullmatch(command.program):
            words = command.arguments
            inline = [
                words[n + 1] for n, word in enumerate(words[:-1]) if re.match(r"-\w*c$", word)
            ]
            found.update(dict.fromkeys(inline))
            if command.stdin is not None and not inline:
                found[command.stdin] = None
        written = any(">" in o and t.endswith(".py") for o, t in command.redirects)
        if command.program == "tee":
            written = any(word.endswith(".py") for word in command.arguments)
        if written and command.stdin is not None:
            found[command.stdin] = None
        for name, text in command.texts.items():
            if name.endswith(".py"):
                found[text] = None
    return tuple(found)


def python_calls(text: str) -> tuple[Command, ...]:
    """What a Python text would call."""
    return tuple(read_python(text).commands)


def inspections(text: str) -> Iterator[str]:
    """Where a Python text looks at the source or the bytecode of code."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _LOOKING:
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module == "inspect":
            yield from (one.name for one in node.names if one.name in _LOOKING)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from (f"import {name}" for name in names if name in _MODULES)
