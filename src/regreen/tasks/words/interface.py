"""The names that hidden tests use and that the code does not have yet, as signatures.

Without them a solver would have to guess what a new function is called, and in what order it takes
its arguments. Only what the tests name is shown: no body, no value, no documentation beyond a line.
"""

from __future__ import annotations

import ast
import builtins
import copy
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

__all__ = ["interface"]

_LONG_DEFAULT = 40
_LONG_SUMMARY = 120
_DEFINING = re.compile(r"^\s*(?:(?:async\s+)?def\s+|class\s+)?(\w+)\s*(?=[(:=])", re.MULTILINE)
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_PLAIN_ATTRIBUTES = frozenset(
    name for kind in (object, str, bytes, list, dict, set, tuple, int, float) for name in dir(kind)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Used:
    """What texts of tests name."""

    modules: Mapping[str, str]
    """Imported name -> the module it is imported from."""
    names: frozenset[str]
    """Imported names, attributes and plain names that are read."""
    keywords: Mapping[str, frozenset[str]]
    """Name of what is called -> the keywords it is given anywhere."""


@dataclass(slots=True)
class _Defined:
    """What one module defines."""

    module: str
    nodes: dict[str, ast.stmt] = field(default_factory=dict)
    """Qualified name -> definition: functions, classes, their methods, assigned names."""
    words: frozenset[str] = frozenset()
    """Names that a text which cannot be parsed seems to define."""


def interface(
    before: Mapping[str, str], after: Mapping[str, str], tests: Iterable[str], *, root: str = ""
) -> str:
    """Signatures of what the tests need and the base lacks; empty when it has everything.

    Args:
        before: texts of the source files that the change touches, by path, at the base.
        after: the same once it is made.
        tests: texts of the hidden test files.
        root: the folder that is on the import path, for example ``src``.
    """
    used = _used(tests)
    old = {path: _defined(path, text, root) for path, text in before.items()}
    known = {name.rpartition(".")[2] for one in old.values() for name in one.nodes}
    new = {path: _defined(path, text, root) for path, text in sorted(after.items())}
    whole = {
        name for one in new.values() for name, node in one.nodes.items() if not _assigned(node)
    }
    sections: dict[str, list[str]] = {}
    for path, made in new.items():
        was = old.get(path) or _Defined(made.module)
        for name, node in made.nodes.items():
            if name in whole and _assigned(node):
                continue  # only bound here; its signature is shown where it is defined
            rows = _needed(name, node, made=made, was=was, used=used, known=known)
            if rows:
                place = used.modules.get(name.partition(".")[0], made.module)
                sections.setdefault(place, []).append("\n".join(rows))
    blocks = [f"# {place}\n" + "\n\n".join(rows) for place, rows in sections.items()]
    return "\n\n".join(blocks)


def _needed(
    name: str, node: ast.stmt, *, made: _Defined, was: _Defined, used: _Used, known: set[str]
) -> list[str]:
    """Lines for one definition; none when the tests do not need to be told of it."""
    owner, _, last = name.rpartition(".")
    if owner and owner not in was.nodes:
        return []  # shown with its class
    if last in was.words:
        return []
    if name not in was.nodes:
        if not _is_used(last, owner, used) or (not owner and last in known and _assigned(node)):
            return []
        shown = _shown(node, made, name, used)
    elif isinstance(node, _Function) and _new_keywords(node, was.nodes[name], last, owner, used):
        shown = [_signature(node, None)]
    else:
        return []
    return [f"class {owner}:", *(f"    {row}" for row in shown)] if owner else shown


def _is_used(last: str, owner: str, used: _Used) -> bool:
    if last.startswith("__") and last.endswith("__"):
        return False
    plain = owner and last in _PLAIN_ATTRIBUTES and owner not in used.names
    return last in used.names and not plain and not (not owner and hasattr(builtins, last))


def _assigned(node: ast.stmt) -> bool:
    """Whether a name is bound by an assignment rather than defined."""
    return not isinstance(node, _Function | ast.ClassDef)


def _new_keywords(
    node: _Function, old: ast.stmt, last: str, owner: str, used: _Used
) -> frozenset[str]:
    """Parameters that the tests pass by name and that the old signature does not have."""
    if not isinstance(old, _Function):
        return frozenset()
    called = owner.rpartition(".")[2] if last == "__init__" else last
    known = _parameters(old)
    return (used.keywords.get(called, frozenset()) & _parameters(node)) - known


def _parameters(node: _Function) -> frozenset[str]:
    given = node.args
    return frozenset(arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs))


