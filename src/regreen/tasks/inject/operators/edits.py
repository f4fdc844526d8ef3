"""The few shapes a change takes: another text for a node, lines gone, lines moved.

Lines move through libcst's renderer rather than by cutting white space, because a string that
spans several lines must keep its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.view import FileView, Statement
from regreen.tasks.inject.operators.zones import is_docstring

__all__ = [
    "delete",
    "delete_item",
    "exits",
    "invert",
    "is_removable",
    "keep_part",
    "negated",
    "replace",
    "replace_lines",
    "swap",
    "swap_statements",
]

_OPPOSITE = {
    cst.Equal: "!=",
    cst.NotEqual: "==",
    cst.Is: "is not",
    cst.IsNot: "is",
    cst.In: "not in",
    cst.NotIn: "in",
    cst.LessThan: ">=",
    cst.LessThanEqual: ">",
    cst.GreaterThan: "<=",
    cst.GreaterThanEqual: "<",
}
_EXITS = (cst.Return, cst.Raise, cst.Continue, cst.Break)


def replace(view: FileView, node: cst.CSTNode, text: str, note: str, weight: float) -> Change:
    """Put ``text`` where ``node`` stands; parentheses around it stay."""
    start, end = view.span(node)
    return Change(start, end, text, note, weight)


def swap(
    view: FileView, left: cst.BaseExpression, right: cst.BaseExpression, note: str, weight: float
) -> Change:
    """Exchange two expressions, what stands between them stays."""
    (start, middle_start), (middle_end, end) = view.outer(left), view.outer(right)
    middle = view.code[middle_start:middle_end]
    return Change(start, end, view.text(right) + middle + view.text(left), note, weight)


def invert(view: FileView, test: cst.BaseExpression, note: str, weight: float) -> Change:
    """Negate a condition; ``not`` goes in front of parentheses that are there already."""
    if test.lpar and isinstance(test, (cst.BooleanOperation, cst.Comparison)):
        text = negated(view, test)
        if text.startswith("not ("):
            at = view.outer(test)[0]
            return Change(at, at, "not ", note, weight)
        return replace(view, test, text, note, weight)
    return replace(view, test, negated(view, test), note, weight)


def keep_part(
    view: FileView, whole: cst.BaseExpression, part: cst.BaseExpression, note: str, weight: float
) -> Change:
    """Put an operand where its operation stands; parentheses go that have become idle."""
    start, end = view.span(whole)
    outer = view.outer(whole)
    text = view.text(part)
    plain = not isinstance(part, (cst.BooleanOperation, cst.BinaryOperation, cst.IfExp))
    if len(whole.lpar) == 1 and plain and view.line(outer[0]) == view.line(outer[1]):
        return Change(*outer, text, note, weight)
    return Change(start, end, text, note, weight)


def negated(view: FileView, test: cst.BaseExpression) -> str:
    """The opposite condition as a person would write it."""
    inner = view.code[slice(*view.span(test))]
    match test:
        case cst.UnaryOperation(operator=cst.Not(), expression=expression):
            return view.code[slice(*view.span(expression))]
        case cst.Comparison(comparisons=[only]) if type(only.operator) in _OPPOSITE:
            start, end = view.span(test)
            left, right = view.span(only.operator)
            opposite = _OPPOSITE[type(only.operator)]
            return view.code[start:left] + opposite + view.code[right:end]
        case cst.BooleanOperation() | cst.IfExp() | cst.Lambda() | cst.NamedExpr():
            # the parentheses that are there already close around what is replaced
            return f"not ({inner})"
        case cst.Comparison():
            return f"not ({inner})"
    return f"not {inner}"


def exits(statement: cst.CSTNode) -> bool:
    """Whether a statement leaves its block: return, raise, continue or break."""
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(statement.body[-1], _EXITS)


def is_removable(view: FileView, statement: cst.CSTNode) -> bool:
    """Whether the block keeps a real statement when ``statement`` goes."""
    if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) != 1:
        return False
    if not isinstance(view.parent(statement), cst.IndentedBlock):
        return False
    rest = [s for s in view.siblings(statement) if s is not statement and not is_docstring(s)]
    return any(not _is_pass(s) for s in rest)


def _is_pass(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(
        statement.body[0], cst.Pass
    )


def delete(view: FileView, statement: Statement, note: str, weight: float) -> Change:
    """Take a statement out, with the comment lines above it."""
    start, end = view.whole_lines(statement)
    return Change(start, end, "", note, weight, reach=view.reach(statement))


def replace_lines(
    view: FileView,
    statement: Statement,
    body: Sequence[cst.BaseStatement],
    note: str,
    weight: float,
) -> Change:
    """Put statements where one stands, at its indentation."""
    start = view.line_start(view.full_start(statement))
    end = view.line_end(view.span(statement)[1] - 1)
    text = view.render(body, view.indent(statement))
    if not view.code[start:end].endswith(("\n", "\r")):
        text = text.rstrip("\r\n")
    return Change(start, end, text, note, weight, reach=view.reach(statement))


def swap_statements(
    view: FileView, first: Statement, second: Statement, note: str, weight: float
) -> Change:
    """Exchange two neighbours, each with the comments above it."""
    (start, first_end), (second_start, end) = view.whole_lines(first), view.whole_lines(second)
    upper, lower = view.code[start:first_end], view.code[second_start:end]
    if not lower.endswith(("\n", "\r")):
        lower, upper = lower + view.newline, upper.rstrip("\r\n")
    text = lower + view.code[first_end:second_start] + upper
    return Change(start, end, text, note, weight, reach=view.reach(first))


def delete_item(
    view: FileView,
    items: Sequence[cst.CSTNode],
    place: int,
    note: str,
    weight: float,
) -> Change:
    """Take one of several items that commas separate, with its comma."""
    start, end = view.span(items[place])
    if place + 1 < len(items):
        end = view.span(items[place + 1])[0]
    elif place:
        start = view.span(items[place - 1])[1]
    return Change(start, end, "", note, weight)
