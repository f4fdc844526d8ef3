"""What a test file offers to its tests: imports, constants, helpers, fixtures, ``setUp``."""

from __future__ import annotations

import ast
import builtins
import copy
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from regreen.tasks.tell.expectations import Plain

__all__ = ["FileParts", "Outside", "bound_names", "loaded_names"]

_OF_TESTS = re.compile(r"(?:^|\.)(?:tests?|test_\w+|\w+_test|conftest)(?:\.|$)")
_SET_UP = ("setUp", "setup_method", "setup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Statements of a file that define names."""

    nodes: tuple[ast.stmt, ...]
    """In the file's order; imports carry the needed names only."""
    missing: frozenset[str]
    """Names that nothing usable defines."""
    library: tuple[str, ...]
    """Imported names that are neither the standard library's nor a test tool's."""


def loaded_names(node: ast.AST) -> set[str]:
    """Names a statement reads, those of its own parameters and loops left out."""
    inner = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    inner |= {
        name.id
        for part in ast.walk(node)
        if isinstance(part, ast.comprehension)
        for name in ast.walk(part.target)
        if isinstance(name, ast.Name)
    }
    loads = (ast.Load, ast.Del)
    return {
        part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, loads) and part.id not in inner
    }


def bound_names(node: ast.AST) -> set[str]:
    """Names a statement binds or changes in place."""
    found: set[str] = set()
    for part in ast.walk(node):
        match part:
            case ast.Name(ctx=ast.Store()):
                found.add(part.id)
            case ast.Subscript(ctx=ast.Store(), value=ast.Name(id=name)):
                found.add(name)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(part.name)
            case ast.Import() | ast.ImportFrom():
                found |= {alias.asname or alias.name.partition(".")[0] for alias in part.names}
            case ast.ExceptHandler(name=str(name)):
                found.add(name)
    return found


class FileParts:
    """The top of one test file.

    Args:
        body: statements of the file, and of others it works with.
        path: where it stands, to resolve relative imports.
    """

    def __init__(self, body: Sequence[ast.stmt], path: str) -> None:
        parts = path.split("/")[:-1]
        self._package = parts[1:] if parts[:1] in (["src"], ["lib"]) else parts
        self._body = list(body)
        self._star = [
            node
            for node in body
            if isinstance(node, ast.ImportFrom)
            and node.names[0].name == "*"
            and not node.level
            and not _OF_TESTS.search(node.module or "")
        ]

    def defining(self, names: Iterable[str]) -> Outside:
        """Statements that define names, and what those need in turn."""
        wanted, known = list(names), set(names)
        chosen: dict[int, set[str]] = {}
        missing: set[str] = set()
        while wanted:
            name = wanted.pop()
            found = [i for i, node in enumerate(self._body) if self._defines(node, name)]
            if not found:
                missing.add(name)
            for index in found:
                chosen.setdefault(index, set()).add(name)
                new = loaded_names(self._body[index]) - bound_names(self._body[index]) - known
                known |= new
                wanted += new
        nodes = [self._narrowed(self._body[i], used) for i, used in sorted(chosen.items())]
        missing -= set(dir(builtins))
        if missing and self._star:
            nodes, missing = [*self._star, *nodes], set()
        library = {
            name
            for i, used in chosen.items()
            if isinstance(node := self._body[i], ast.Import | ast.ImportFrom) and _is_library(node)
            for name in used
        }
        return Outside(
            nodes=tuple(nodes), missing=frozenset(missing), library=tuple(sorted(library))
        )

    def _defines(self, node: ast.stmt, name: str) -> bool:
        if re.match(r"test_|Test[A-Z]", name):
            return False
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return node.name == name and not _is_fixture(node)
        if name not in bound_names(node):
            return False
        if isinstance(node, ast.Import):
            return any(
                name == (alias.asname or alias.name.partition(".")[0])
                and not _OF_TESTS.search(alias.name)
                for alias in node.names
            )
        return not isinstance(node, ast.ImportFrom) or not _of_tests(self._module(node), name, node)

    def _module(self, node: ast.ImportFrom) -> str:
        """The absolute name of what is imported from."""
        above = self._package[: len(self._package) - node.level + 1] if node.level else []
        return ".".join([*above, *([node.module] if node.module else [])])

    def _narrowed(self, node: ast.stmt, used: set[str]) -> ast.stmt:
        """An import of the used names only."""
        if not isinstance(node, ast.Import | ast.ImportFrom):
            return node
        names = [a for a in node.names if (a.asname or a.name.partition(".")[0]) in used]
        if isinstance(node, ast.Import):
            return ast.Import(names=names)
        return ast.ImportFrom(module=self._module(node), names=names, level=0)

    def setting(self, cls: ast.stmt | None, shown: str) -> Iterator[ast.stmt]:
        """What a test's class does before it: attributes and helpers, then ``setUp``.

        Args:
            cls: the class the test is written in.
            shown: its ``self`` as pytest showed it; names the class that ran.
        """
        lineage = self._lineage(cls, shown)
        parts = [part for node in lineage for part in node.body]
        for node in reversed(lineage):
            for part in node.body:
                if isinstance(part, ast.Assign | ast.AnnAssign):
                    yield part
                elif _is_helper(part):
                    yield _as_function(part)
        set_up = (part for part in parts if isinstance(part, ast.FunctionDef))
        yield from next((part.body for part in set_up if part.name in _SET_UP), [])

    def _lineage(self, cls: ast.stmt | None, shown: str) -> list[ast.ClassDef]:
        """The class that ran and its bases in this file, the most derived first.

        A test inherited into a class of another file has none: half a setting would mislead.
        """
        classes: dict[str, ast.ClassDef] = {}
        for node in self._body:
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, node)
        named = re.match(r"<(?:\w+\.)*(\w+)", shown)
        todo: list[ast.stmt | None] = [classes.get(named[1]) if named else cls]
        lineage: list[ast.ClassDef] = []
        while todo:
            one = todo.pop(0)
            if isinstance(one, ast.ClassDef) and one not in lineage:
                lineage.append(one)
                bases = [base.id for base in one.bases if isinstance(base, ast.Name)]
                todo += [classes[base] for base in bases if base in classes]
        return lineage

    def fixture(self, name: str, cls: ast.stmt | None, shown: str) -> list[ast.stmt]:
        """Statements that make the value of a fixture of this file; none when it has no such.

        A fixture with parameters is made with its first: pytest does not show which was in use.
        """
        lineage = self._lineage(cls, shown)
        places = [part for node in lineage for part in node.body] + self._body
        for node in places:
            if isinstance(node, ast.FunctionDef) and node.name == name and _is_fixture(node):
                plain = _as_function(node)
                if _plain_value(plain, node):
                    needs = [arg.arg for arg in plain.args.args]
                    plain.args.args = []
                    made = [part for one in needs for part in self.fixture(one, cls, shown)]
                    value = ast.parse(f"{name} = {name}()").body[0]
                    return [*made, plain, value]
        return []


