from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from regreen.core.errors import UsageError
from regreen.core.trajectory import ErrorRecord, Incident, Trajectory
from regreen.store import RunDirectory

CONFIG = {"agent": "mini", "workers": 2, "sampling": {"temperature": 0.7, "top_p": None}}
LOCK = {"versions": {"regreen": "0.1.0"}, "taskset_digest": "sha256:1", "seeds": [0, 1]}


def rollout(name="a", **changes):
    return Trajectory(rollout_id=name, task="t", agent="mini", **changes)


def failed(name, boundary):
    return rollout(name, error=ErrorRecord(boundary=boundary, type="X", message="m"))


def create(path, config=CONFIG, lock=LOCK, **options):
    return RunDirectory.create(path, config=config, lock=lock, **options)


def refused(call, *arguments, **options):
    with pytest.raises(UsageError) as caught:
        call(*arguments, **options)
    assert len(caught.value.lines()) == 3
    return caught.value


def test_a_run_holds_what_was_written(tmp_path):
    with create(tmp_path / "run") as run:
        run.append(rollout("a"))
        run.append(rollout("b"))
        run.append_metric({"step": 1, "loss": float("nan")})
        run.append_incident("a", Incident(rule="r", message="m"))
        assert run.write_text("report.md", "# hi\n").read_text() == "# hi\n"
    again = RunDirectory.open(tmp_path / "run")
    assert [t.rollout_id for t in again.trajectories()] == ["a", "b"]
    assert list(again.metrics()) == [{"step": 1, "loss": "NaN"}]
    assert list(again.incidents()) == [("a", Incident(rule="r", message="m"))]
    assert again.config == {"agent": "mini", "workers": 2, "sampling": {"temperature": 0.7}}
    assert again.lock["taskset_digest"] == "sha256:1"
    assert again.lock["config_digest"].startswith("sha256:")
    assert again.logs.is_dir()


@pytest.mark.parametrize("name", ["trajectory", "metric", "incident"])
def test_every_row_says_its_schema(tmp_path, name):
    with create(tmp_path) as run:
        run.append(rollout())
        run.append_metric({"a": 1})
        run.append_incident("a", Incident(rule="r", message="m"))
    plural = "trajectories" if name == "trajectory" else f"{name}s"
    (line,) = (tmp_path / f"{plural}.jsonl").read_text().splitlines()
    assert json.loads(line)["schema_name"] == f"regreen.{name}"
    assert json.loads(line)["schema_version"] == 1


def test_creating_twice_needs_resume(tmp_path):
    create(tmp_path).close()
    assert "--resume" in refused(create, tmp_path).mend
    with create(tmp_path, resume=True) as run:
        run.append(rollout())


def test_resuming_nothing_begins(tmp_path):
    with create(tmp_path / "new", resume=True) as run:
        assert run.finished_ids() == set()


def test_resume_names_the_keys_that_differ(tmp_path):
    create(tmp_path, may_differ=["workers"]).close()
    config = {"agent": "react", "workers": 8, "sampling": {"temperature": 1.0}, "new": 1}
    error = refused(create, tmp_path, config, resume=True, may_differ=["workers"])
    assert "agent (was 'mini', now 'react')" in error.what
    assert "sampling.temperature (was 0.7, now 1.0)" in error.what
    assert "new (was None, now 1)" in error.what
    assert "workers" not in error.what


def test_resume_on_another_taskset_is_refused(tmp_path):
    create(tmp_path).close()
    lock = {**LOCK, "taskset_digest": "sha256:2"}
    assert "taskset_digest" in refused(create, tmp_path, lock=lock, resume=True).what
    newer = {**LOCK, "versions": {"regreen": "0.2.0"}}
    create(tmp_path, lock=newer, resume=True).close()


def test_a_directory_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    for resume in (False, True):
        assert "is no run" in refused(create, tmp_path, resume=resume).what
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_creation_cut_short_can_be_repeated(tmp_path):
    create(tmp_path).close()
    (tmp_path / "lock.json").unlink()
    (tmp_path / ".lock.json.x.tmp").write_text("torn")
    create(tmp_path).close()
    assert RunDirectory.open(tmp_path).config["agent"] == "mini"


@pytest.mark.parametrize("name", ["absent", "file", "file/below", "empty"])
def test_opening_what_is_no_run_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert "--run" in refused(RunDirectory.open, tmp_path / name).mend


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_creating_below_a_file_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    refused(create, tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("lock.json", b"{", "damaged"),
        ("config.toml", b"a =", "damaged"),
        ("config.toml", b"\xff", "damaged"),
        ("lock.json", b"[]", "not 'regreen.run'"),
        ("lock.json", b'{"schema_name": "regreen.run", "schema_version": 2}', "version 2"),
    ],
)
def test_a_damaged_or_newer_head_is_refused(tmp_path, name, content, what):
    create(tmp_path).close()
    (tmp_path / name).write_bytes(content)
    assert what in refused(RunDirectory.open, tmp_path).what


def test_foreign_metric_rows_are_refused(tmp_path):
    create(tmp_path).close()
    (tmp_path / "metrics.jsonl").write_text('{"loss": 1}\n')
    assert "metrics.jsonl:1" in refused(lambda: list(RunDirectory.open(tmp_path).metrics())).where


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path):
    with create(tmp_path) as run:
        run.append(rollout())
        other = RunDirectory.open(tmp_path)
        assert len(list(other.trajectories())) == 1
        assert str(os.getpid()) in refused(other.append, rollout("b")).what
        assert "being written" in refused(create, tmp_path, resume=True).what
    other.append(rollout("b"))
    other.close()
    assert other.finished_ids() == {"a", "b"}


_HOLD = """
import sys, time
from regreen.store import RunDirectory
run = RunDirectory.open(sys.argv[1])
run.append_metric({"a": 1})
print("held", flush=True)
time.sleep(60)
"""


def test_a_killed_writer_holds_nothing(tmp_path):
    create(tmp_path).close()
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert f"process {process.pid}" in refused(create, tmp_path, resume=True).what
        process.send_signal(signal.SIGKILL)
        process.wait()
    create(tmp_path, resume=True).close()


def test_a_failure_of_the_machine_is_repeated_by_a_resume(tmp_path):
    with create(tmp_path) as run:
        for boundary in ("infrastructure", "agent", "task", "model"):
            run.append(failed(boundary, boundary))
        assert run.finished_ids() == {"agent", "task", "model"}
        assert run.finished_ids(retry=()) == {"infrastructure", "agent", "task", "model"}
        run.append(rollout("infrastructure"))
        assert "infrastructure" in run.finished_ids()
        assert len(list(run.trajectories())) == 4


def test_threads_may_append(tmp_path):
    with create(tmp_path) as run:
        run.close()

        def work(n):
            run.append(rollout(str(n)))
            run.append_metric({"n": n})

        threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(run.trajectories())) == len(list(run.metrics())) == 12
