"""The built-in fault classes by name; nothing registers itself on import."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import cache
from importlib import import_module

from regreen.core.errors import UsageError
from regreen.tasks.inject.operators.base import Operator, OperatorInfo

__all__ = ["OPERATORS", "describe", "load"]

_PACKAGE = "regreen.tasks.inject.operators"

OPERATORS: dict[str, str] = {
    "invert_condition": f"{_PACKAGE}.control:InvertCondition",
    "shuffle_branches": f"{_PACKAGE}.control:ShuffleBranches",
    "break_continue": f"{_PACKAGE}.control:BreakContinue",
    "drop_clause": f"{_PACKAGE}.control:DropClause",
    "none_check": f"{_PACKAGE}.control:NoneCheck",
    "wrong_exception": f"{_PACKAGE}.exceptions:WrongException",
    "wrong_handler": f"{_PACKAGE}.exceptions:WrongHandler",
    "swallow_exception": f"{_PACKAGE}.exceptions:SwallowException",
    "remove_loop": f"{_PACKAGE}.removal:RemoveLoop",
    "remove_condition": f"{_PACKAGE}.removal:RemoveCondition",
    "remove_early_return": f"{_PACKAGE}.removal:RemoveEarlyReturn",
    "drop_check": f"{_PACKAGE}.removal:DropCheck",
    "remove_wrapper": f"{_PACKAGE}.removal:RemoveWrapper",
    "empty_body": f"{_PACKAGE}.removal:EmptyBody",
    "stale_cache": f"{_PACKAGE}.state:StaleCache",
    "remove_assignment": f"{_PACKAGE}.state:RemoveAssignment",
    "drop_super_call": f"{_PACKAGE}.classes:DropSuperCall",
    "remove_base": f"{_PACKAGE}.classes:RemoveBase",
    "remove_method": f"{_PACKAGE}.classes:RemoveMethod",
    "remove_call": f"{_PACKAGE}.removal:RemoveCall",
    "reorder_statements": f"{_PACKAGE}.order:ReorderStatements",
    "wrong_indent": f"{_PACKAGE}.order:WrongIndent",
    "drop_await": f"{_PACKAGE}.asyncs_decorators:DropAwait",
    "drop_decorator": f"{_PACKAGE}.asyncs_decorators:DropDecorator",
    "wrong_return": f"{_PACKAGE}.returns:WrongReturn",
    "wrong_yield": f"{_PACKAGE}.returns:WrongYield",
    "wrong_regex": f"{_PACKAGE}.strings:WrongRegex",
    "wrong_string_method": f"{_PACKAGE}.strings:WrongStringMethod",
    "wrong_format": f"{_PACKAGE}.strings:WrongFormat",
    "wrong_text": f"{_PACKAGE}.strings:WrongText",
    "off_by_one": f"{_PACKAGE}.bounds:OffByOne",
    "change_comparison": f"{_PACKAGE}.operator_tokens:ChangeComparison",
    "change_arithmetic": f"{_PACKAGE}.operator_tokens:ChangeArithmetic",
    "change_bitwise": f"{_PACKAGE}.operator_tokens:ChangeBitwise",
    "change_boolean": f"{_PACKAGE}.operator_tokens:ChangeBoolean",
    "swap_operands": f"{_PACKAGE}.operator_tokens:SwapOperands",
    "break_chain": f"{_PACKAGE}.chains:BreakChain",
    "change_constant": f"{_PACKAGE}.constants:ChangeConstant",
    "change_default": f"{_PACKAGE}.constants:ChangeDefault",
    "forget_copy": f"{_PACKAGE}.state:ForgetCopy",
    "wrong_key": f"{_PACKAGE}.state:WrongKey",
    "lost_update": f"{_PACKAGE}.state:LostUpdate",
    "drop_argument": f"{_PACKAGE}.calls:DropArgument",
    "swap_arguments": f"{_PACKAGE}.calls:SwapArguments",
    "wrong_function": f"{_PACKAGE}.calls:WrongFunction",
    "drop_conversion": f"{_PACKAGE}.calls:DropConversion",
    "wrong_option": f"{_PACKAGE}.calls:WrongOption",
    "wrong_variable": f"{_PACKAGE}.names:WrongVariable",
    "wrong_attribute": f"{_PACKAGE}.names:WrongAttribute",
    "swap_targets": f"{_PACKAGE}.names:SwapTargets",
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
