"""Files in an order in which what is imported comes before what imports it.

Python is read by its syntax tree, everything else by the paths that its import lines quote; an
import that names no file of the repository orders nothing. A cycle is entered at its first file by
path, so the order is the same on every machine.
"""

from __future__ import annotations

import ast
import posixpath
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence

from regreen.train.data.files import SourceFile

__all__ = ["by_dependency", "imported_files"]

_QUOTED = re.compile(
    r"""^\s*(?:\#\s*include|import|export|from|require|require_relative|load|source|\}|use|mod)
        [^"'\n]*["'<(]+([\w./@+-]+)["'>)]""",
    re.MULTILINE | re.VERBOSE,
)
_CALLED = re.compile(r"""\b(?:require|import)\s*\(\s*["']([\w./@-]+)["']\s*\)""")
_INDEXES = ("", ".js", ".ts", ".tsx", ".jsx", ".mjs", ".rb", "/index.js", "/index.ts", "/index.tsx")
_ROOTS = ("", "src/", "lib/", "include/")


def by_dependency(files: Sequence[SourceFile]) -> list[SourceFile]:
    """The files so that each stands behind those that it imports, where no cycle forbids it."""
    ordered = sorted(files, key=lambda file: file.path)
    wants = imported_files(ordered)
    known = {file.path: file for file in ordered}
    return [known[path] for path in _depth_first(list(known), wants)]


def imported_files(files: Iterable[SourceFile]) -> dict[str, list[str]]:
    """The files of the same repository that each file imports, by path."""
    rows = list(files)
    paths = {file.path for file in rows}
    modules = _modules(paths)
    found = {}
    for file in rows:
        if file.language.name == "python":
            wanted = {modules[name] for name in _python(file, modules) if name in modules}
        else:
            wanted = set(_quoted(file, paths))
        found[file.path] = sorted(wanted - {file.path})
    return found


def _depth_first(paths: Sequence[str], wants: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Post-order without recursion: chains of imports may be longer than Python's stack."""
    done: set[str] = set()
    for root in paths:
        if root in done:
            continue
        done.add(root)
        stack = [(root, iter(wants[root]))]
        while stack:
            path, rest = stack[-1]
            following = next((one for one in rest if one not in done), None)
            if following is None:
                stack.pop()
                yield path
            else:
                done.add(following)
                stack.append((following, iter(wants[following])))


def _modules(paths: Iterable[str]) -> dict[str, str]:
    """Every dotted name under which a Python file may be imported; the shortest path wins."""
    found: dict[str, str] = {}
    for path in sorted(paths, key=lambda one: (one.count("/"), one)):
        if path.endswith((".py", ".pyi", ".pyx")):
            parts = path.rsplit(".", 1)[0].split("/")
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            for start in range(min(len(parts), 2)):  # the root, and one folder such as src
                found.setdefault(".".join(parts[start:]), path)
    return found


def _python(file: SourceFile, modules: Mapping[str, str]) -> Iterator[str]:
    """Dotted names that a file imports; a name taken from a package may be a module of its own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in other people's strings
            tree = ast.parse(file.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    parts = file.path.rsplit(".", 1)[0].split("/")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _prefixes(alias.name, modules)
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            inner = [f"{name}.{alias.name}" for alias in node.names]
            whole = [one for one in inner if one in modules]
            yield from whole
            if len(whole) < len(inner):
                yield from _prefixes(name, modules)


def _prefixes(name: str, modules: Mapping[str, str]) -> Iterator[str]:
    """The longest part of a dotted name that is a module here."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in modules:
            yield ".".join(parts[:end])
            return


def _quoted(file: SourceFile, paths: set[str]) -> Iterator[str]:
    """Paths that import lines quote, as seen from the file's folder and from the usual roots."""
    folder = posixpath.dirname(file.path)
    for name in (*_QUOTED.findall(file.text), *_CALLED.findall(file.text)):
        places = [posixpath.join(folder, name), *(root + name for root in _ROOTS)]
        tries = (posixpath.normpath(place) + end for place in places for end in _INDEXES)
        match = next((one for one in tries if one in paths), None)
        if match is not None:
            yield match
