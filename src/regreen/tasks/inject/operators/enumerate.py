"""Every fault a file can take, each checked to be a change, none twice.

The check parses the smallest statement that holds a splice, not the file: an operator's work
stays within a statement, and a file of a thousand sites would otherwise be parsed as often.
"""

from __future__ import annotations

import ast
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator

import libcst as cst

from regreen.tasks.inject.operators.base import Change, Operator
from regreen.tasks.inject.operators.catalog import load
from regreen.tasks.inject.operators.scopes import bound_names, read_names
from regreen.tasks.inject.operators.site import Site
from regreen.tasks.inject.operators.view import FileView

__all__ = ["enumerate_sites"]

# the classes that make sense for a constant of a module or class, whose readers then fail
_FOR_CONSTANTS = ("change_constant", "wrong_regex", "wrong_text")


def enumerate_sites(
    path: str, source: str, *, operators: Iterable[str] | None = None
) -> list[Site]:
    """Every site of a file, in source order.

    Args:
        path: posix path in the repository, recorded in the sites.
        source: the file's text with its line ends as they are (read it with ``newline=""``).
        operators: fault classes to look for, all when None.

    Raises:
        UsageError: the text is not Python, or a fault class is unknown.
    """
    view = FileView(path, source)
    by_node: defaultdict[type[cst.CSTNode], list[Operator]] = defaultdict(list)
    for operator in load(operators):
        for kind in operator.nodes:
            by_node[kind].append(operator)
    checker = _Checker(view)
    seen: set[tuple[int, int, str]] = set()
    sites: list[Site] = []
    places = [(node, "") for node in view.open_nodes] + view.constant_nodes
    for node, constant in places:
        for operator in by_node.get(type(node), ()):
            if constant and operator.id not in _FOR_CONSTANTS:
                continue
            for change in operator.changes(node, view):
                key = _canonical(view.code, change)
                if key in seen or not checker.changes_tree(node, change):
                    continue
                seen.add(key)
                sites += _sites(view, node, operator.id, change, constant)
    sites.sort(key=lambda site: (site.start, site.end, site.operator, site.replacement))
    return sites


def _sites(
    view: FileView, node: cst.CSTNode, operator: str, change: Change, constant: str
) -> Iterator[Site]:
    declares = isinstance(node, (cst.ClassDef, cst.FunctionDef))
    owner = node if declares else view.owners[node]
    assert owner is None or isinstance(owner, (cst.ClassDef, cst.FunctionDef))
    reach = view.readers(constant) if constant else change.reach or view.reach(node)
    if not reach:
        return
    last = max(change.end - 1, change.start)
    yield Site(
        path=view.path,
        operator=operator,
        function=view.qualname(owner) if owner is not None else "<module>",
        line=view.line(change.start),
        end_line=view.line(last),
        reach=tuple(sorted(set(reach))),
        import_time=change.import_time or bool(constant),
        start=view.to_source(change.start),
        end=view.to_source(change.end, end=change.end > change.start),
        replacement=change.replacement,
        note=change.note,
        weight=round(min(max(change.weight, 0.0), _most(view, node)), 3),
    )


def _most(view: FileView, node: cst.CSTNode) -> float:
    """The weight a place allows: what steps a ``while`` loop could keep it from ending.

    A time-out is no failing test anybody can work with.
    """
    statement = view.statement(node)
    if not isinstance(statement, (cst.SimpleStatementLine, cst.If)):
        return 1.0
    loops = (cst.For, cst.While, cst.FunctionDef)
    loop = next((n for n in view.ancestors(statement) if isinstance(n, loops)), None)
    if not isinstance(loop, cst.While):
        return 1.0
    tested = read_names(loop.test, view)
    bound = {name for inner in view.below(statement) for name in bound_names(inner)}
    if bound & tested:
        return 0.2
    if bound and tested:
        return 0.3  # the next statement may step the loop by it
    leaves = any(isinstance(n, (cst.Break, cst.Return, cst.Raise)) for n in view.below(statement))
    endless = isinstance(loop.test, (cst.Name, cst.Integer)) and not bound
    return 0.3 if endless and leaves and isinstance(statement, cst.If) else 0.6


def _canonical(code: str, change: Change) -> tuple[int, int, str]:
    """A key that two changes share exactly when they give the same text."""
    start, end, new = change.start, change.end, change.replacement
    tail = len(code) - end
    length = len(new) + tail

    def char(offset: int) -> str:
        return new[offset] if offset < len(new) else code[end + offset - len(new)]

    prefix = 0
    while prefix < length and start + prefix < len(code) and char(prefix) == code[start + prefix]:
        prefix += 1
    limit = min(length - prefix, len(code) - start - prefix)
    suffix = min(tail, limit)
    while suffix < limit and char(length - 1 - suffix) == code[len(code) - 1 - suffix]:
        suffix += 1
    kept = "".join(char(offset) for offset in range(prefix, length - suffix))
    return start + prefix, len(code) - suffix, kept


class _Checker:
    """Compares syntax trees of one statement before and after, remembering the before."""

    def __init__(self, view: FileView) -> None:
        self.view = view
        self.before: dict[tuple[int, int], ast.AST | None] = {}

    def changes_tree(self, node: cst.CSTNode, change: Change) -> bool:
        """Whether the change parses and gives another tree."""
        start, end = self._unit(node, change)
        if (start, end) not in self.before:
            self.before[start, end] = _tree(self.view.code[start:end])
        before = self.before[start, end]
        text = self.view.code
        after = _tree(text[start : change.start] + change.replacement + text[change.end : end])
        return after is not None and before is not None and not _same(before, after)

    def _unit(self, node: cst.CSTNode, change: Change) -> tuple[int, int]:
        view = self.view
        for holder in (node, *view.ancestors(node)):
            if not isinstance(holder, (cst.SimpleStatementLine, cst.BaseCompoundStatement)):
                continue
            above = view.parent(holder)
            if not isinstance(above, (cst.IndentedBlock, cst.Module)):
                continue
            start = view.line_start(view.full_start(holder))
            end = view.line_end(max(view.span(holder)[1] - 1, start))
            if start <= change.start and change.end <= end:
                return start, end
        return 0, len(view.code)


def _tree(text: str) -> ast.AST | None:
    if text[:1] in (" ", "\t"):
        text = "if 1:\n" + text
    try:
        with warnings.catch_warnings():
            # an operator may make ``x is 1`` out of ``x == 1``; that is for tests to notice
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _same(a: object, b: object) -> bool:
    """Whether two trees are equal; unlike comparing dumps it ends at the first difference."""
    if type(a) is not type(b):
        return False
    if isinstance(a, ast.AST):
        return all(_same(getattr(a, f, None), getattr(b, f, None)) for f in a._fields)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b and repr(a) == repr(b)
