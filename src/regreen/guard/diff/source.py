"""A Python file made readable for the rules: what names stand for, and what texts are built from.

Nothing is run. An attribute reached through an alias, ``getattr``, ``sys.modules`` or a text in
pieces gets the same dotted name as one written plainly, so that a rule is written once.
"""

from __future__ import annotations

import ast
import base64
import binascii
import codecs
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Finding", "Source", "parse"]

_ROTATED = ("rot13", "rot_13", "rot-13")
_SAME = {"__builtins__": "builtins", "posix": "os", "nt": "os", "_signal": "signal", "_io": "io"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_MAX_TEXT = 100_000
_IMPORTERS = frozenset(("__import__", "builtins.__import__", "importlib.import_module"))
_READERS = frozenset(("getattr", "builtins.getattr"))


@dataclass(frozen=True, slots=True)
class Finding:
    """One construct in one file."""

    kind: str
    """A key of ``KINDS``."""
    key: str
    """What is used, without its place; the same construct has the same key on both sides."""
    line: int
    """Where, counted from 1."""


def parse(text: str) -> Source | None:
    """The file, or None when it is no Python."""
    try:
        return Source(ast.parse(text.lstrip("\ufeff")), text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class Source:
    """One parsed file.

    Args:
        tree: its syntax tree.
        text: its text.
    """

    def __init__(self, tree: ast.Module, text: str) -> None:
        self.tree = tree
        self.text = text
        self.depth = 0
        """How many texts given to ``exec`` lie around this one."""
        self.nodes = tuple(ast.walk(tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.aliases: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self._learn_imports()
        self._learn_names()

    def _learn_imports(self) -> None:
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for name in node.names:
                    top = name.name.partition(".")[0]
                    self.aliases[name.asname or top] = name.name if name.asname else top
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for name in node.names:
                    self.aliases[name.asname or name.name] = f"{node.module}.{name.name}"

    def _learn_names(self) -> None:
        for node in self.nodes:
            if not isinstance(node, ast.Assign) or len(node.targets) != 1:
                continue
            target, value = node.targets[0], node.value
            if not isinstance(target, ast.Name):
                continue
            if isinstance(value, ast.Attribute | ast.Call | ast.Subscript):
                name = self.name(value)
                if name and name.partition(".")[0] != target.id and not name.endswith(")"):
                    self.aliases.setdefault(target.id, name)
            text = self.fold(value)
            if text is not None:
                self.texts.setdefault(target.id, text)

    @cached_property
    def docstrings(self) -> frozenset[ast.AST]:
        """Texts that stand alone as a statement."""
        return frozenset(
            node.value
            for node in self.nodes
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        )

    @cached_property
    def bound(self) -> frozenset[str]:
        """Names that something other than an import gives a value, somewhere in the file."""
        stored = {
            node.id
            for node in self.nodes
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        return frozenset(stored | {node.arg for node in self.nodes if isinstance(node, ast.arg)})

    @cached_property
    def type_only(self) -> frozenset[ast.AST]:
        """Nodes that only type checkers see."""
        found: set[ast.AST] = set()
        for node in self.nodes:
            if isinstance(node, ast.If) and self.name(node.test).endswith("TYPE_CHECKING"):
                for statement in node.body:
                    found.update(ast.walk(statement))
        return frozenset(found)

    @cached_property
    def _functions(self) -> dict[ast.AST, ast.AST]:
        """The function around each node, or the module; parents come first in ``nodes``."""
        around: dict[ast.AST, ast.AST] = {}
        for node in self.nodes:
            parent = self.parents.get(node, self.tree)
            around[node] = parent if isinstance(parent, _FUNCTIONS) else around.get(parent, parent)
        return around

    @cached_property
    def _insides(self) -> dict[ast.AST, list[ast.AST]]:
        found: dict[ast.AST, list[ast.AST]] = {}
        for node, function in self._functions.items():
            found.setdefault(function, []).append(node)
        return found

    def function(self, node: ast.AST) -> ast.AST:
        """The function around a node, or the module."""
        return self._functions[node]

    def inside(self, function: ast.AST) -> list[ast.AST]:
        """The nodes of a function without those of functions in it."""
        return self._insides.get(function, [])

    def name(self, node: ast.AST) -> str:
        """The dotted name an expression stands for; empty where that cannot be told."""
        if isinstance(node, ast.Name):
            found = self.aliases.get(node.id, node.id)
            return _SAME.get(found, found)
        if isinstance(node, ast.Attribute):
            base = self.name(node.value)
            return self._dict_of(base) if node.attr == "__dict__" else _join(base, node.attr)
        if isinstance(node, ast.Call):
            return self._call_name(node)
        if isinstance(node, ast.Subscript):
            return self._item_name(node)
        return ""

    @staticmethod
    def _dict_of(base: str) -> str:
        return f"vars({base})" if base else ""

    def _call_name(self, node: ast.Call) -> str:
        callee = self.name(node.func)
        first = self.fold(node.args[0]) if node.args else None
        if callee in _IMPORTERS and first:
            module = first.partition(".")[0] if callee.endswith("__import__") else first
            return _SAME.get(module, module)
        if callee in _READERS and len(node.args) > 1:
            attribute = self.fold(node.args[1])
            return _join(self.name(node.args[0]), attribute) if attribute else ""
        if callee == "vars" and node.args:
            return self._dict_of(self.name(node.args[0]))
        if callee in ("sys.modules.get", "sys.modules.pop") and first:
            return _SAME.get(first, first)
        return f"{callee}()" if callee else ""

    def _item_name(self, node: ast.Subscript) -> str:
        base, key = self.name(node.value), self.fold(node.slice)
        if base in ("sys.modules", "globals()", "locals()") and key:
            return _SAME.get(key, key)
        if base.startswith("vars(") and key:
            return f"{base[5:-1]}.{key}"
        if base == "builtins" and key:
            return f"builtins.{key}"
        return f"{base}[]" if base else ""

    def fold(self, node: ast.AST, depth: int = 0) -> str | None:
        """The text an expression of constants makes; None where it is not one."""
        if depth > 12:
            return None
        found: str | None = None
        match node:
            case ast.Constant():
                found = _as_text(node.value)
            case ast.Name():
                found = self.texts.get(node.id)
            case ast.JoinedStr():
                found = self._joined(node, depth)
            case ast.BinOp():
                found = self._sum(node, depth)
            case ast.Subscript():
                found = self._sliced(node, depth)
            case ast.Call():
                found = self._called(node, depth)
            case _:
                pass
        return found

    def _joined(self, node: ast.JoinedStr, depth: int) -> str:
        """Unknown values count as the digit 0, which is what most of them print."""
        parts = []
        for value in node.values:
            inner = value.value if isinstance(value, ast.FormattedValue) else value
            parts.append(self.fold(inner, depth + 1) or "0")
        return "".join(parts)

    def _sum(self, node: ast.BinOp, depth: int) -> str | None:
        left = self.fold(node.left, depth + 1)
        if isinstance(node.op, ast.Mod) and left is not None and len(left) < _MAX_TEXT:
            return self._filled(left.replace("%s", "{}"), node.right, depth)
        if isinstance(node.op, ast.Add) and left is not None:
            right = self.fold(node.right, depth + 1)
            return None if right is None or len(left) > _MAX_TEXT else left + right
        return None

    def _filled(self, text: str, values: ast.expr, depth: int) -> str | None:
        """``"%s%s" % (...)`` and ``"{}{}".format(...)``, where every value is a text."""
        items = values.elts if isinstance(values, ast.Tuple) else [values]
        parts = [self.fold(item, depth + 1) for item in items]
        if None in parts or text.count("{}") != len(parts):
            return None
        for part in parts:
            text = text.replace("{}", part or "", 1)
        return text

    def _sliced(self, node: ast.Subscript, depth: int) -> str | None:
        text = self.fold(node.value, depth + 1)
        part = node.slice
        if text is None or not isinstance(part, ast.Slice) or part.lower or part.upper:
            return None
        try:
            step = ast.literal_eval(part.step) if part.step else 1
            return text[::step]
        except (ValueError, TypeError):
            return None

    def _called(self, node: ast.Call, depth: int) -> str | None:
        name = self.name(node.func)
        try:
            if isinstance(node.func, ast.Attribute) and node.func.attr == "join" and node.args:
                return self._list_joined(node, depth)
            if name == "chr" and len(node.args) == 1:
                return chr(int(ast.literal_eval(node.args[0])))
            if name in ("bytes", "bytearray") and len(node.args) == 1:
                return bytes(ast.literal_eval(node.args[0])).decode("latin-1")
            decoded = self._decoded(name, node, depth)
            return decoded if decoded is not None else self._method(node, depth)
        except (ValueError, TypeError, OverflowError, LookupError, binascii.Error, SyntaxError):
            return None

    def _list_joined(self, node: ast.Call, depth: int) -> str | None:
        assert isinstance(node.func, ast.Attribute)
        glue = self.fold(node.func.value, depth + 1)
        items = node.args[0]
        if glue is None or not isinstance(items, ast.List | ast.Tuple):
            return self._mapped(node, depth) if glue == "" else None
        parts = [self.fold(item, depth + 1) for item in items.elts]
        return None if None in parts else glue.join(part for part in parts if part is not None)

    def _mapped(self, node: ast.Call, depth: int) -> str | None:
        """``"".join(map(chr, [...]))``, ``"".join(reversed("..."))`` and their comprehensions."""
        inner = node.args[0]
        if isinstance(inner, ast.GeneratorExp | ast.ListComp) and self.name_of_call(inner.elt) == (
            "chr"
        ):
            values = ast.literal_eval(inner.generators[0].iter)
            return "".join(chr(value) for value in values)
        if not isinstance(inner, ast.Call):
            return None
        name = self.name(inner.func)
        if name == "map" and self.name(inner.args[0]) == "chr":
            return "".join(chr(value) for value in ast.literal_eval(inner.args[1]))
        if name == "reversed":
            return (self.fold(inner.args[0], depth + 1) or "")[::-1]
        return None

    def name_of_call(self, node: ast.AST) -> str:
        """The dotted name of what a call calls; empty for anything else."""
        return self.name(node.func) if isinstance(node, ast.Call) else ""

    def _decoded(self, name: str, node: ast.Call, depth: int) -> str | None:
        first = self.fold(node.args[0], depth + 1) if node.args else None
        if first is None:
            return None
        raw = first.encode("latin-1", "replace")
        tail = name.rpartition(".")[2]
        if tail in ("b64decode", "urlsafe_b64decode", "standard_b64decode"):
            return base64.b64decode(raw).decode("latin-1")
        if tail == "b32decode":
            return base64.b32decode(raw).decode("latin-1")
        if tail in ("unhexlify", "a2b_hex", "fromhex", "b16decode"):
            return bytes.fromhex(first).decode("latin-1")
        if name == "codecs.decode" and len(node.args) > 1 and self.fold(node.args[1]) in _ROTATED:
            return codecs.decode(first, "rot13")
        return None

    def _method(self, node: ast.Call, depth: int) -> str | None:
        if not isinstance(node.func, ast.Attribute):
            return None
        text = self.fold(node.func.value, depth + 1)
        if text is None:
            return None
        arguments = [self.fold(item, depth + 1) for item in node.args]
        found: str | None = None
        match node.func.attr, arguments:
            case "decode" | "encode", _:
                found = text
            case "lower" | "upper" | "strip" | "title" | "swapcase" as change, []:
                found = str(getattr(text, change)())
            case "format", _ if not node.keywords:
                values = ast.Tuple(elts=node.args, ctx=ast.Load())
                found = self._filled(text, values, depth)
            case "translate", [_]:
                found = text.translate(ast.literal_eval(node.args[0]))
            case "replace", [str(old), str(new)] if old:
                found = text.replace(old, new)
            case _:
                pass
        return found


def _join(base: str, attribute: str | None) -> str:
    return f"{base}.{attribute}" if base and attribute else ""


def _as_text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else None
