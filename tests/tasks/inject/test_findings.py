"""Findings survive a killed job, and are not mistaken for those of another."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import candidate
from hypothesis import given
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.tasks.inject.candidate import Finding
from regreen.tasks.inject.findings import Findings

HEADER = {"commit": "abc", "settings": {"seed": 0, "operators": ["a"]}}
GOOD = Finding(
    status="verified",
    fail_to_pass=("t.py::a",),
    pass_to_pass=("t.py::b[é]",),
    messages=("E   assert 1 == 2\n\ud83d".encode("utf-8", "replace").decode(),),
    controls=(("no_op", 0.0, 0.0), ("gold", 1.0, 1.0)),
    cpu=0.25,
)


def write(path: Path, found: dict[str, Finding]) -> None:
    with Findings(path, header=HEADER, resume=False) as memory:
        for identity, finding in found.items():
            memory.add(candidate(identity=identity), finding)


def test_what_was_found_is_known_at_once_and_without_a_file():
    with Findings(None, header=HEADER, resume=False) as memory:
        assert memory.get("x") is None
        memory.add(candidate(identity="x"), GOOD)
        assert memory.get("x") == GOOD


def test_a_resumed_job_knows_what_the_killed_one_found(tmp_path):
    path = tmp_path / "f.jsonl"
    bad = Finding(status="hang", cpu=2.0)
    write(path, {"x": GOOD, "y": bad})
    with Findings(path, header=HEADER, resume=True) as memory:
        assert (memory.get("x"), memory.get("y"), memory.get("z")) == (GOOD, bad, None)
        memory.add(candidate(identity="z"), bad)
    with Findings(path, header=HEADER, resume=True) as memory:
        assert memory.get("z") == bad


def test_half_a_last_line_costs_that_finding_only(tmp_path):
    path = tmp_path / "f.jsonl"
    write(path, {"x": GOOD, "y": GOOD})
    path.write_bytes(path.read_bytes()[:-20])
    with Findings(path, header=HEADER, resume=True) as memory:
        assert (memory.get("x"), memory.get("y")) == (GOOD, None)
        memory.add(candidate(identity="y"), GOOD)
    with Findings(path, header=HEADER, resume=True) as memory:
        assert memory.get("y") == GOOD


def test_findings_are_not_overwritten_by_a_new_job(tmp_path):
    path = tmp_path / "f.jsonl"
    write(path, {"x": GOOD})
    before = path.read_bytes()
    with pytest.raises(UsageError) as caught:
        Findings(path, header=HEADER, resume=False)
    assert "--resume" in caught.value.mend
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ({**HEADER, "commit": "def"}, "commit"),
        ({**HEADER, "settings": {"seed": 1, "operators": ["a"]}}, "settings"),
        ({**HEADER, "extra": 1}, "extra"),
        ({"commit": "abc"}, "settings"),
    ],
)
def test_findings_of_another_job_are_refused(tmp_path, header, what):
    path = tmp_path / "f.jsonl"
    write(path, {"x": GOOD})
    with pytest.raises(UsageError, match=f"another job: .*{what}"):
        Findings(path, header=header, resume=True)


def test_findings_of_another_version_are_refused(tmp_path):
    path = tmp_path / "f.jsonl"
    write(path, {})
    path.write_text(path.read_text().replace('"schema_version":1', '"schema_version":2'))
    with pytest.raises(UsageError, match="schema_version"):
        Findings(path, header=HEADER, resume=True)


def test_resuming_nothing_begins_anew(tmp_path):
    path = tmp_path / "f.jsonl"
    with Findings(path, header=HEADER, resume=True) as memory:
        memory.add(candidate(identity="x"), GOOD)
    with Findings(path, header=HEADER, resume=True) as memory:
        assert memory.get("x") == GOOD


names = st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=3).map(tuple)
findings = st.builds(
    Finding,
    status=st.sampled_from(["verified", "survived", "hang"]),
    fail_to_pass=names,
    pass_to_pass=names,
    flaky=names,
    messages=names,
    controls=st.lists(st.tuples(st.text("ab"), st.just(0.0), st.just(1.0))).map(tuple),
    cpu=st.floats(0, 9),
)


@given(st.dictionaries(st.text("0123456789abcdef", min_size=1, max_size=6), findings, max_size=6))
def test_any_finding_comes_back_as_it_was(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("findings") / "f.jsonl"
    write(path, found)
    with Findings(path, header=HEADER, resume=True) as memory:
        assert {identity: memory.get(identity) for identity in found} == found
