"""The tests one would expect of a tree, read from its source: what a run is held against.

A suite that half fails to import still looks green when only what was collected counts. So the
functions and methods that pytest or unittest would take are listed beforehand, parametrised ids as
the one function they come from. What only a run can decide is listed as possible and not demanded.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from regreen.tasks.build.definitions import Binding, Version, bindings, last_name, module_skip
from regreen.tasks.build.selection import Selection, select, test_modules
from regreen.tasks.repo.project import inside

__all__ = ["Expected", "expected_tests", "function_of"]

_MAX_BYTES = 4 << 20
_DEEP = 20
_PLAIN_BASES = frozenset(("object", "ABC", "Generic", "Protocol"))
_NO_TEST = frozenset(("fixture", "yield_fixture", "property", "cached_property", "nottest"))
_WITH_INIT = frozenset(("dataclass", "attrs", "define", "frozen", "s"))
_LINE = re.compile(r"(?P<indent>[ \t]*)(?:async +)?(?P<kind>def|class) +(?P<name>\w+)")


@dataclass(frozen=True, slots=True)
class Expected:
    """Tests by function, as node ids without parameters."""

    functions: tuple[str, ...]
    """Those that a sound environment collects, sorted."""
    possible: tuple[str, ...]
    """Those that only a run can decide about, sorted."""
    unread: tuple[str, ...]
    """Files that this Python cannot parse; their functions were found line by line."""


def function_of(test: str) -> str:
    """The node id of a test's function: parameters cut off."""
    path, mark, rest = test.partition("::")
    return path + mark + rest.partition("[")[0]


def expected_tests(
    tree: Path, *, paths: Sequence[str] = (), options: Sequence[str] = (), python: str = "3.11"
) -> Expected:
    """List the tests of a tree without importing any of it.

    Args:
        tree: the repository's files.
        paths: what pytest is called with; the whole tree when empty.
        options: further arguments of pytest that every run gets.
        python: version of the interpreter that is to run them.
    """
    major, minor = (int(part) for part in python.split(".")[:2])
    selection = select(tree, options)
    modules = _Modules(tree, (major, minor))
    found: dict[str, bool] = {}
    unread = []
    for path in test_modules(tree, selection, paths):
        module = modules.read(path)
        if module is None:
            unread.append(path)
            if inside(tree, tree / path):
                found.update((f"{path}::{one}", True) for one in _by_lines(tree / path, selection))
        else:
            for name, certain in _Collector(modules, selection).module(module):
                found[f"{path}::{name}"] = certain or found.get(f"{path}::{name}", False)
    kept = {n: c for n, c in found.items() if not n.startswith(selection.deselected or ("\0",))}
    return Expected(
        functions=tuple(sorted(name for name, certain in kept.items() if certain)),
        possible=tuple(sorted(name for name, certain in kept.items() if not certain)),
        unread=tuple(unread),
    )


@dataclass(eq=False)
class _Module:
    path: str
    body: list[ast.stmt]
    python: Version

    @cached_property
    def names(self) -> dict[str, Binding]:
        return bindings(self.body, self.python)


