from __future__ import annotations

import pytest

from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory
from regreen.store.jsonl import encode_row
from regreen.store.trajectories import TrajectoryLog


def rollout(name, patch="", **changes):
    return Trajectory(rollout_id=name, task="t", agent="mini", patch=patch, **changes)


@pytest.fixture
def log(tmp_path):
    with_three = TrajectoryLog(tmp_path)
    for name in "abc":
        with_three.append(rollout(name))
    yield with_three
    with_three.close()


def patches(log):
    return {t.rollout_id: t.patch for t in log}


def test_compacting_keeps_all_and_leaves_no_lines(log):
    log.compact()
    assert log.table.exists()
    assert not log.lines.exists()
    assert patches(log) == {"a": "", "b": "", "c": ""}
    log.compact()
    log.append(rollout("d"))
    log.append(rollout("a", "again"))
    assert patches(log) == {"a": "again", "b": "", "c": "", "d": ""}
    log.compact()
    assert patches(log) == {"a": "again", "b": "", "c": "", "d": ""}


def test_a_later_line_replaces_an_earlier_one(log):
    log.append(rollout("b", "new"))
    assert [t.rollout_id for t in log] == ["a", "c", "b"]
    assert patches(log)["b"] == "new"


def test_a_crash_between_the_two_steps_of_compacting_loses_and_doubles_nothing(log):
    lines = log.lines.read_bytes()
    log.compact()
    log.lines.write_bytes(lines)
    assert sorted(t.rollout_id for t in log) == ["a", "b", "c"]


def test_a_crash_between_the_two_steps_of_replacing_keeps_the_new(log):
    log.compact()
    old = log.table.read_bytes()
    log.replace(rollout(name, "new") for name in "abc")
    log.table.write_bytes(old)
    assert patches(log) == dict.fromkeys("abc", "new")


def test_replacing_may_read_what_it_replaces(log):
    log.compact()
    log.append(rollout("d"))
    log.replace(t.model_copy(update={"patch": "graded"}) for t in log)
    assert patches(log) == dict.fromkeys("abcd", "graded")
    assert not log.table.exists()


def test_a_failing_replacement_changes_nothing(log):
    def broken():
        yield rollout("z")
        raise KeyError

    with pytest.raises(KeyError):
        log.replace(broken())
    assert sorted(patches(log)) == ["a", "b", "c"]


def test_a_line_that_is_being_written_is_left_out(log):
    whole = log.lines.read_bytes()
    torn = encode_row(rollout("d").model_dump())
    for cut in range(len(torn)):
        log.lines.write_bytes(whole + torn[:cut])
        assert sorted(patches(log)) == ["a", "b", "c"]


def test_cut_at_any_byte_then_resumed_gives_the_same_set(log):
    whole = log.lines.read_bytes()
    log.close()
    for cut in range(0, len(whole), 7):
        log.lines.write_bytes(whole[:cut])
        present = set(patches(log))
        for name in "abc":
            if name not in present:
                log.append(rollout(name))
        log.close()
        assert sorted(t.rollout_id for t in log) == ["a", "b", "c"]


def test_what_parquet_cannot_hold_stays_a_line(log):
    log.append(rollout("odd", "\ud800"))
    log.append(rollout("big", seed=2**70))
    log.compact()
    assert len(log.lines.read_bytes().splitlines()) == 2
    assert sorted(patches(log)) == ["a", "b", "big", "c", "odd"]
    assert patches(log)["odd"] == "\ud800"


@pytest.mark.parametrize(
    "line", [b"{}\n", b'{"rollout_id": "x"}\n', b"garbage\n", b'{"schema_name": "y"}\n']
)
def test_a_foreign_line_is_refused_with_its_place(log, line):
    log.lines.write_bytes(log.lines.read_bytes() + line)
    with pytest.raises(UsageError) as caught:
        list(log)
    assert caught.value.where == f"{log.lines}:4"
    assert len(caught.value.lines()) == 3


def test_nothing_written_is_nothing_read(tmp_path):
    empty = TrajectoryLog(tmp_path)
    empty.compact()
    assert list(empty) == []
