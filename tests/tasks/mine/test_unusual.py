"""Unusual changes from history to verdict: data that is no text, tests inside a library file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bag import journal, mine
from story import Story

from regreen.store.taskset import load_tasks

SETTINGS = '[tool.pytest.ini_options]\npython_files = ["test_*.py", "extra.py"]\n'
READ = "def read(path):\n    return open(path, 'rb').read()[{}:]\n"
TEST = (
    "from pathlib import Path\n\nimport parcel\n\n\ndef test_read():\n"
    "    place = Path(__file__).with_name('data.txt')\n"
    "    assert parcel.read(place) == b'\\xff\\xfe\\xe9'\n\n\n"
    "def test_doc():\n    assert parcel.__doc__ is None\n"
)
EXTRA = "def one():\n    return {0}\n\n\ndef test_one():\n    assert one() == {0}\n"


@pytest.mark.slow
def test_data_that_is_no_text_is_proved_and_mixed_files_are_named(tmp_path: Path) -> None:
    story = Story(tmp_path / "parcel")
    begin = {"parcel.py": READ.format(1), "extra.py": EXTRA.format(1), "pyproject.toml": SETTINGS}
    story.commit("begin", "Begin", {**begin, "tests/test_none.py": "def test_none(): pass\n"})
    story.commit("mixed", "Count from two", {"extra.py": EXTRA.format(2)})
    fix = {"parcel.py": READ.format(0), "tests/data.txt": b"\xff\xfe\xe9"}
    story.commit("bytes", "Read from the first byte", {**fix, "tests/test_read.py": TEST})
    out = tmp_path / "tasks.jsonl"
    said = mine(story, out)
    found = journal(out, story)
    assert (found["mixed"].status, found["mixed"].reason) == ("rejected", "tests_in_source")
    assert (said["candidates"], said["verified"]) == (2, 1)
    (task,) = load_tasks(out)
    assert task.FAIL_TO_PASS == ("tests/test_read.py::test_read",)
    words = [sys.executable, "-m", "regreen", "tasks", "validate", str(out), "--json"]
    proved = subprocess.run(words, env=os.environ, capture_output=True, check=False)
    assert proved.returncode == 0, proved.stderr
    assert json.loads(proved.stdout)
