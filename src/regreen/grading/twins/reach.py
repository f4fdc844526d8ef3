"""The expectations a test reaches: its own, and those of the functions of its file that it calls.

An argument that a called function compares with is an expectation of the caller, at the call.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from regreen.grading.twins.bindings import Bindings
from regreen.grading.twins.names import AnyFunction, Function, Module
from regreen.grading.twins.origin import Scope
from regreen.grading.twins.sites import Negation, Site, Sites, last_call, sites_of
from regreen.grading.twins.text import Source

__all__ = ["Reach", "Reacher"]

_DEPTH = 3


@dataclass(frozen=True)
class Reach:
    """What one test expects."""

    function: Function
    """The test."""
    sites: tuple[tuple[Scope, Site], ...]
    """Expectations with the function each stands in."""
    negations: tuple[Negation, ...]
    """Conditions of the test itself that can be turned round; other tests may need those of the
    functions it calls as they are."""


class Reacher:
    """Finds the expectations of the tests of one file."""

    def __init__(self, source: Source, module: Module, closed: frozenset[str]) -> None:
        self.source = source
        self.module = module
        self.closed = closed
        self._local = frozenset(module.functions)
        self._inner: dict[AnyFunction, dict[str, AnyFunction]] = {}

    def reach(self, function: Function, lines: frozenset[int] = frozenset()) -> Reach:
        """The expectations of a test.

        Args:
            function: The test.
            lines: Keep only what stands in statements on these lines, unless nothing does.
        """
        sites, negations = self._reach(function, 0)
        alone = None if sites else last_call(function.node)
        if alone is not None:
            sites = [(self._scope(function, Sites()), alone)]
        near = [(scope, site) for scope, site in sites if _on(site.lines, lines)]
        turned = [each for each in negations if _on(each.lines, lines)]
        return Reach(function, tuple(near or sites), tuple(turned or negations))

    def _reach(
        self, function: Function, depth: int
    ) -> tuple[list[tuple[Scope, Site]], list[Negation]]:
        found = sites_of(function.node, self._local)
        helpers = [
            (call, lines, helper)
            for call, lines in found.calls
            if (helper := self._helper(call, function)) is not None and depth < _DEPTH
        ]
        below: list[tuple[Scope, Site]] = []
        for call, lines, helper in helpers:
            if helper.node is function.node:
                continue
            nested = helper.node in self._nested(function.node).values()
            inner = self._reach(helper, depth + 1)[0]
            for scope, site in inner:
                given = self._given(call, lines, helper, scope, site)
                if given is not None:
                    side = scope.chosen(site)[0]
                    found.expectations = [
                        each for each in found.expectations if side not in each.expected
                    ]
                    found.expectations.append(given)
                elif not nested:
                    below.append((scope, replace(site, direct=False)))
        scope = self._scope(function, found)
        return [*((scope, site) for site in found.expectations), *below], found.negations

    def _scope(self, function: Function, found: Sites) -> Scope:
        return Scope(self.source, Bindings(self.module, function, self.closed), found)

    def _helper(self, call: ast.Call, function: Function) -> Function | None:
        match call.func:
            case ast.Name(id=name) if name in self.module.functions:
                return Function(self.module.functions[name])
            case ast.Name(id=name) if name in self._nested(function.node):
                return Function(self._nested(function.node)[name])
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if function.classes:
                method = self.module.method(function.classes[-1], name)
                return None if method is None else Function(method, function.classes)
        return None

    def _nested(self, node: AnyFunction) -> dict[str, AnyFunction]:
        if node not in self._inner:
            inner = [each for each in ast.walk(node) if isinstance(each, AnyFunction)]
            self._inner[node] = {each.name: each for each in inner if each is not node}
        return self._inner[node]

    def _given(
        self, call: ast.Call, lines: tuple[int, int], helper: Function, scope: Scope, site: Site
    ) -> Site | None:
        """The site at the call, when the called function compares with one of its arguments."""
        if site.form not in {"equal", "raises"} or scope.names.function.node is not helper.node:
            return None
        side = scope.chosen(site)[0]
        if not (isinstance(side, ast.Name) and scope.names.is_parameter(side.id)):
            return None
        if not scope.only_expected(side.id) and site.form == "equal":
            return None
        argument = _argument(call, helper, side.id)
        if argument is None:
            return None
        sides = [argument, *_partner(call, helper, scope, site)]
        both = not {id(each) for each in call.args[:2]} ^ {id(each) for each in sides}
        return replace(
            site,
            expected=tuple(sides),
            lines=lines,
            every=False,
            match=None,
            alias="",
            whole=call if both and len(sides) == 2 else None,
        )


def _on(where: tuple[int, int], lines: frozenset[int]) -> bool:
    return not lines or any(where[0] <= line <= where[1] for line in lines)


def _partner(call: ast.Call, helper: Function, scope: Scope, site: Site) -> list[ast.expr]:
    """The argument for the other side of a comparison, when it is used for nothing else."""
    if site.whole is None or site.form != "equal":
        return []
    for side in site.expected:
        if side is scope.chosen(site)[0] or not isinstance(side, ast.Name):
            continue
        if scope.names.is_parameter(side.id) and scope.names.loads[side.id] == [side]:
            given = _argument(call, helper, side.id)
            return [] if given is None else [given]
    return []


def _argument(call: ast.Call, helper: Function, name: str) -> ast.expr | None:
    arguments = helper.node.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    if helper.classes and isinstance(call.func, ast.Attribute) and names[:1] in (["self"], ["cls"]):
        names = names[1:]
    for word in call.keywords:
        if word.arg == name:
            return word.value
    given = call.args
    if any(isinstance(argument, ast.Starred) for argument in given) or name not in names:
        return None
    place = names.index(name)
    return given[place] if place < len(given) else None
