"""Changes that their proof ends, each for its own reason, and one that outlives wavering tests."""

from __future__ import annotations

import inspect
from pathlib import Path

import iniconfig._parse as installed
import pytest
from bag import HOLDS, journal, mine
from story import Story

from regreen.store.taskset import load_tasks
from regreen.tasks.mine.journal import Entry

LOTS = (
    "@pytest.mark.parametrize('n', range(24))\ndef test_lot(n):\n    import random\n\n"
    "    assert random.random() < 0.5\n"
)
ADDED = "\n\ndef {0}():\n    return '{0}'\n"
COPIED = f"\n\n{inspect.getsource(installed._parseline)}"
REASONS = {
    "grouped": "tests_unchanged",
    "imported": "no_pass_to_pass",
    "missing": "environment_collect",
    "dropped": "environment_collect",
    "quoted": "control",
    "copied": "leaked",
}


def tell(root: Path) -> Story:
    """Write the history: one change for every reason, and one that is a task."""
    story = Story(root)
    core = '"""Bags."""\n\nNAMES = []\n'

    def change(label: str, test: str, added: str = "", **files: str) -> None:
        nonlocal core
        core += added or ADDED.format(label)
        tests = {f"tests/test_{label}.py": test}
        story.commit(label, f"Add {label}", {"bag.py": core, **tests, **files})

    own = "import bag\nimport pytest\n\n\ndef test_own():\n    assert bag.{0}() == '{0}'\n"
    story.commit("root", "Begin", {"bag.py": core})
    change("imported", "from bag import imported\n\n\ndef test_own():\n    assert imported()\n")
    change("wavers", f"{HOLDS}{own.format('wavers')}\n\n{LOTS}")
    group = "class TestAll:\n    def test_doc(self):\n        assert True\n"
    story.commit("groups", "Group", {"tests/test_grouped.py": group})
    change("grouped", f'"""Groups."""\n\n\n{group}')
    needy = {"two.py": "import bag_needs_what_is_not_there\n"}
    story.commit("needy", "Need it", needy)
    two = "import two\n\n\ndef test_two():\n    assert two\n"
    change("dropped", HOLDS + two, **{"two.py": "TWO = 2\n"})
    change("missing", f"import bag_is_nowhere_to_be_found\n\n{own.format('missing')}")
    quoted = "def test_quoted():\n    assert 'def quoted' in open(bag.__file__).read()\n"
    change("quoted", HOLDS + quoted)
    change("copied", f"{HOLDS}def test_copied():\n    assert bag._parseline\n", COPIED)
    return story


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(tmp_path_factory.mktemp("refused") / "refused")


@pytest.fixture(scope="module")
def out(story: Story) -> Path:
    made = story.root.parent / "tasks.jsonl"
    mine(story, made)
    return made


@pytest.fixture(scope="module")
def entries(story: Story, out: Path) -> dict[str, Entry]:
    return journal(out, story)


@pytest.mark.parametrize(("label", "reason"), REASONS.items())
def test_a_change_is_left_out_for_its_reason(entries, label, reason):
    assert (entries[label].status, entries[label].reason) == ("rejected", reason)


def test_a_package_that_only_the_state_before_needs_is_told(entries):
    assert "bag_needs_what_is_not_there' before the change" in entries["dropped"].detail


def test_tests_that_waver_are_named_and_the_task_survives(out):
    (task,) = load_tasks(out)

    assert task.FAIL_TO_PASS == ("tests/test_wavers.py::test_own",)
    assert task.PASS_TO_PASS
    assert task.validation
    assert task.validation.flaky
    assert all("::test_lot[" in name for name in task.validation.flaky)
    assert not {*task.validation.flaky} & {*task.PASS_TO_PASS}
