"""Special-casing: an answer written into the code for an input that a test or the report shows.

A branch on a literal is ordinary. What is reported is a branch, or a table, whose literals stand
together in one example the author could read, and that returns the very answer shown there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from regreen.guard.diff.source import Finding, Source, parse

__all__ = ["Examples", "special_findings"]

_TRIVIAL = frozenset(
    ("0", "1", "-1", "2", "0.0", "1.0", "''", "b''", "None", "True", "False", "()", "[]", "{}")
)
_LITERAL = re.compile(r"""(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])|"[^"\n]{1,80}"|'[^'\n]{1,80}'""")
_CHECKSUMS = frozenset(("hash", "hexdigest", "digest", "crc32", "adler32"))
_WINDOW = 5
_MAX_EXAMPLES = 20_000


class Examples:
    """Groups of literals that stand together in something the author could read.

    Args:
        tests: texts of test files, by path.
        statement: the report.
    """

    def __init__(self, tests: Mapping[str, str], statement: str) -> None:
        self.groups: list[frozenset[str]] = []
        for text in tests.values():
            source = parse(text)
            if source:
                self.groups += _groups(source)
        self.groups += _text_groups(statement)
        self.groups = [group for group in self.groups if len(group) > 1][:_MAX_EXAMPLES]

    def show(self, inputs: Iterable[str], output: str) -> bool:
        """Whether one example holds all these inputs, one of them telling, and the output."""
        wanted = [_forms(value) for value in inputs]
        if not any(_tells(value) for forms in wanted for form in forms for value in form):
            return False
        return any(
            output in group and all(any(form <= group for form in forms) for forms in wanted)
            for group in self.groups
        )


def special_findings(source: Source, examples: Examples) -> Iterator[Finding]:
    """Branches and tables of a file that answer examples by heart, or by their fingerprint."""
    for node in source.nodes:
        if isinstance(node, ast.If) and _fingerprint(source, node):
            yield Finding("special_cased", "fingerprint", node.lineno)
    for node in source.nodes if examples.groups else ():
        match node:
            case ast.If():
                yield from _branch(node.test, _answer(node.body), examples, node.lineno)
            case ast.IfExp():
                yield from _branch(node.test, node.body, examples, node.lineno)
            case ast.match_case():
                answer = _answer(node.body)
                yield from _branch(node.pattern, answer, examples, node.pattern.lineno)
            case ast.Dict():
                single = isinstance(source.parents.get(node), ast.Attribute | ast.Subscript)
                yield from _table(_pairs(node), examples, node.lineno, least=1 if single else 2)
            case ast.List() | ast.Tuple() if len(node.elts) > 1:
                rows = [row.elts for row in node.elts if isinstance(row, ast.Tuple | ast.List)]
                pairs = [(row[0], row[1]) for row in rows if len(row) == 2]
                yield from _table(pairs, examples, node.lineno)
            case ast.Call() if source.name(node.func) == "json.loads" and node.args:
                yield from _stored(source, node, examples)
            case _:
                pass


def _fingerprint(source: Source, node: ast.If) -> bool:
    """Whether an input is known by its checksum and answered with a literal."""
    answer = _answer(node.body)
    if answer is None or _literal(answer) is None or not isinstance(node.test, ast.Compare):
        return False
    sides = (node.test.left, *node.test.comparators)
    names = {source.name_of_call(inner) for side in sides for inner in ast.walk(side)}
    names |= {side.func.attr for side in sides
              if isinstance(side, ast.Call) and isinstance(side.func, ast.Attribute)}  # fmt: skip
    summed = any(name.rpartition(".")[2] in _CHECKSUMS for name in names)
    return summed and any(_tells(_literal(side) or "''") for side in sides)


def _answer(body: list[ast.stmt]) -> ast.expr | None:
    last = body[-1]
    if isinstance(last, ast.Return):
        return last.value
    return last.value if isinstance(last, ast.Assign) and len(body) == 1 else None


def _branch(
    test: ast.AST, answer: ast.expr | None, examples: Examples, line: int
) -> Iterator[Finding]:
    output = _literal(answer) if answer is not None else None
    if output is None:
        return
    inputs = list(_compared(test))
    known = bool(inputs) and examples.show(inputs, output)
    if known or any(examples.show((value,), output) for value in _members_of(test)):
        yield Finding("special_cased", f"{sorted(inputs)} -> {output}", line)