def _is_fixture(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)


def _is_helper(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    """Whether a method is called by tests and not by pytest."""
    if not isinstance(node, ast.FunctionDef) or re.match(r"test|tearDown|teardown|__", node.name):
        return False
    return node.name not in _SET_UP and not _is_fixture(node)


def _as_function(node: ast.FunctionDef) -> ast.FunctionDef:
    """A method or a fixture as a plain function."""
    made: ast.FunctionDef = Plain().visit(copy.deepcopy(node))
    made.decorator_list = []
    made.args.args = [arg for arg in made.args.args if arg.arg not in ("self", "cls")]
    return made


def _plain_value(made: ast.FunctionDef, original: ast.FunctionDef) -> bool:
    """Put a fixture's first parameter in and let it return; False when that is not possible."""
    made.args.args = [arg for arg in made.args.args if arg.arg != "request"]
    parameters = [
        word.value
        for decorator in original.decorator_list
        if isinstance(decorator, ast.Call)
        for word in decorator.keywords
        if word.arg == "params"
    ]
    given = parameters[0] if parameters else None
    first = given.elts[0] if isinstance(given, ast.Tuple | ast.List) and given.elts else None
    for node in ast.walk(made):
        for field, value in ast.iter_fields(node):
            if isinstance(value, ast.Attribute) and ast.unparse(value) == "request.param" and first:
                setattr(node, field, first)
            elif isinstance(value, list) and first:
                value[:] = [
                    first if isinstance(v, ast.Attribute) and ast.unparse(v) == "request.param"
                    else v
                    for v in value
                ]  # fmt: skip
    for index, node in enumerate(made.body):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield) and node.value.value:
            made.body[index:] = [ast.Return(value=node.value.value)]  # what follows cleans up
            break
    names = loaded_names(made)
    generator = any(isinstance(part, ast.Yield | ast.YieldFrom) for part in ast.walk(made))
    return not generator and "request" not in names


def _of_tests(module: str, name: str, node: ast.ImportFrom) -> bool:
    """Whether what is imported under a name is a module of tests, or stands in one."""
    real = next((a.name for a in node.names if (a.asname or a.name) == name), name)
    return bool(_OF_TESTS.search(module) or re.fullmatch(r"test_\w+|conftest", real))


def _is_library(node: ast.Import | ast.ImportFrom) -> bool:
    names = (
        [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
    )
    tops = {name.partition(".")[0] for name in names}
    return not tops <= sys.stdlib_module_names | {"pytest", "hypothesis"}
