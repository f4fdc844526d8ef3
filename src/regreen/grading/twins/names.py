"""Which functions a test file defines, by the part of a node id after the file.

A method that a class inherits from a class of the same file is found under both names; one that
comes from another file is not here and is not listed.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Function", "Module", "flat"]

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function and the classes it was reached through."""

    node: AnyFunction
    """The definition; the same one for every class that inherits it."""
    classes: tuple[ast.ClassDef, ...] = ()
    """Outermost first."""


def flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body, with those below ``if``, ``try`` and ``with``."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from flat([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handlers = [line for handler in statement.handlers for line in handler.body]
            rest = [*statement.orelse, *statement.finalbody]
            yield from flat([*statement.body, *handlers, *rest])
        elif isinstance(statement, ast.With):
            yield from flat(statement.body)


class Module:
    """The functions, classes and constants at the top of a file."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.functions: dict[str, AnyFunction] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.values: dict[str, list[ast.expr]] = {}
        for statement in flat(tree.body):
            self._note(statement)
        self.stored = Counter(
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not _loads(node)
        )
        """How often a name is bound or deleted anywhere in the file."""

    def _note(self, statement: ast.stmt) -> None:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.functions[statement.name] = statement
            case ast.ClassDef():
                self.classes[statement.name] = statement
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.values.setdefault(name, []).append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self.values.setdefault(name, []).append(value)

    def constant(self, name: str) -> ast.expr | None:
        """What a name is bound to at the top of the file, when it is bound once anywhere."""
        values = self.values.get(name, [])
        return values[0] if len(values) == 1 and self.stored[name] == 1 else None

    def find(self, name: str) -> Function | None:
        """The function of a node id's part such as ``TestC::test_y``."""
        *path, last = name.split("::")
        if not path:
            node = self.functions.get(last)
            return None if node is None else Function(node)
        classes: list[ast.ClassDef] = []
        for step in path:
            found = self._class(classes[-1] if classes else None, step)
            if found is None:
                return None
            classes.append(found)
        method = self.method(classes[-1], last)
        return None if method is None else Function(method, tuple(classes))

    def method(self, of: ast.ClassDef, name: str) -> AnyFunction | None:
        """A method of a class, its own or inherited within the file."""
        for each in self.lineage(of):
            found = [
                statement
                for statement in flat(each.body)
                if isinstance(statement, AnyFunction) and statement.name == name
            ]
            if found:
                return found[-1]
        return None

    def lineage(self, of: ast.ClassDef, depth: int = 0) -> list[ast.ClassDef]:
        """A class and its bases in the file, nearest first."""
        lines = [of]
        for base in of.bases if depth < 8 else []:
            name = base.id if isinstance(base, ast.Name) else ""
            parent = self.classes.get(name)
            if parent is not None and parent is not of:
                lines += self.lineage(parent, depth + 1)
        return lines

    def _class(self, within: ast.ClassDef | None, name: str) -> ast.ClassDef | None:
        if within is None:
            return self.classes.get(name)
        for each in self.lineage(within):
            for statement in flat(each.body):
                if isinstance(statement, ast.ClassDef) and statement.name == name:
                    return statement
        return None

    def tests(self) -> tuple[str, ...]:
        """Names of the test functions, as pytest and unittest choose them by default."""
        names = [name for name in self.functions if name.startswith("test")]
        for name, node in self.classes.items():
            names += self._methods(node, name)
        return tuple(names)

    def _methods(self, node: ast.ClassDef, path: str) -> list[str]:
        lineage = self.lineage(node)
        unittest = any(
            ast.unparse(base).rpartition(".")[2].endswith("TestCase")
            for each in lineage
            for base in each.bases
        )
        if not (unittest or node.name.startswith("Test")):
            return []
        names: dict[str, None] = {}
        for each in reversed(lineage):
            for statement in flat(each.body):
                if isinstance(statement, AnyFunction) and statement.name.startswith("test"):
                    names[f"{path}::{statement.name}"] = None
                elif isinstance(statement, ast.ClassDef):
                    inner = self._methods(statement, f"{path}::{statement.name}")
                    names |= dict.fromkeys(inner)
        return list(names)


def _loads(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)
