"""The twin of a test file: chosen tests changed so that they must fail, everything else as it was.

A changed expectation is changed where it comes from, so that whoever reads it, from a frame, from
the file, from constants or from collected parameters, reads the changed one and is seen to pass.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from regreen.core.task import TwinKind
from regreen.grading.twins.change import Changer, Pool, has_value
from regreen.grading.twins.domain import Values
from regreen.grading.twins.names import AnyFunction, Function, Module
from regreen.grading.twins.origin import Scope
from regreen.grading.twins.reach import Reacher
from regreen.grading.twins.runtime import Runtime
from regreen.grading.twins.sites import Site, called
from regreen.grading.twins.text import Edits, Source

__all__ = ["GENERATOR", "KINDS", "TwinFile", "functions", "make_twins", "variants"]

GENERATOR: Final = 3
"""Version of the generator; another version may write other twins from the same words."""
KINDS: Final[tuple[TwinKind, ...]] = ("value", "sentinel", "exception", "negation", "appended")
"""Kinds, strongest first."""


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
    return read(source)[1].tests()


@lru_cache(maxsize=4)
def read(source: str) -> tuple[Source, Module]:
    """A test file and what it defines; the last few are kept."""
    text = Source(source)
    return text, Module(text.tree)


@lru_cache(maxsize=4)
def expected_values(source: str) -> Pool:
    """What the tests of a file expect, as far as it is written out; the last few are kept."""
    text, module = read(source)
    reacher = Reacher(text, module, frozenset())
    pool: dict[AnyFunction, Values] = {}
    for name in module.tests():
        function = module.find(name)
        if function is not None and function.node not in pool:
            sites = reacher.reach(function).sites
            values = [value for scope, site in sites for value in _values(scope, site)]
            pool[function.node] = tuple(values)
    return pool


def _values(scope: Scope, site: Site) -> list[object]:
    return scope.literals(site) if site.form == "equal" and not site.long else []


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
    text, module = read(source)
    found = module.find(function)
    if found is None:
        return ()
    reach = Reacher(text, module, frozenset()).reach(found, lines)
    kinds: list[TwinKind] = []
    forms = {site.form for _scope, site in reach.sites}
    if any(has_value(scope, site) for scope, site in reach.sites):
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
    attempts: Mapping[str, int] | None = None,
) -> TwinFile:
    """Change tests of a file so that they must fail.

    Args:
        source: Text of the test file.
        kinds: Function (``test_x`` or ``TestC::test_y``) -> how it is to differ. An expectation
            that cannot be written differently is changed at run time under ``value`` too.
        seed: Decides by how much; the same seed gives the same text.
        lines: Function -> lines of the file; only expectations in statements on these lines are
            changed, unless none is. The lines where a test fails under the fault make the sharpest
            twin: all before them stays true, so that a forged comparison is reached.
        attempts: Function -> which try this is; another try gives other values.

    Returns:
        The changed file.

    Raises:
        SyntaxError: The text is no Python of this interpreter's version.
    """
    text, module = read(source)
    found = {name: module.find(name) for name in kinds}
    closed = _closed(module, kinds, found)
    reacher = Reacher(text, module, closed)
    edits, runtime = Edits(text), Runtime(seed, source)
    untouched: set[str] = set()
    pool = expected_values(source)
    order = sorted(kinds, key=lambda name: KINDS.index(kinds[name]))
    for name in order:
        function = found[name]
        if function is None:
            untouched.add(name)
            continue
        reach = reacher.reach(function, (lines or {}).get(name, frozenset()))
        attempt = (attempts or {}).get(name, 0)
        own_seed = f"{seed}:{attempt}" if attempt else seed
        if not Changer(text, edits, runtime, own_seed, pool).change(reach, kinds[name]):
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