@dataclass(eq=False)
class _Modules:
    """The tree's modules, parsed once each."""

    tree: Path
    python: Version
    _known: dict[str, _Module | None] = field(default_factory=dict)

    def read(self, path: str) -> _Module | None:
        """A module; None when it is no file of the tree or cannot be parsed."""
        if path not in self._known:
            self._known[path] = self._parse(path)
        return self._known[path]

    def _parse(self, path: str) -> _Module | None:
        file = self.tree / path
        if not inside(self.tree, file) or file.stat().st_size > _MAX_BYTES:
            return None
        try:
            return _Module(path, ast.parse(file.read_bytes()).body, self.python)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    def imported(self, module: _Module, statement: ast.ImportFrom) -> list[_Module]:
        """The modules of the tree that ``from X import …`` may mean, nearest first."""
        here = Path(module.path).parent
        name = (statement.module or "").replace(".", "/")
        if statement.level:
            folders = [here, *here.parents]
            starts = folders[statement.level - 1 : statement.level]
        else:
            starts = [here, *here.parents, Path("src")]
        for start in starts:
            for end in (f"{name}.py", f"{name}/__init__.py") if name else ("__init__.py",):
                if found := self.read((start / end).as_posix()):
                    return [found]
        return []

    def resolve(
        self, module: _Module, binding: Binding, depth: int = 0
    ) -> tuple[_Module, Binding] | None:
        """Follow imports to a definition in the tree; None when it lies elsewhere."""
        if not isinstance(binding.node, ast.ImportFrom):
            return module, binding
        for source in self.imported(module, binding.node) if depth < _DEEP else ():
            there = self.names(source, depth + 1).get(binding.name)
            if there is not None:
                found = self.resolve(source, there, depth + 1)
                if found is not None and not binding.certain:
                    found = found[0], Binding(found[1].node, certain=False)
                return found
        return None

    def names(self, module: _Module, depth: int = 0) -> dict[str, Binding]:
        """What a module binds, star imports from the tree spelled out."""
        if not any(key.startswith("*") for key in module.names):
            return module.names
        found: dict[str, Binding] = {}
        for key, binding in module.names.items():
            if not key.startswith("*"):
                found[key] = binding
            elif isinstance(binding.node, ast.ImportFrom) and depth < _DEEP:
                for source in self.imported(module, binding.node):
                    for name in self.names(source, depth + 1):
                        if not name.startswith("_"):
                            found[name] = Binding(binding.node, binding.certain, name)
        return found


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a class turned out to be, its bases included."""

    members: Mapping[str, Binding]
    unittest: bool
    known: bool
    """Whether all its bases are."""


@dataclass(frozen=True, slots=True)
class _Collector:
    """Collects from parsed modules as pytest does from imported ones."""

    modules: _Modules
    selection: Selection

    def module(self, module: _Module) -> Iterator[tuple[str, bool]]:
        names = self.modules.names(module)
        skipped = module_skip(module.body, module.python)
        if skipped or _is_false(names.get("__test__")):
            return
        marks = _marks_of(names.get("pytestmark"))
        for name, binding in names.items():
            found = self.modules.resolve(module, binding)
            if found is not None:
                for test, certain in self.member(name, *found, marks):
                    yield test, certain and skipped is False

    def member(
        self, name: str, module: _Module, binding: Binding, marks: frozenset[str]
    ) -> Iterator[tuple[str, bool]]:
        node = binding.node
        if isinstance(node, ast.ClassDef):
            for test, certain in self.of_class(name, module, node, marks):
                yield test, certain and binding.certain
        elif self.selection.takes_function(name):
            yield from self._function(name, binding, marks)

    def _function(
        self, name: str, binding: Binding, marks: frozenset[str]
    ) -> Iterator[tuple[str, bool]]:
        node = binding.node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        decorators = {last_name(one) for one in node.decorator_list}
        if not decorators & _NO_TEST and self.selection.takes_marks(marks | _marks(node)):
            unsure = "classmethod" in decorators or _yields(node)
            yield name, binding.certain and not unsure

    def of_class(
        self, name: str, module: _Module, node: ast.ClassDef, marks: frozenset[str]
    ) -> Iterator[tuple[str, bool]]:
        kind = self._kind(module, node)
        members = kind.members
        if _is_false(members.get("__test__")):
            return
        if not kind.unittest:
            made = {"__init__", "__new__"} & set(members)
            decorated = {last_name(one) for one in node.decorator_list} & _WITH_INIT
            if not self.selection.takes_class(name) or made or decorated:
                return
        marks = marks | _marks(node) | _marks_of(members.get("pytestmark"))
        found = list(self._methods(module, kind, marks))
        if kind.unittest and not found and "runTest" in members:
            found = [("runTest", True)]
        for method, certain in found:
            yield f"{name}::{method}", certain and (kind.unittest or kind.known)

    def _methods(
        self, module: _Module, kind: _Kind, marks: frozenset[str]
    ) -> Iterator[tuple[str, bool]]:
        for name, binding in kind.members.items():
            if not kind.unittest:
                yield from self.member(name, module, binding, marks)
            elif name.startswith("test"):
                yield from self._function(name, binding, marks)

    def _kind(self, module: _Module, node: ast.ClassDef, depth: int = 0) -> _Kind:
        members = dict(bindings(node.body, module.python))
        unittest, known = False, True
        for base in node.bases:
            name = last_name(base)
            found = self._base(module, base) if depth < _DEEP else None
            if found is not None:
                inner = self._kind(found[0], found[1], depth + 1)
                unittest, known = unittest or inner.unittest, known and inner.known
                members = {**inner.members, **members}
            elif name.endswith("TestCase"):
                unittest = True
            elif name not in _PLAIN_BASES:
                known = False
        return _Kind(members, unittest, known)

    def _base(self, module: _Module, base: ast.expr) -> tuple[_Module, ast.ClassDef] | None:
        if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
            return self._attribute(module, base.value.id, base.attr)
        binding = self.modules.names(module).get(last_name(base))
        found = self.modules.resolve(module, binding) if binding else None
        if found and isinstance(found[1].node, ast.ClassDef):
            return found[0], found[1].node
        return None

    def _attribute(
        self, module: _Module, owner: str, name: str
    ) -> tuple[_Module, ast.ClassDef] | None:
        """``from . import base`` and then ``base.Name``."""
        binding = self.modules.names(module).get(owner)
        if binding is None or not isinstance(binding.node, ast.ImportFrom):
            return None
        inner = ".".join(one for one in (binding.node.module, binding.name) if one)
        statement = ast.ImportFrom(inner, [], binding.node.level)
        for source in self.modules.imported(module, statement):
            there = self.modules.names(source).get(name)
            if there is not None and isinstance(there.node, ast.ClassDef):
                return source, there.node
        return None


def _is_false(binding: Binding | None) -> bool:
    node = binding.node if binding else None
    return isinstance(node, ast.Constant) and not node.value


def _marks(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> frozenset[str]:
    return _mark_names(node.decorator_list)


def _marks_of(binding: Binding | None) -> frozenset[str]:
    value = binding.node if binding else None
    listed = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
    return _mark_names(one for one in listed if isinstance(one, ast.expr))


def _mark_names(expressions: Iterable[ast.expr]) -> frozenset[str]:
    """Names of ``pytest.mark.NAME`` and ``mark.NAME``, with or without arguments."""
    plain = (one.func if isinstance(one, ast.Call) else one for one in expressions)
    return frozenset(
        one.attr
        for one in plain
        if isinstance(one, ast.Attribute) and last_name(one.value) == "mark"
    )


def _yields(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it is a generator, which pytest refuses as a test; functions inside do not count."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(one))
    return False


def _by_lines(path: Path, selection: Selection) -> Iterator[str]:
    """Tests of a file for another Python: definitions by their indentation."""
    owner = ""
    for line in path.read_text("utf-8", errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        name, outside = found["name"], not found["indent"]
        if found["kind"] == "class":
            taken = selection.takes_class(name) or re.search(r"TestCase\b", line)
            owner = name if outside and taken else "" if outside else owner
        elif outside and selection.takes_function(name):
            owner = ""
            yield name
        elif outside:
            owner = ""
        elif owner and selection.takes_function(name):
            yield f"{owner}::{name}"
