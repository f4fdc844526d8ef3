from __future__ import annotations

import asyncio

import pytest

from regreen.core.errors import (
    AgentError,
    BoundaryError,
    InfrastructureError,
    ModelError,
    PrerequisiteError,
    RegreenError,
    TaskError,
    UsageError,
    boundary,
)


def test_an_escaping_exception_is_attributed_and_chained():
    cause = ZeroDivisionError("by zero")

    def work():
        with boundary(TaskError, "apply the patch"):
            raise cause

    with pytest.raises(TaskError) as caught:
        work()
    assert caught.value.what == "apply the patch: ZeroDivisionError: by zero"
    assert caught.value.boundary == "task"
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("inner", [ModelError("m"), UsageError("u"), InfrastructureError("i")])
def test_the_innermost_boundary_wins(inner):
    def work():
        with boundary(AgentError, "outer"), boundary(TaskError, "middle"):
            raise inner

    with pytest.raises(RegreenError) as caught:
        work()
    assert caught.value is inner


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_being_stopped_is_nobodys_failure(signal):
    def work():
        with boundary(AgentError, "outer"):
            raise signal

    with pytest.raises(signal):
        work()


def test_a_block_that_succeeds_is_left_alone():
    with boundary(AgentError, "outer"):
        value = 1
    assert value == 1


@pytest.mark.parametrize(
    ("kind", "code"),
    [(RegreenError, 1), (UsageError, 2), (PrerequisiteError, 3), (ModelError, 1)],
)
def test_exit_codes(kind, code):
    assert kind("x").exit_code == code


def test_each_party_has_its_name():
    parties = [
        kind("x").boundary for kind in (InfrastructureError, AgentError, TaskError, ModelError)
    ]
    assert parties == ["infrastructure", "agent", "task", "model"]
    assert all(issubclass(kind, BoundaryError) for kind in (AgentError, TaskError, ModelError))


def test_lines_leave_out_what_is_not_known():
    assert UsageError("w").lines() == ["error: w"]
    assert UsageError("w", where="h", mend="m").lines() == ["error: w", "where: h", " mend: m"]
    assert str(UsageError("w", where="h")) == "w"
