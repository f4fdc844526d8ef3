"""Tests' own ways to state what is expected, rewritten as plain Python.

``self.assertEqual(a, b)`` becomes ``assert a == b``, attributes of ``self`` become names, and
``with pytest.raises(E)`` a ``try`` that complains: a reader without the test file, or without
pytest, can run the result.
"""

from __future__ import annotations

import ast

__all__ = ["Plain", "is_check"]

_BINARY: dict[str, type[ast.cmpop]] = {
    "assertEqual": ast.Eq,
    "assertEquals": ast.Eq,
    "assertListEqual": ast.Eq,
    "assertDictEqual": ast.Eq,
    "assertTupleEqual": ast.Eq,
    "assertSetEqual": ast.Eq,
    "assertSequenceEqual": ast.Eq,
    "assertMultiLineEqual": ast.Eq,
    "assertNotEqual": ast.NotEq,
    "assertIs": ast.Is,
    "assertIsNot": ast.IsNot,
    "assertIn": ast.In,
    "assertNotIn": ast.NotIn,
    "assertLess": ast.Lt,
    "assertLessEqual": ast.LtE,
    "assertGreater": ast.Gt,
    "assertGreaterEqual": ast.GtE,
}
_RAISES = {"raises", "assertRaises"}


class Plain(ast.NodeTransformer):
    """Rewrites the statements of one test."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Turn an assertion method into ``assert``."""
        call = node.value
        if isinstance(call, ast.Call) and _is_own(call.func):
            assert isinstance(call.func, ast.Attribute)
            arguments = [self.visit(argument) for argument in call.args]
            test = _test(call.func.attr, arguments)
            if test is not None:
                return ast.copy_location(ast.Assert(test=test, msg=None), node)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Turn ``self.name`` into ``name``."""
        if _is_own(node):
            return ast.copy_location(ast.Name(id=node.attr, ctx=node.ctx), node)
        return self.generic_visit(node)

    def visit_With(self, node: ast.With) -> ast.AST:
        """Turn an expected exception into ``try``, unless the test looks at it afterwards."""
        call = node.items[0].context_expr
        if (
            len(node.items) != 1
            or node.items[0].optional_vars is not None
            or not isinstance(call, ast.Call)
            or not isinstance(call.func, ast.Attribute)
            or call.func.attr not in _RAISES
            or len(call.args) != 1
        ):
            return self.generic_visit(node)
        body = [part for child in node.body for part in _as_list(self.visit(child))]
        said = f"no {ast.unparse(call.args[0])} was raised"
        complaint = _call("AssertionError", ast.Constant(value=said))
        made = ast.Try(
            body=body,
            handlers=[ast.ExceptHandler(type=self.visit(call.args[0]), name=None, body=[_pass()])],
            orelse=[ast.Raise(exc=complaint, cause=None, lineno=0, end_lineno=0)],
            finalbody=[],
        )
        return ast.copy_location(made, node)


def is_check(node: ast.stmt) -> bool:
    """Whether a statement only looks at what is there; expected exceptions count."""
    if isinstance(node, ast.Try):
        last = node.orelse[-1] if node.orelse else None
        return isinstance(last, ast.Raise) and last.lineno == 0
    return isinstance(node, ast.Assert)


def _is_own(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def _as_list(made: ast.stmt | list[ast.stmt]) -> list[ast.stmt]:
    return made if isinstance(made, list) else [made]


def _pass() -> ast.stmt:
    return ast.Pass(lineno=0, end_lineno=0)


def _test(method: str, arguments: list[ast.expr]) -> ast.expr | None:
    """The condition an assertion method stands for; None for methods without a plain form."""
    made: ast.expr | None = None
    match method, arguments:
        case (("assertTrue" | "assert_"), [value, *_]):
            made = value
        case "assertFalse", [value, *_]:
            made = ast.UnaryOp(op=ast.Not(), operand=value)
        case "assertIsNone", [value, *_]:
            made = _compare(value, ast.Is(), ast.Constant(value=None))
        case "assertIsNotNone", [value, *_]:
            made = _compare(value, ast.IsNot(), ast.Constant(value=None))
        case "assertIsInstance", [value, kind, *_]:
            made = _call("isinstance", value, kind)
        case "assertAlmostEqual", [left, right]:
            difference = ast.BinOp(left=left, op=ast.Sub(), right=right)
            rounded = _call("round", difference, ast.Constant(value=7))
            made = _compare(rounded, ast.Eq(), ast.Constant(value=0))
        case name, [left, right, *_] if name in _BINARY:
            made = _compare(left, _BINARY[name](), right)
    return made


def _compare(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> ast.Compare:
    return ast.Compare(left=left, ops=[operator], comparators=[right])


def _call(function: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(func=ast.Name(id=function, ctx=ast.Load()), args=[*arguments], keywords=[])
