"""What Python code would call, read from its syntax tree without running it.

Constants are followed through names, concatenation, formatting and the usual encodings; an address
that is never a constant leaves a hole. Text that is only printed, written or compared is no call.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from regreen.guard.shell.command import Command
from regreen.guard.shell.scope import HOLE
from regreen.guard.shell.values import Value, builtin, method, plain

__all__ = ["Found", "read_python"]

_MOST_CALLS = 2_000
_MOCKS = (
    "import responses", "unittest import mock", "mock.patch", "monkeypatch.setattr",
    "requests_mock", "httpretty", "respx", "pytest_httpx", "vcr", "aioresponses", "pook",
    "import mock",    "httpx.MockTransport", "pytest_httpserver", "urllib3_mock",
)  # fmt: skip
_RUN_TEXT = (
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell", "commands.getoutput", "pexpect.spawn", "pexpect.run",
    "pty.spawn", "popen2.popen3", "invoke.run",
)  # fmt: skip
_RUN_WORDS = (
    "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output",
    "subprocess.Popen", "asyncio.create_subprocess_exec", "pty.spawn", "os.posix_spawn",
    "plumbum.local",
)  # fmt: skip
_PIP = ("pip.main", "pip._internal.main", "pip._internal.cli.main.main", "pip._internal.main.main")


@dataclass(slots=True)
class Found:
    """What reading a piece of Python gave."""

    commands: list[Command] = field(default_factory=list)
    """Calls by dotted name."""
    scripts: list[str] = field(default_factory=list)
    """Shell text that it runs."""
    words: list[tuple[str, ...]] = field(default_factory=list)
    """Programs that it runs without a shell."""
    writes: dict[str, str] = field(default_factory=dict)
    """Files it writes with text that is known."""
    printed: str | None = ""
    """What it prints, or None where that is not known."""


def read_python(
    code: str,
    *,
    arguments: Sequence[str] = (),
    environment: Callable[[str], str] = lambda name: HOLE,
    read: Callable[[str], str | None] = lambda name: None,
) -> Found:
    """Read a program.

    Args:
        code: its text.
        arguments: ``sys.argv``.
        environment: value of an environment variable.
        read: text of a file, or None.
    """
    bound: dict[str, list[Value]] = {}
    for _ in range(2):
        reader = _Reader(tuple(arguments), environment, read, bound)
        reader.source(code)
        bound = reader.calls_of
    return reader.found


class _Reader:
    def __init__(
        self,
        arguments: tuple[str, ...],
        environment: Callable[[str], str],
        read: Callable[[str], str | None],
        bound: dict[str, list[Value]],
    ) -> None:
        self.found = Found()
        self.calls_of: dict[str, list[Value]] = {}
        self._names: dict[str, Value] = {
            "sys.argv": Value(items=tuple(map(plain, arguments))),
            "sys.executable": plain("/usr/bin/python3"),
        }
        self._environment = environment
        self._read = read
        self._bound = bound
        self._mocked = False
        self._starred = ""
        self._depth = 0

    def source(self, code: str) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(code.replace("\0", ""))
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            self.found.printed = None
            return
        self._mocked = self._mocked or any(mock in code for mock in _MOCKS)
        self._block(tree.body)

    def _block(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:  # noqa: PLR0912
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.split(".")[0]
                self._names[alias.asname or name] = Value(name=name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name == "*":
                    self._starred = node.module or ""
                name = f"{node.module or ''}.{alias.name}".strip(".")
                self._names[alias.asname or alias.name] = Value(name=name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._function(node)
        elif isinstance(node, ast.Assign):
            value = self._value(node.value)
            for target in node.targets:
                self._assign(target, value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, self._value(node.value))
        elif isinstance(node, ast.AugAssign):
            both = ast.BinOp(ast.Name(ast.unparse(node.target)), node.op, node.value)
            self._assign(node.target, self._value(both))
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._for(node)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        else:
            self._others(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        values = self._bound.get(node.name, [])
        names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
        for name in names:
            self._names[name] = Value()
        for name, default in zip(reversed(names), reversed(node.args.defaults), strict=False):
            self._names[name] = self._value(default)
        for name, value in zip(names, values, strict=False):
            self._names[name] = value
        self._names[node.name] = Value(name=f"local.{node.name}")
        for decorator in node.decorator_list:
            self._value(decorator)
        self._block(node.body)

    def _class(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self._statement(statement)
            targets = statement.targets if isinstance(statement, ast.Assign) else ()
            for target in targets:
                if isinstance(target, ast.Name):
                    for owner in ("self", "cls", node.name):
                        self._names[f"{owner}.{target.id}"] = self._names[target.id]

    def _global(self, name: str) -> str:
        """A name that nothing here defines: a builtin, or what a star import brought."""
        starred = self._starred and not hasattr(builtins, name)
        return f"{self._starred}.{name}" if starred else name

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        value = self._value(node.iter)
        for item in value.items[:16] or (Value(strings=value.strings),):
            self._assign(node.target, item)
            self._block(node.body)
        self._block(node.orelse)

    def _others(self, node: ast.stmt) -> None:
        for _, content in ast.iter_fields(node):
            for part in content if isinstance(content, list) else [content]:
                if isinstance(part, ast.expr):
                    self._value(part)
                elif isinstance(part, ast.stmt):
                    self._statement(part)
                elif isinstance(part, ast.withitem):
                    value = self._value(part.context_expr)
                    if part.optional_vars is not None:
                        self._assign(part.optional_vars, value)
                elif isinstance(part, ast.ExceptHandler | ast.match_case):
                    self._block(part.body)

    def _assign(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name | ast.Attribute):
            self._names[ast.unparse(target)] = value
        elif isinstance(target, ast.Tuple | ast.List):
            for place, each in enumerate(target.elts):
                item = value.items[place] if place < len(value.items) else Value()
                self._assign(each, item)
        elif isinstance(target, ast.Subscript) and ast.unparse(target.value) == "os.environ":
            key = self._value(target.slice).text
            self._names[f"environ {key}"] = value

    def _value(self, node: ast.expr | None) -> Value:
        if node is None or self._depth > 60:
            return Value()
        self._depth += 1
        try:
            return self._evaluated(node)
        finally:
            self._depth -= 1

    def _evaluated(self, node: ast.expr) -> Value:  # noqa: PLR0911, PLR0912
        if isinstance(node, ast.Constant):
            return plain(node.value)
        if isinstance(node, ast.Name):
            return self._names.get(node.id) or Value(name=self._global(node.id))
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.JoinedStr):
            return Value.join("", [self._value(part) for part in node.values])
        if isinstance(node, ast.FormattedValue):
            return self._value(node.value)
        if isinstance(node, ast.BinOp):
            return Value.binary(node.op, self._value(node.left), self._value(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = self._value(node.operand).number
            return Value(number=None if number is None else -number)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return Value.of([self._value(each) for each in node.elts])
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.Lambda):
            return self._value(node.body)
        if isinstance(node, ast.NamedExpr):
            value = self._value(node.value)
            self._assign(node.target, value)
            return value
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
            return self._comprehension(node)
        values = [
            self._value(part) for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)
        ]
        return Value(strings=tuple(text for value in values for text in value.strings))

    def _attribute(self, node: ast.Attribute) -> Value:
        return self._of_owner(self._value(node.value), node)

    def _of_owner(self, owner: Value, node: ast.Attribute) -> Value:
        known = self._names.get(ast.unparse(node)) if isinstance(node.value, ast.Name) else None
        if known is not None:
            return known
        if owner.name == "sys" and node.attr in {"argv", "executable"}:
            return self._names[f"sys.{node.attr}"]
        return Value(name=f"{owner.name}.{node.attr}" if owner.name else "", strings=owner.strings)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> Value:
        source = self._value(node.generators[0].iter)
        items = []
        for item in source.items[:256]:
            self._assign(node.generators[0].target, item)
            items.append(self._value(node.elt))
        if not items:
            self._assign(node.generators[0].target, Value(strings=source.strings))
            self._value(node.elt)
        return Value.of(items) if items else Value(strings=source.strings)

    def _subscript(self, node: ast.Subscript) -> Value:
        owner = self._value(node.value)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            numbers = [None if part is None else self._value(part).number for part in parts]
            return owner.cut(*numbers)
        key = self._value(node.slice)
        if owner.name == "os.environ" and key.text is not None:
            known = self._names.get(f"environ {key.text}")
            return known or plain(self._environment(key.text))
        if key.number is not None and -len(owner.items) <= key.number < len(owner.items):
            return owner.items[key.number]
        return Value(name=owner.name, strings=owner.strings)

    def _call(self, node: ast.Call) -> Value:
        values = [
            self._value(each.value if isinstance(each, ast.Starred) else each) for each in node.args
        ]
        named = {each.arg or "": self._value(each.value) for each in node.keywords}
        if isinstance(node.func, ast.Attribute):
            owner = self._value(node.func.value)
            known = method(owner, node.func.attr, values, named)
            if known is not None:
                return known
            callee = self._of_owner(owner, node.func)
        else:
            callee = self._value(node.func)
        every = [*values, *named.values()]
        made = builtin(callee.name, values) or self._known_function(callee.name, values)
        if made is not None:
            return made
        self._record(node, callee, values, named)
        strings = tuple(text for value in every for text in value.strings)
        return Value(name=callee.name, strings=callee.strings + strings)

    def _known_function(self, name: str, values: list[Value]) -> Value | None:
        texts = [value.text for value in values]
        first = texts[0] if texts else None
        if name in {"__import__", "importlib.import_module"} and first is not None:
            return Value(name=first if name[0] == "i" else first.split(".")[0])
        if name == "getattr" and len(values) > 1 and texts[1] is not None:
            return Value(name=f"{values[0].name}.{texts[1]}", strings=values[0].strings)
        if name in {"os.getenv", "os.environ.get"} and first is not None:
            return self._names.get(f"environ {first}") or plain(self._environment(first))
        if name in {"exec", "eval", "compile", "builtins.exec", "runpy.run_path"}:
            code = first
            if name == "runpy.run_path" and first is not None:
                code = self._read(first)
            if code is not None and HOLE not in code and self._depth < 30:
                self.source(code)
            return Value(strings=tuple(text for value in values for text in value.strings))
        if name == "open" and first is not None and (text := self._read(first)) is not None:
            return Value(name="file", text=text, strings=(first,))
        return None

    def _record(
        self, node: ast.Call, callee: Value, values: list[Value], named: dict[str, Value]
    ) -> None:
        name = callee.name
        if name == "print":
            texts = [value.text for value in values]
            known = None if None in texts else " ".join(text for text in texts if text) + "\n"
            before = self.found.printed
            self.found.printed = None if known is None or before is None else before + known
        self._write(name, callee, values)
        if name.startswith("local."):
            self.calls_of[name.removeprefix("local.")] = values
        self._run(name, values, named)
        if not name or len(self.found.commands) >= _MOST_CALLS:
            return
        every = [*values, *named.values()]
        arguments = [text for value in every for text in value.texts()]
        if not arguments and callee.strings:
            arguments = list(callee.strings)
        self.found.commands.append(
            Command(
                program=name,
                arguments=tuple(arguments),
                language="python",
                text=ast.unparse(node)[:200],
                mocked=self._mocked,
            )
        )

    def _write(self, name: str, callee: Value, values: list[Value]) -> None:
        """Note a file that is written with known text."""
        if name.endswith((".write", ".write_text", ".writelines")) and values and callee.strings:
            text = values[0].text
            if text is not None:
                path = callee.strings[0]
                self.found.writes[path] = self.found.writes.get(path, "") + text

    def _run(self, name: str, values: list[Value], named: dict[str, Value]) -> None:
        first = values[0] if values else named.get("args", Value())
        words = tuple(item.text if item.text is not None else HOLE for item in first.items)
        if name in _PIP:
            self.found.words.append(("pip", *words))
        elif name in _RUN_TEXT and first.text is not None:
            self.found.scripts.append(first.text)
        elif name.startswith(("os.exec", "os.spawn")):
            texts = [text for value in values for text in value.texts() if not text.isdigit()]
            self.found.words.append(tuple(texts[1:]))
        elif name in _RUN_WORDS or name in _RUN_TEXT:
            if words:
                self.found.words.append(words)
            elif first.text is not None and len(values) > 1 and values[1].text is not None:
                self.found.words.append(tuple(v.text or HOLE for v in values))
            elif first.text is not None:
                self.found.scripts.append(first.text)
