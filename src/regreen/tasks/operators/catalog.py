"""The built-in fault classes by name; nothing registers itself on import."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import cache
from importlib import import_module

from regreen.core.errors import UsageError
from regreen.tasks.operators.base import Operator, OperatorInfo

__all__ = ["OPERATORS", "describe", "load"]

_PACKAGE = "regreen.tasks.operators"

OPERATORS: dict[str, str] = {
    "invert_condition": f"{_PACKAGE}.control:InvertCondition",
    "shuffle_branches": f"{_PACKAGE}.control:ShuffleBranches",
    "break_continue": f"{_PACKAGE}.control:BreakContinue",
    "drop_clause": f"{_PACKAGE}.control:DropClause",
    "none_check": f"{_PACKAGE}.control:NoneCheck",
    "off_by_one": f"{_PACKAGE}.bounds:OffByOne",
    "change_comparison": f"{_PACKAGE}.operator_tokens:ChangeComparison",
    "change_arithmetic": f"{_PACKAGE}.operator_tokens:ChangeArithmetic",
    "change_bitwise": f"{_PACKAGE}.operator_tokens:ChangeBitwise",
    "change_boolean": f"{_PACKAGE}.operator_tokens:ChangeBoolean",
    "swap_operands": f"{_PACKAGE}.operator_tokens:SwapOperands",
    "break_chain": f"{_PACKAGE}.chains:BreakChain",
    "change_constant": f"{_PACKAGE}.constants:ChangeConstant",
    "change_default": f"{_PACKAGE}.constants:ChangeDefault",
}
"""Fault class to ``module:Class``; the order decides who keeps a change that two would make."""


@cache
def _built_in(name: str) -> Operator:
    module, _, attribute = OPERATORS[name].partition(":")
    operator: Operator = getattr(import_module(module), attribute)()
    return operator


def load(names: Iterable[str] | None = None) -> list[Operator]:
    """The operators of these names in the table's order, all when None.

    Raises:
        UsageError: there is no fault class of that name.
    """
    wanted = set(OPERATORS) if names is None else set(names)
    unknown = sorted(wanted - set(OPERATORS))
    if unknown:
        what = f"there is no fault class named {', '.join(unknown)}"
        raise UsageError(what, mend="regreen plugins lists them")
    return [_built_in(name) for name in OPERATORS if name in wanted]


def describe() -> list[OperatorInfo]:
    """Every fault class with its family, summary and conditions."""
    return [
        OperatorInfo(
            id=operator.id,
            family=operator.family,
            summary=operator.summary,
            conditions=inspect.cleandoc(type(operator).__doc__ or ""),
        )
        for operator in load()
    ]
