"""What was read of a change is read back, by the job it belongs to alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from regreen.tasks.history.change import Change
from regreen.tasks.mine.readings import Reading, Readings
from regreen.tasks.mine.survey import Outline
from regreen.tasks.repo.discovery import Suite, TestCommand

OUTLINE = Outline(
    suite=Suite(TestCommand(("tests",), "layout"), ("test_*.py",), ("tests",)),
    library=("p",),
    needs="a" * 64,
    kin="b" * 64,
    options=("--import-mode=importlib",),
    spared=(),
    foreign=True,
    others=("tests/test_é.py", "tests/test \udcff.py"),
    name="p",
    license="MIT",
)
CHANGE = Change(
    commit="c" * 40, base="d" * 40, kind="commit", number=None, subject="", body="",
    messages=(), date=datetime(2020, 1, 1, tzinfo=UTC), files=(),
)  # fmt: skip
READING = Reading(base=CHANGE.base, commit=CHANGE.commit, fix="e", outline=OUTLINE)


def kept(path: Path, **header: str) -> Reading | None:
    found = Readings(path, header=header)
    found.close()
    return found.of(CHANGE)


def test_a_reading_is_kept_for_its_job_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.plan.jsonl"
    readings = Readings(path, header={"settings": "one"})
    assert readings.of(CHANGE) is None
    readings.add(READING)
    assert readings.of(CHANGE) == READING
    readings.close()
    assert kept(path, settings="one") == READING
    assert kept(path, settings="other") is None
    assert kept(path, settings="one") is None


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "out.plan.jsonl"
    readings = Readings(path)
    readings.add(READING)
    readings.close()
    with path.open("ab") as file:
        file.write(b'{"base": 1}\n')
    assert kept(path) is None
    assert path.read_bytes().count(b"\n") == 1
