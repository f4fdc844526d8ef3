"""How one expectation, or one whole test, is made to fail.

An expectation is changed where it comes from when nothing else reads it, and else where it is
compared. What has no literal behind it is changed at run time.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from regreen.core.task import TwinKind
from regreen.grading.twins.domain import Values
from regreen.grading.twins.literal import Manner, other_exception
from regreen.grading.twins.names import AnyFunction, Function
from regreen.grading.twins.origin import Scope
from regreen.grading.twins.reach import Reach
from regreen.grading.twins.runtime import Runtime
from regreen.grading.twins.sites import Negation, Site, called
from regreen.grading.twins.text import Edits, Source
from regreen.grading.twins.vocabulary import REFUTED

__all__ = ["Changer", "Pool", "has_value", "own_returns"]

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
_OPERATOR = re.compile(rb"#[^\r\n]*|(not\s+in\b|is\s+not\b|\bin\b|\bis\b|[=!<>]=|[<>])")

Pool = Mapping[AnyFunction, Values]
"""Test -> the literals that it expects."""


def has_value(scope: Scope, site: Site) -> bool:
    """Whether an expectation has a literal behind it that can be written differently."""
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


class Changer:
    """Changes one test."""

    def __init__(
        self, text: Source, edits: Edits, runtime: Runtime, seed: str, pool: Pool | None = None
    ) -> None:
        self.text = text
        self.edits = edits
        self.runtime = runtime
        self.seed = seed
        self.pool: Pool = {} if pool is None else pool
        self.manner = Manner(seed)

    def change(self, reach: Reach, kind: TwinKind) -> bool:
        """Change a test in the kind asked for; False when it has nothing of that kind."""
        file = tuple(value for values in self.pool.values() for value in values)
        near = self.pool.get(reach.function.node, ())
        self.manner = Manner(self.seed, near=near, file=file)
        raises = [(scope, site) for scope, site in reach.sites if site.form == "raises"]
        if kind == "appended":
            self._append(reach.function)
            return True
        if kind == "negation":
            for negation in reach.negations:
                self._negate(negation)
            return bool(reach.negations)
        if kind == "exception":
            for scope, site in raises:
                self._raise_other(scope, site)
            return bool(raises)
        self._expect_other(reach, kind)
        return bool(reach.sites)

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
        if scope.doubtful(site):
            self._either(site)
            return
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

    def _either(self, site: Site, *, own: bool = False) -> bool:
        """Compare so that a forgery on any of two sides passes, and two honest ones do not."""
        words = [word for word, said in (("far", site.far), ("own", own)) if said]
        whole = site.whole
        if isinstance(whole, ast.Call):
            words += ["within"] if called(whole) in {"assertIn", "assert_in"} else []
            flags = "".join(f", {word}=True" for word in words)
            return self.edits.wrap(whole.func, f"{self.runtime.either}(", f"{flags})")
        place = None if whole is None else self._operator(whole)
        if whole is None or place is None:
            return False
        start, end, operator = place
        words += ["within"] if operator.endswith("in") else []
        flags = "".join(f", {word}=True" for word in words)
        # the truth a condition must have: what is turned round outside is turned round inside
        wanted = site.wanted if own else not isinstance(whole.ops[0], ast.NotEq | ast.NotIn)
        no = "" if wanted else "not "
        made = f"lambda left, right: {no}left {operator} right"
        before = f"({no}{self.runtime.either}({made}{flags})("
        return self.edits.wrap(whole, before, "))") and self.edits.put(start, end, ",")

    def _operator(self, node: ast.Compare) -> tuple[int, int, str] | None:
        """Where the operator of a comparison stands, and which it is."""
        start = self.text.span(node.left)[1]
        between = self.text.raw[start : self.text.span(node.comparators[0])[0]]
        for found in _OPERATOR.finditer(between):
            if found[1]:
                written = " ".join(found[1].decode().split())
                return start + found.start(1), start + found.end(1), written
        return None

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
        if site.whole is not None and self._either(site, own=True):
            return
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
        new = other_exception(self.text.text(old), self.manner.random(old), warns=site.warns)
        values = scope.names.values_of(old.id) if isinstance(old, ast.Name) else None
        if values and isinstance(old, ast.Name) and scope.only_expected(old.id):
            for value in values:
                draw = self.manner.random(value)
                written = other_exception(self.text.text(value), draw, warns=site.warns)
                self.edits.replace(value, written)
            return
        self.edits.replace(old, new)

    def _negate(self, negation: Negation) -> None:
        node = negation.condition
        end = self.text.span(node)[1]
        if negation.method and isinstance(node, ast.Attribute):
            self.edits.put(end - len(node.attr.encode()), end, negation.method)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            found = self._operator(node)
            if found is not None:
                self.edits.put(*found[:2], _FLIPPED[found[2]])
        else:
            self.edits.wrap(node, "not (", ")")

    def _append(self, function: Function) -> None:
        node = function.node
        draw = self.manner.random(node)
        left = draw.randint(0, 9)
        failing = f"assert {left} == {left + draw.randint(1, 5)}"
        for inner in own_returns(node.body):
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


def own_returns(body: list[ast.stmt]) -> list[ast.Return]:
    """The statements by which a function, and none inside it, returns."""
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
