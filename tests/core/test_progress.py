from __future__ import annotations

import io
import threading
from datetime import UTC, datetime

import pytest

from regreen.core.console import Console
from regreen.core.progress import Progress


class StillClock:
    def __init__(self):
        self.seconds = 0.0

    def now(self):
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock():
    return StillClock()


def a_progress(clock, **changes):
    return Progress(
        **{"title": "rollouts", "total": 10, "done": 0, "good": "resolved", **changes}, clock=clock
    )


def test_nothing_finished_has_no_rate(clock):
    progress = a_progress(clock)
    assert progress.eta() is None
    assert progress.line() == "rollouts 0/10 · 0 s"


def test_the_line_tells_share_rate_and_what_is_left(clock):
    progress = a_progress(clock)
    for number, outcome in enumerate(["resolved", "unresolved", "infrastructure", "resolved"]):
        progress.phase(str(number), "act")
        clock.seconds += 30
        progress.finish(str(number), outcome)
    assert progress.line() == (
        "rollouts 4/10 · resolved 2/4 (50%) · infrastructure 1 · unresolved 1 · 2.0/min"
        " · about 3:00 min left"
    )


def test_items_finished_before_are_not_in_the_rate(clock):
    progress = a_progress(clock, done=8)
    clock.seconds = 10
    progress.finish("a", "resolved")
    assert progress.finished == 9
    assert progress.eta() == 10


def test_the_longest_running_item_comes_first(clock):
    progress = a_progress(clock)
    progress.phase("a", "act")
    clock.seconds = 5
    progress.phase("b", "act")
    progress.phase("a", "verify")
    clock.seconds = 4000
    assert progress.running() == [("a", "verify", 4000.0), ("b", "act", 3995.0)]
    progress.finish("a", "resolved")
    assert [key for key, _, _ in progress.running()] == ["b"]


def test_threads_lose_no_count(clock):
    progress = a_progress(clock, total=800)

    def work(name):
        for number in range(100):
            progress.phase(f"{name}.{number}", "act")
            progress.finish(f"{name}.{number}", "resolved")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress.finished == 800
    assert progress.running() == []


def test_without_a_terminal_a_line_comes_every_few_seconds(clock):
    console = Console(stderr=io.StringIO(), environ={}, clock=clock)
    with console.progress("rollouts", total=40, every=5) as progress:
        for number in range(40):
            clock.seconds += 1
            progress.finish(str(number), "resolved")
    lines = console.stderr.getvalue().splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("rollouts 5/40")
    assert lines[-1] == "rollouts 40/40 · resolved 40/40 (100%) · 60.0/min · 40 s"


def test_the_last_line_comes_even_when_the_work_fails(clock):
    console = Console(stderr=io.StringIO(), environ={}, clock=clock)

    def work():
        with console.progress("rollouts", total=2) as progress:
            progress.finish("a", "resolved")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert console.stderr.getvalue().startswith("rollouts 1/2")