def _shown(node: ast.stmt, made: _Defined, name: str, used: _Used) -> list[str]:
    if isinstance(node, _Function):
        return _function(node)
    if not isinstance(node, ast.ClassDef):
        return [f"{name.rpartition('.')[2]} = ..."]
    bases = ", ".join(ast.unparse(base) for base in (*node.bases, *_keywords(node)))
    rows = [f"class {node.name}({bases}):" if bases else f"class {node.name}:"]
    rows += [f"    {row}" for row in _summary(node)]
    for child in made.nodes:
        owner, _, last = child.rpartition(".")
        member = made.nodes[child]
        if owner != name or not (last == "__init__" or last in used.names):
            continue
        shown = _function(member) if isinstance(member, _Function) else [f"{last} = ..."]
        rows += [f"    {row}" for row in shown]
    return rows if len(rows) > 1 else [*rows, "    ..."]


def _keywords(node: ast.ClassDef) -> list[ast.expr]:
    return [one.value for one in node.keywords if one.arg == "metaclass"]


def _function(node: _Function) -> list[str]:
    marks = [ast.unparse(one) for one in node.decorator_list]
    kept = [f"@{mark}" for mark in marks if mark in ("property", "classmethod", "staticmethod")]
    return [*kept, _signature(node, _summary(node))]


def _signature(node: _Function, summary: Sequence[str] | None) -> str:
    """``def`` line of a function; long defaults are left out."""
    given = copy.deepcopy(node.args)
    for defaults in (given.defaults, given.kw_defaults):
        for index, value in enumerate(defaults):
            if value is not None and len(ast.unparse(value)) > _LONG_DEFAULT:
                defaults[index] = ast.Constant(value=...)
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    head = f"{word} {node.name}({ast.unparse(given)}){returns}: ..."
    return f"{head}  # {summary[0].strip(chr(34))}" if summary else head


def _summary(node: _Function | ast.ClassDef) -> list[str]:
    """First line of the documentation, when it is short and whole."""
    text, _, rest = (ast.get_docstring(node) or "").strip().partition("\n")
    if (
        not text
        or (rest and rest[0] != "\n")
        or len(text) > _LONG_SUMMARY
        or "`" * 3 in text
        or '"""' in text
    ):
        return []
    return [f'"""{text}"""']


def _defined(path: str, text: str, root: str) -> _Defined:
    pure = PurePosixPath(path.removeprefix(f"{root}/") if root else path).with_suffix("")
    parts = pure.parts[:-1] if pure.name == "__init__" else pure.parts
    found = _Defined(".".join(parts))
    tree = _parsed(text)
    if tree is not None:
        _collect(tree.body, "", found.nodes)
    else:
        found.words = frozenset(_DEFINING.findall(text))
    return found


def _collect(body: Iterable[ast.stmt], owner: str, nodes: dict[str, ast.stmt]) -> None:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            nodes.setdefault(owner + node.name, node)
            if isinstance(node, ast.ClassDef):
                _collect(node.body, f"{owner}{node.name}.", nodes)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    nodes.setdefault(owner + target.id, node)
        elif isinstance(node, ast.If | ast.Try):
            handlers = node.handlers if isinstance(node, ast.Try) else []
            _collect(node.body, owner, nodes)
            _collect((one for part in handlers for one in part.body), owner, nodes)
            _collect(node.orelse, owner, nodes)


def _used(tests: Iterable[str]) -> _Used:
    modules: dict[str, str] = {}
    names: set[str] = set()
    keywords: dict[str, set[str]] = {}
    for text in tests:
        tree = _parsed(text)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules |= {one.name: node.module for one in node.names}
                names |= {one.name for one in node.names}
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                given = {one.arg for one in node.keywords if one.arg}
                keywords.setdefault(called, set()).update(given)
    return _Used(
        modules=modules,
        names=frozenset(names),
        keywords={name: frozenset(found) for name, found in keywords.items()},
    )


def _parsed(text: str) -> ast.Module | None:
    """The text as a module; None when this Python cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