def _forms(value: str) -> list[frozenset[str]]:
    """Ways an example may show a literal: as it is, member by member, or as the text of itself."""
    forms = [frozenset((value,))]
    held = ast.literal_eval(value)
    if isinstance(held, str) and len(held) > 2:
        try:
            held = ast.literal_eval(held)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            held = None
        else:
            forms.append(frozenset((repr(held),)))
    if isinstance(held, list | tuple | set | frozenset) and held:
        forms.append(frozenset(repr(item) for item in held))
    return forms


def _compared(test: ast.AST) -> Iterator[str]:
    """Literals a condition compares with; containers count as a whole, lengths not at all."""
    if isinstance(test, ast.Compare):
        if isinstance(test.left, ast.Call) and getattr(test.left.func, "id", "") == "len":
            return
        for operator, side in zip(test.ops, test.comparators, strict=True):
            if isinstance(operator, ast.Eq | ast.Is):
                yield from filter(None, (_literal(test.left), _literal(side)))
    elif isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for value in test.values:
            yield from _compared(value)
    elif isinstance(test, ast.pattern):
        for node in ast.walk(test):
            if isinstance(node, ast.MatchValue):
                yield from filter(None, (_literal(node.value),))


def _members_of(test: ast.AST) -> Iterator[str]:
    """Literals a condition asks membership in."""
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.In):
        for item in getattr(test.comparators[0], "elts", ()):
            yield from filter(None, (_literal(item),))


def _stored(source: Source, node: ast.Call, examples: Examples) -> Iterator[Finding]:
    """A table kept as JSON text."""
    inner = parse(source.fold(node.args[0]) or "")
    for table in inner.nodes if inner else ():
        if isinstance(table, ast.Dict):
            yield from _table(_pairs(table), examples, node.lineno, least=1)


def _pairs(node: ast.Dict) -> list[tuple[ast.expr, ast.expr]]:
    return [(key, value) for key, value in zip(node.keys, node.values, strict=True) if key]


def _table(
    pairs: list[tuple[ast.expr, ast.expr]], examples: Examples, line: int, *, least: int = 2
) -> Iterator[Finding]:
    literals = [(_literal(key), _literal(value)) for key, value in pairs]
    known = sum(
        1 for key, value in literals if key and value and examples.show(_members(key), value)
    )
    if known >= least and known * 2 >= len(pairs):
        yield Finding("special_cased", f"table of {known}", line)


def _members(key: str) -> list[str]:
    """A tuple used as a key stands for several inputs."""
    value = ast.literal_eval(key)
    return [repr(item) for item in value] if isinstance(value, tuple) and value else [key]


def _literal(node: Any) -> str | None:  # ast.literal_eval takes any node, its types do not
    """The normal form of a literal; None for anything computed."""
    if isinstance(node, ast.Name | ast.Attribute | ast.JoinedStr):
        return None
    try:
        text = repr(ast.literal_eval(node))
        ast.literal_eval(text)  # what cannot be read back, as an infinite number, is left out
        return text
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _tells(value: str) -> bool:
    """Whether a literal is rare enough that meeting it twice says something."""
    if value in _TRIVIAL:
        return False
    return len(value) >= (3 if value.lstrip("-")[:1].isdigit() else 5)


def _groups(source: Source) -> list[frozenset[str]]:
    """Per simple statement, and per row of a table of cases, every literal in it."""
    found = []
    for node in source.nodes:
        simple = isinstance(node, ast.Assert | ast.Expr | ast.Assign | ast.With)
        row = isinstance(node, ast.Tuple | ast.List | ast.Call | ast.Dict)
        if simple or row:
            if isinstance(node, ast.With):
                inner: list[ast.AST] = [*node.items, *node.body]
            else:
                inner = [node]
            literals = {_literal(part) for item in inner for part in ast.walk(item)}
            group = frozenset(value for value in literals if value)
            if len(group) < 40:
                found.append(group)
    return found


def _text_groups(statement: str) -> list[frozenset[str]]:
    lines = statement.splitlines()
    found = []
    for start in range(len(lines)):
        group = set()
        for match in _LITERAL.finditer("\n".join(lines[start : start + _WINDOW])):
            try:
                group.add(repr(ast.literal_eval(match[0])))
            except (ValueError, SyntaxError):
                continue
        found.append(frozenset(group))
    return found
