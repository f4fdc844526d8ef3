"""Changes whose proof easily goes wrong: processes that end, odd words, modes, silent modules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bag import HOLDS, mine
from story import Story

from regreen.core.task import Task
from regreen.store.taskset import load_tasks

CALM = (
    "@pytest.mark.parametrize('n', range(25))\ndef test_{}(n):\n    assert core.calm(n) == n\n\n\n"
)
FATAL = (
    "@pytest.mark.parametrize('n', range(12))\ndef test_end(n):\n    assert core.end(n) == n\n\n\n"
)


def tell(root: Path) -> Story:
    """Write the history: for each oddity a change, and before it what it repairs."""
    story = Story(root)
    core = '"""Bags."""\n\n\ndef calm(n):\n    return n\n'
    begin = {"bag/__init__.py": '"""Bags."""\n', "bag/run.sh": "exit 0\n"}
    story.commit("root", "Begin", {**begin, "bag/core.py": core, "tests/test_none.py": HOLDS})

    def change(label: str, worse: str, better: str, test: str) -> None:
        nonlocal core
        if worse:
            story.commit(f"{label}-0", "Begin anew", {"bag/core.py": core + worse})
        core += better
        tests = {
            f"tests/test_{label}.py": f"{HOLDS}import pytest\nfrom bag import core\n\n\n{test}"
        }
        story.commit(label, f"Mend {label}", {"bag/core.py": core, **tests})

    change(
        "end",
        "\n\ndef end(n):\n    import os\n    os._exit(3)\n",
        "\n\ndef end(n):\n    return n\n",
        CALM.format("early") + FATAL + CALM.format("late"),
    )
    change(
        "words",
        "\n\ndef say():\n    raise ValueError('\\udc80 gone')\n",
        "\n\ndef say():\n    return 'x'\n",
        "def test_say():\n    assert core.say() == 'x'\n",
    )
    story.write({"bag/extras/__init__.py": ""})
    change(
        "silent",
        "",
        "\n\ndef parts():\n    import bag, pkgutil\n"
        "    return [one.name for one in pkgutil.iter_modules(bag.__path__)]\n",
        "def test_parts():\n    assert 'extras' in core.parts()\n",
    )
    (story.root / "bag/run.sh").chmod(0o755)
    can = "def test_can():\n    import os\n    assert os.access('bag/run.sh', os.X_OK)\n"
    change("mode", "", "\n\nSCRIPT = 'run.sh'\n", can)
    word = "def test_word():\n    assert core.word() == 'ü'\n"
    table = "TABLE = '''\n" + ("漢字" * 20 + "\n") * 700 + "'''\n\n\n"
    story.write({"bag/run.sh": "echo\n"})
    change(
        "wide",
        "\n\ndef word():\n    return 'u'\n",
        "\n\ndef word():\n    return 'ü'\n",
        table + word,
    )
    return story


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Task | str]:
    """By label: the task, or the reason why there is none."""
    story = tell(tmp_path_factory.mktemp("odd") / "odd")
    out = story.root.parent / "tasks.jsonl"
    mine(story, out)
    lines = out.with_name("tasks.jsonl.journal.jsonl").read_text().splitlines()[1:]
    entries = {row["commit"]: row.get("reason", "") for row in map(json.loads, lines)}
    tasks = {task.base_commit: task for task in load_tasks(out)}
    bases = {label: story.git("rev-parse", f"{name}~") for label, name in story.names.items()
             if label != "root"}  # fmt: skip
    return {label: tasks.get(base, entries[story.names[label]]) for label, base in bases.items()}


def test_a_test_that_had_no_turn_before_was_not_red(made: dict[str, Task]) -> None:
    task = made["end"]

    assert all("::test_end[" in name for name in task.FAIL_TO_PASS), task.FAIL_TO_PASS
    assert any("::test_early[" in name for name in task.PASS_TO_PASS)
    assert task.validation is not None
    assert not task.validation.flaky


def test_half_a_character_in_a_failure_is_no_end_of_the_job(made: dict[str, Task]) -> None:
    assert made["words"].FAIL_TO_PASS == ("tests/test_words.py::test_say",)


def test_a_module_that_says_nothing_is_part_of_the_repair(made: dict[str, Task]) -> None:
    assert "b/bag/extras/__init__.py" in made["silent"].patch


def test_a_mode_that_the_repair_sets_is_not_set_before(made: dict[str, Task]) -> None:
    assert made["mode"].FAIL_TO_PASS == ("tests/test_mode.py::test_can",)


def test_a_row_is_measured_in_bytes(made: dict[str, str]) -> None:
    assert made["wide"] == "too_large"


def test_a_row_that_cannot_be_proved_here_does_not_end_the_others(tmp_path: Path) -> None:
    story = Story(tmp_path / "bag")
    worse, better = (f'"""Bags."""\n\n\ndef take(n):\n    return n + {one}\n' for one in (1, 0))
    test = "import bag\n\n\ndef test_take():\n    assert bag.take(2) == 2\n"
    story.commit("root", "Begin", {"bag.py": worse, "tests/test_none.py": HOLDS})
    story.commit("take", "Take", {"bag.py": better, "tests/test_take.py": HOLDS + test})
    out = tmp_path / "tasks.jsonl"
    mine(story, out)
    row = json.loads(out.read_text())
    lost = {**row, "instance_id": "lost", "environment": {**row["environment"]}}
    lost["environment"]["shim_layer"] = "0" * 64
    out.write_text(f"{json.dumps(lost)}\n{json.dumps(row)}\n")

    done = subprocess.run(
        [sys.executable, "-m", "regreen", "tasks", "validate", str(out), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["valid"] == 1
    assert list(told["failed"]) == ["lost"]
