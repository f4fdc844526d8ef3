"""The twin of a test file: chosen tests changed so that they must fail, everything else as it was.

A changed expectation is changed where it comes from, so that whoever reads it, from a frame, from
the file, from constants or from collected parameters, reads the changed one and is seen to pass.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from regreen.core.task import TwinKind
from regreen.grading.twins.literal import Manner, other_exception
from regreen.grading.twins.names import Function, Module
from regreen.grading.twins.origin import Scope
from regreen.grading.twins.reach import Reach, Reacher
from regreen.grading.twins.runtime import Runtime
from regreen.grading.twins.sites import Negation, Site, called
from regreen.grading.twins.text import Edits, Source
from regreen.grading.twins.vocabulary import REFUTED

__all__ = ["GENERATOR", "KINDS", "TwinFile", "functions", "make_twins", "variants"]

GENERATOR: Final = 1
"""Version of the generator; another version may write other twins from the same words."""
KINDS: Final[tuple[TwinKind, ...]] = ("value", "sentinel", "exception", "negation", "appended")
"""Kinds, strongest first."""

_FLIPPED = {
    "==": "!=",
    "!=": "==",
    "<": ">=",
    "<=": ">",
    ">": "<=",
    ">=": "<",
    "in": "not in",
    "not in": "in",
    "is": "is not",
    "is not": "is",
}
_OPERATOR = re.compile(rb"not\s+in\b|is\s+not\b|\bin\b|\bis\b|[=!<>]=|[<>]")


@dataclass(frozen=True)
class TwinFile:
    """A test file whose chosen tests must fail."""

    text: str
    """The file; lines stand where they stood, save below a line added by kind ``appended``."""
    repositioned: frozenset[str] = frozenset()
    """Functions whose parameter sets changed: same number and order, but ids made from values
    differ, so that the original ids are to be given back by position."""
    untouched: frozenset[str] = frozenset()
    """Functions asked for that could not be changed in the kind asked for."""


def functions(source: str) -> tuple[str, ...]:
    """Names of a file's test functions, as in node ids, with those inherited within the file.

    Args:
        source: Text of a test file.

    Raises:
        SyntaxError: The text is no Python of this interpreter's version.
    """
    return _read(source)[1].tests()


@lru_cache(maxsize=4)
def _read(source: str) -> tuple[Source, Module]:
    text = Source(source)
    return text, Module(text.tree)


def variants(
    source: str, function: str, *, lines: frozenset[int] = frozenset()
) -> tuple[TwinKind, ...]:
    """The kinds of twin a test can have, strongest first.

    Args:
        source: Text of the test file.
        function: ``test_x`` or ``TestC::test_y``: a node id without file and parameters.
        lines: As in `make_twins`.

    Returns:
        Empty when the function does not stand in the file.

    Raises:
        SyntaxError: The text is no Python of this interpreter's version.
    """
    text, module = _read(source)
    found = module.find(function)
    if found is None:
        return ()
    reach = Reacher(text, module, frozenset()).reach(found, lines)
    kinds: list[TwinKind] = []
    forms = {site.form for _scope, site in reach.sites}
    if any(_has_value(scope, site) for scope, site in reach.sites):
        kinds.append("value")
    if forms - {"raises"}:
        kinds.append("sentinel")
    if "raises" in forms:
        kinds.append("exception")
    if reach.negations:
        kinds.append("negation")
    return (*kinds, "appended")


def make_twins(
    source: str,
    kinds: Mapping[str, TwinKind],
    *,
    seed: str,
    lines: Mapping[str, frozenset[int]] | None = None,
) -> TwinFile:
    """Change tests of a file so that they must fail.

    Args:
        source: Text of the test file.
        kinds: Function (``test_x`` or ``TestC::test_y``) -> how it is to differ.
        seed: Decides by how much; the same seed gives the same text.
        lines: Function -> lines of the file; only expectations in statements on these lines are
            changed, unless none is. The lines where a test fails under the fault make the sharpest
            twin: all before them stays true, so that a forged comparison is reached.

    Returns:
        The changed file.

    Raises:
        SyntaxError: The text is no Python of this interpreter's version.
    """
    text, module = _read(source)
    found = {name: module.find(name) for name in kinds}
    closed = _closed(module, kinds, found)
    reacher = Reacher(text, module, closed)
    edits, runtime = Edits(text), Runtime(seed, source)
    untouched: set[str] = set()
    order = sorted(kinds, key=lambda name: KINDS.index(kinds[name]))
    for name in order:
        function = found[name]
        if function is None:
            untouched.add(name)
            continue
        reach = reacher.reach(function, (lines or {}).get(name, frozenset()))
        if not _Changer(text, edits, runtime, seed).change(reach, kinds[name]):
            untouched.add(name)
    end = runtime.text()
    if end and edits.applied()[-1:] not in {"\n", "\r"}:
        end = "\n" + end
    end = end.replace("\n", text.newline)
    return TwinFile(edits.applied() + end, _repositioned(text, module, edits), frozenset(untouched))


def _closed(
    module: Module, kinds: Mapping[str, TwinKind], found: Mapping[str, Function | None]
) -> frozenset[str]:
    """Constants that tests of another kind read: changed twice, a value might be the old one."""
    names: set[str] = set()
    for name, kind in kinds.items():
        function = found[name]
        if kind in {"value", "appended", "exception"} or function is None:
            continue
        nodes = [
            function.node,
            *(line for each in function.classes for line in each.decorator_list),
        ]
        names |= {
            inner.id for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Name)
        }
    return frozenset(names & set(module.values))


def _has_value(scope: Scope, site: Site) -> bool:
    if site.form == "raises":
        return isinstance(site.match, ast.Constant)
    if site.form != "equal":
        return False
    manner = Manner("", far=site.far, long=site.long)
    return any(_writable(scope, side, site, manner) for side in scope.chosen(site))


def _writable(
    scope: Scope, side: ast.expr, site: Site, manner: Manner
) -> list[tuple[ast.expr, str]]:
    plan = scope.plan(side, manner)
    if not site.identity:
        return plan
    single = isinstance(side, ast.Constant) and side.value in {True, False, None}
    return [(node, _singleton(node, manner)) for node, _new in plan] if single else []


def _singleton(node: ast.expr, manner: Manner) -> str:
    old = getattr(node, "value", None)
    others = ("True", "False") if old is None else ("None", "...")
    return manner.random(node).choice(others)


def _repositioned(text: Source, module: Module, edits: Edits) -> frozenset[str]:
    names: set[str] = set()
    for name in module.tests():
        function = module.find(name)
        holders = [] if function is None else [function.node, *function.classes]
        for decorator in (each for holder in holders for each in holder.decorator_list):
            if not (isinstance(decorator, ast.Call) and called(decorator) == "parametrize"):
                continue
            nodes: list[ast.expr] = [decorator]
            for node in nodes:
                if edits.touched(*text.span(node)):
                    names.add(name)
                    break
                inner = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
                constants = [module.constant(each) for each in sorted(inner)]
                nodes += [each for each in constants if each is not None and each not in nodes]
    return frozenset(names)


class _Changer:
    """Changes one test."""

    def __init__(self, text: Source, edits: Edits, runtime: Runtime, seed: str) -> None:
        self.text = text
        self.edits = edits
        self.runtime = runtime
        self.manner = Manner(seed)

    def change(self, reach: Reach, kind: TwinKind) -> bool:
        """Change a test in the kind asked for; False when that is not possible."""
        before = len(self.edits)
        if kind == "appended":
            self._append(reach.function)
        elif kind == "negation":
            for negation in reach.negations:
                self._negate(negation)
        elif kind == "exception":
            for scope, site in reach.sites:
                if site.form == "raises":
                    self._raise_other(scope, site)
        else:
            self._expect_other(reach, kind)
        return len(self.edits) > before or self._done(reach)

    def _done(self, reach: Reach) -> bool:
        """Whether all that would change was changed for a test before."""
        return any(self.edits.touched(*self.text.span(s.expected[0])) for _, s in reach.sites)

    def _expect_other(self, reach: Reach, kind: TwinKind) -> None:
        raises = [(scope, site) for scope, site in reach.sites if site.form == "raises"]
        for scope, site in reach.sites:
            if site.form == "equal":
                if not (kind == "value" and self._write(scope, site)):
                    self._compute(scope, site)
            elif site.form != "raises":
                self._against_nothing(site)
        for scope, site in raises:
            if kind == "value" and isinstance(site.match, ast.Constant):
                self._match(scope, site)
            elif not site.alias:
                self._raise_other(scope, site)

    # value

    def _write(self, scope: Scope, site: Site) -> bool:
        manner = self.manner.but(far=site.far, long=site.long)
        written = False
        for side in scope.chosen(site):
            plan = _writable(scope, side, site, manner)
            done = [self.edits.replace(node, new) for node, new in plan]
            written = written or any(done) or self._was_written(plan)
        return written

    def _was_written(self, plan: list[tuple[ast.expr, str]]) -> bool:
        return bool(plan) and all(self.edits.touched(*self.text.span(node)) for node, _ in plan)

    def _match(self, scope: Scope, site: Site) -> None:
        if site.match is None:
            return
        pattern = self.text.text(site.match)
        for node, new in scope.plan(site.match, self.manner.but(long=True)):
            self.edits.replace(node, new)
        if re.search(r"[|?*\[({+]", pattern) and not site.alias:
            self._raise_other(scope, site)

    # sentinel

    def _compute(self, scope: Scope, site: Site) -> None:
        far = ", True" if site.far else ""
        for side in scope.chosen(site):
            if isinstance(side, ast.GeneratorExp | ast.Starred):
                continue
            if (
                isinstance(side, ast.Name)
                and not site.every
                and self._at_binding(scope, side.id, far)
            ):
                continue
            self._wrap(side, far)

    def _wrap(self, node: ast.expr, far: str = "") -> bool:
        bare = isinstance(node, ast.Tuple | ast.GeneratorExp)
        before, after = ("((", f"){far})") if bare else ("(", f"{far})")
        return self.edits.wrap(node, self.runtime.change + before, after)

    def _at_binding(self, scope: Scope, name: str, far: str) -> bool:
        """Change a name's value where it is bound, when nothing but expectations reads it."""
        if not scope.only_expected(name):
            return False
        if scope.names.is_parameter(name):
            return self._rebind(scope, name, far)
        bindings = scope.names.binds.get(name, [])
        plain = [
            node.value
            for node in bindings
            if isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)
        ]
        if bindings and len(plain) == len(bindings):
            for value in plain:
                self._wrap(value, far)
            return True
        if len(bindings) == 1 and isinstance(bindings[0], ast.For | ast.comprehension):
            return self._iterate(bindings[0], name, far)
        return False

    def _rebind(self, scope: Scope, name: str, far: str) -> bool:
        body = scope.names.function.node.body
        first = (
            body[1] if len(body) > 1 and ast.get_docstring(scope.names.function.node) else body[0]
        )
        if not isinstance(first, ast.Expr | ast.Assign | ast.Assert | ast.Return | ast.AnnAssign):
            return False
        self.edits.insert(
            self.text.span(first)[0], f"{name} = {self.runtime.change}({name}{far}); "
        )
        return True

    def _iterate(self, node: ast.For | ast.comprehension, name: str, far: str) -> bool:
        target = self.text.text(node.target)
        simple = isinstance(node.target, ast.Name | ast.Tuple) and re.fullmatch(
            r"[\w\s,()]+", target
        )
        if not simple or "\n" in target or isinstance(node.iter, ast.GeneratorExp):
            return False
        changed = re.sub(rf"\b{name}\b", f"{self.runtime.change}({name}{far})", target)
        before = f"(({changed}) for {target} in ("
        self.edits.wrap(node.iter, before, "))")
        return True

    def _against_nothing(self, site: Site) -> None:
        node = site.expected[0]
        if site.form == "method" and isinstance(node, ast.Attribute):
            name, second = REFUTED[node.attr]
            end = self.text.span(node)[1]
            if self.edits.put(end - len(node.attr.encode()), end, name):
                if second:
                    self.edits.replace(site.expected[2], self.runtime.nothing)
                else:
                    self.edits.wrap(site.expected[1], "", f", {self.runtime.nothing}")
        elif not isinstance(node, ast.GeneratorExp):
            operator = "==" if site.wanted else "!="
            before = "assert ((" if site.form == "call" else "(("
            self.edits.wrap(node, before, f") {operator} {self.runtime.nothing})")

    # exception, negation, appended

    def _raise_other(self, scope: Scope, site: Site) -> None:
        old = site.expected[0]
        new = other_exception(self.text.text(old), self.manner.random(old))
        values = scope.names.values_of(old.id) if isinstance(old, ast.Name) else None
        if values and isinstance(old, ast.Name) and scope.only_expected(old.id):
            for value in values:
                self.edits.replace(
                    value, other_exception(self.text.text(value), self.manner.random(value))
                )
            return
        self.edits.replace(old, new)

    def _negate(self, negation: Negation) -> None:
        node = negation.condition
        end = self.text.span(node)[1]
        if negation.method and isinstance(node, ast.Attribute):
            self.edits.put(end - len(node.attr.encode()), end, negation.method)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            start = self.text.span(node.left)[1]
            between = self.text.raw[start : self.text.span(node.comparators[0])[0]]
            found = _OPERATOR.search(between)
            if found is not None:
                old = " ".join(found[0].decode().split())
                self.edits.put(start + found.start(), start + found.end(), _FLIPPED[old])
        else:
            self.edits.wrap(node, "not (", ")")

    def _append(self, function: Function) -> None:
        node = function.node
        draw = self.manner.random(node)
        left = draw.randint(0, 9)
        failing = f"assert {left} == {left + draw.randint(1, 5)}"
        for inner in _own_returns(node.body):
            self.edits.insert(self.text.span(inner)[0], f"{failing}; ")
        first, last = node.body[0], node.body[-1]
        if isinstance(last, ast.Return | ast.Raise):
            return
        end = self.text.span(last)[1]
        compound = hasattr(last, "body") or isinstance(last, ast.Match)
        if compound or first.lineno != node.lineno:
            pad = " " * first.col_offset
            raw = self.text.raw
            start = self.text.line_start(first.lineno)
            indent = raw[start : start + first.col_offset].decode()
            pad = indent if not indent.strip() else pad
            line_end = re.compile(rb"[^\r\n]*").match(raw, end)
            stop = end if line_end is None else line_end.end()
            self.edits.put(stop, stop, f"{self.text.newline}{pad}{failing}")
        else:
            self.edits.put(end, end, f"; {failing}")


def _own_returns(body: list[ast.stmt]) -> list[ast.Return]:
    found: list[ast.Return] = []
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Return):
            found.append(node)
        elif not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
        ):
            stack += ast.iter_child_nodes(node)
    return found
