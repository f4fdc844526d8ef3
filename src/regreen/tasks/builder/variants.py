"""Forms of a repository in which text and behaviour come apart: what a script must not fall for.

A script that runs the program follows its behaviour, one that matches text follows the text. So
the resolved program is shown with its text hidden and the old text beside it, and the buggy one
with the repaired text beside it, where nothing runs it.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from regreen.grading.patch import FileState
from regreen.grading.pathnames import looks_like_test
from regreen.tasks.builder.states import ChangeStates, Files

__all__ = ["decoy", "early_exit", "sealed", "without_tests"]


@dataclass(frozen=True, slots=True)
class _Notation:
    """How a language writes what is not run."""

    line: bytes
    """Begins a comment that ends with the line."""
    block: tuple[bytes, bytes] | None = None
    """Lines around text that is not run; the text in between stands as it is."""
    leave: bytes = b""
    """A statement that ends the program with status 0; empty where there is none to put in."""


_HASH = _Notation(b"# ")
_SLASHES = _Notation(b"// ", (b"/*", b"*/"))
_SCRIPT = replace(_SLASHES, leave=b"process.exit(0);")
_SHELL = _Notation(b"# ", (b": <<'REGREEN_UNREAD'", b"REGREEN_UNREAD"), b"exit 0")
_PERL = _Notation(b"# ", (b"\n=pod\n", b"\n=cut\n"), b"exit 0;")
_RUBY = _Notation(b"# ", (b"=begin", b"=end"), b"exit! 0")
_LUA = _Notation(b"-- ", (b"--[==[", b"]==]"), b"os.exit(0)")
_PYTHON = _Notation(b"# ", (b"r'''", b"'''"))
_BY_SUFFIX = {
    **dict.fromkeys((".sh", ".bash"), _SHELL),
    **dict.fromkeys((".pl", ".pm"), _PERL),
    **dict.fromkeys((".js", ".cjs", ".mjs"), _SCRIPT),
    **dict.fromkeys(
        (".ts", ".jsx", ".tsx", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".go", ".rs", ".java",
         ".kt", ".scala", ".swift", ".dart", ".groovy"),
        _SLASHES,
    ),
    **dict.fromkeys(
        (".r", ".R", ".jl", ".tcl", ".nim", ".ex", ".exs", ".cr", ".pyx", ".pxd", ".pyi", ".toml",
         ".yaml", ".yml", ".cfg", ".ini"),
        _HASH,
    ),
    **dict.fromkeys((".hs", ".sql", ".elm"), _Notation(b"-- ")),
    **dict.fromkeys((".el", ".lisp", ".clj", ".scm"), _Notation(b";; ")),
    ".erl": _Notation(b"% "),
    ".rb": _RUBY,
    ".lua": _LUA,
    ".py": _PYTHON,
}  # fmt: skip
_BY_PROGRAM = {
    b"python": _PYTHON, b"bash": _SHELL, b"sh": _SHELL, b"perl": _PERL, b"ruby": _RUBY,
    b"node": _SCRIPT, b"lua": _LUA,
}  # fmt: skip
_SHEBANG = re.compile(rb"#!\s*\S*?/?(?:env\s+(?:-S\s+)?)?([a-z]+)[\d.]*(\s|$)")
_LEAVE_PYTHON = b"\nimport os as _os\n_os._exit(0)\n"
_STUB = b"""\
exec(compile(__import__("zlib").decompress(__import__("base64").b64decode("%b")), __file__, "exec",
             0, True), globals())
"""


def sealed(states: ChangeStates) -> Files:
    """The resolved state with other text: its own cannot be read, and the bug's is there to see.

    Of languages other than Python only the bug's text is put beside it.
    """
    found = dict(states.resolved)
    for path, notation in _varied(states):
        state, old = states.resolved[path], states.bug[path]
        if state is not None:
            text = _stub(state.data) if notation is _PYTHON else state.data
            data = _beside(notation, text, old.data if old else b"")
            found[path] = replace(state, data=data)
    return found


def decoy(states: ChangeStates) -> Files:
    """The state with the bug and the repair's text beside it; files the repair adds are there."""
    found = dict(states.bug)
    for path, notation in _varied(states):
        gold = states.resolved[path]
        if gold is not None:
            before = states.bug[path] or replace(gold, data=b"")
            found[path] = replace(before, data=_beside(notation, before.data, gold.data))
    return found


def early_exit(states: ChangeStates) -> Files | None:
    """The state with the bug whose program ends with status 0 before it does anything.

    None where we have no statement for any of its languages.
    """
    found, changed = dict(states.bug), False
    for path, notation in _varied(states):
        state = states.bug[path] or FileState(b"")
        if notation is _PYTHON:
            found[path], changed = replace(state, data=state.data + _LEAVE_PYTHON), True
        elif notation.leave:
            first, rest = _shebang(state.data)
            data = first + notation.leave + b"\n" + rest
            found[path], changed = replace(state, data=data), True
    return found if changed else None


def without_tests(states: ChangeStates, tree: Iterable[str]) -> Files:
    """The state with the bug and nothing that looks like a test.

    Args:
        states: the change.
        tree: every path of the base.
    """
    gone = {path for path in tree if looks_like_test(path) and path not in states.sources}
    return {**states.bug, **dict.fromkeys(sorted(gone | states.tests))}


def _varied(states: ChangeStates) -> list[tuple[str, _Notation]]:
    """Repaired files that are no links and whose language has a notation here."""
    found = []
    for path in sorted(states.sources):
        both = [state for state in (states.resolved[path], states.bug[path]) if state]
        if not both or any(state.symlink for state in both):
            continue
        begun = _SHEBANG.match(both[0].data)
        notation = _BY_SUFFIX.get(PurePosixPath(path).suffix) or (
            _BY_PROGRAM.get(begun[1]) if begun else None
        )
        if notation:
            found.append((path, notation))
    return found


def _shebang(data: bytes) -> tuple[bytes, bytes]:
    if not data.startswith(b"#!"):
        return b"", data
    first, _, rest = data.partition(b"\n")
    return first + b"\n", rest


def _stub(data: bytes) -> bytes:
    """A module that runs the given one, whose text it holds packed."""
    first, _ = _shebang(data)
    return first + _STUB % base64.b64encode(zlib.compress(data, 9))


def _beside(notation: _Notation, data: bytes, text: bytes) -> bytes:
    """A file with another text at its end, word for word where the language can hold it so."""
    data = data if data.endswith(b"\n") or not data else data + b"\n"
    lines = b"".join(notation.line + line + b"\n" for line in text.splitlines())
    forms = [data + lines]
    if notation.block and not any(mark.strip() in text for mark in notation.block):
        opening, closing = notation.block
        body = text if text.endswith(b"\n") else text + b"\n"
        forms.insert(0, data + opening + b"\n" + body + closing + b"\n" + lines)
    if notation is not _PYTHON:
        return forms[0]
    forms = [form + _unreached(text) for form in forms] + forms
    return next((form for form in forms if _compiles(form)), data + lines)


def _unreached(text: bytes) -> bytes:
    """The text as the body of a function that nobody calls, for readers of the syntax tree."""
    body = b"".join(
        b"    " + line
        for line in text.splitlines(keepends=True)
        if b"__future__" not in line and b"import *" not in line
    )
    return b"\n\ndef _regreen_unreached():\n" + body + b"\n    return None\n"


def _compiles(data: bytes) -> bool:
    try:
        compile(data, "<variant>", "exec", 0, True)
    except (SyntaxError, ValueError):
        return False
    return True
