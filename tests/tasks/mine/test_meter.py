"""What is spent is shared among the changes under way, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regreen.tasks.mine.meter import Meter, cpu_seconds


def test_changes_that_run_at_once_share_what_is_spent() -> None:
    clock: Iterator[float] = iter([10.0, 14.0, 20.0, 21.0, 30.0, 32.0])
    meter = Meter(lambda: next(clock))
    meter.begin("a")  # 10
    meter.begin("b")  # 14: a has 4
    assert meter.end("a") == pytest.approx(7.0)  # 20: 3 each
    assert meter.end("b") == pytest.approx(4.0)  # 21
    meter.begin("c")  # 30: what came between belongs to nobody
    assert meter.end("c") == pytest.approx(2.0)


def test_work_of_this_process_is_seen() -> None:
    meter, before = Meter(), cpu_seconds()
    meter.begin("a")
    while cpu_seconds() <= before:
        pass
    assert meter.end("a") >= 0
    assert cpu_seconds() > before
