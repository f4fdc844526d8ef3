"""``regreen guard scan``: exit codes, the stable JSON form, and errors in three lines."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from regreen.cli.main import main

BASE = "def total(items, fee):\n    result = sum(items)\n    return result - fee\n"
PATCH = """--- a/money.py
+++ b/money.py
@@ -1,3 +1,3 @@
 def total(items, fee):
     result = sum(items)
-    return result - fee
+    return result + fee
"""
TEST_PATCH = """--- /dev/null
+++ b/test_hidden.py
@@ -0,0 +1,4 @@
+from money import total
+
+def test_total_with_a_fee():
+    assert total([1, 2, 3], 4) == 10
"""


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as stop,
    ):
        main(["guard", "scan", *arguments])
    return int(stop.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "money.py").write_text(BASE)
    (tmp_path / "gold.diff").write_text(PATCH)
    return root


def test_a_clean_place_exits_with_0(place: Path) -> None:
    code, out, _ = run(str(place), "--patch", str(place.parent / "gold.diff"), "--json")

    assert code == 0
    assert json.loads(out)["leaks"] == []


def test_a_leak_exits_with_1_and_is_named(place: Path) -> None:
    (place / "fix.diff").write_text(PATCH)

    code, out, _ = run(str(place), "--patch", str(place.parent / "gold.diff"), "--json")

    found = json.loads(out)
    assert code == 1
    assert set(found) == {"leaks", "scanned", "unreadable"}
    assert [(leak["kind"], set(leak)) for leak in found["leaks"]] == [
        ("patch_file", {"kind", "where", "evidence"})
    ]
    assert found["leaks"][0]["where"].startswith("fix.diff")


def test_a_person_sees_a_table_and_a_line(place: Path) -> None:
    (place / ".netrc").write_text("machine github.com password x\n")

    code, out, _ = run(str(place))

    assert code == 1
    assert "credential" in out
    assert out.strip().splitlines()[-1].startswith("1 leak in ")


def test_hidden_tests_of_a_task_are_sought(place: Path) -> None:
    row = {
        "instance_id": "purse-1",
        "repo": "example/purse",
        "base_commit": "0" * 40,
        "patch": PATCH,
        "test_patch": TEST_PATCH,
        "problem_statement": "totals are wrong",
        "FAIL_TO_PASS": ["test_hidden.py::test_total_with_a_fee"],
        "PASS_TO_PASS": [],
    }
    tasks = place.parent / "tasks.jsonl"
    tasks.write_text(json.dumps(row) + "\n")
    (place / "t.txt").write_text(
        "def test_total_with_a_fee():\n    assert total([1, 2, 3], 4) == 10\n"
    )

    code, out, _ = run(str(place), "--task", str(tasks), "--instance-id", "purse-1", "--json")

    assert code == 1
    assert [leak["kind"] for leak in json.loads(out)["leaks"]] == ["hidden_test"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("/no/such/place", "--patch", "gold.diff"),
        (".", "--patch", "absent.diff"),
        (".", "--patch", "no.diff"),
        (".", "--patch", "empty.diff"),
        (".", "--patch", "gold.diff", "--task", "absent.jsonl"),
        (".", "--task", "absent.jsonl"),
        (".", "--instance-id", "x"),
    ],
)
def test_bad_arguments_are_three_lines(
    place: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.parent)
    Path("no.diff").write_text("this is no patch\n")
    Path("empty.diff").write_text("")

    code, out, err = run(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 3
