"""What a run shows of a change and its ground: whose fault it is, and which tests to keep."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from regreen.core.verdict import Outcome
from regreen.grading.suite import SuiteRun
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.split import Split

__all__ = [
    "CASES",
    "MOST_WORKERS",
    "bearable",
    "blame",
    "can_be_told",
    "check_collection",
    "check_packages",
    "costly",
    "is_red",
    "lost_tests",
    "nearest",
    "touched_tests",
]

_MIN_COLLECTED = 0.9
"""Share of the expected test functions that an environment must collect (KAT-Coder's rule)."""
_FAILING = frozenset(
    (Outcome.FAILED, Outcome.ERROR, Outcome.TIMEOUT, Outcome.CRASHED, Outcome.MISSING)
)
_FATAL = frozenset((Outcome.TIMEOUT, Outcome.CRASHED))
CASES = 5
"""Of a parametrized function that the change does not touch."""
MOST_WORKERS = 8
"""Workers that a run starts anew after a crash or a hang."""
_COSTLY = 1.0
"""CPU seconds."""
_STATUS = {
    2: "pytest was interrupted while it collected",
    3: "pytest failed by itself while it collected",
    4: "pytest refuses its options, its settings or a conftest",
}
"""What pytest's exit status says where it gives no other reason."""
_NO_MODULE = re.compile(r"(?:ModuleNotFound|Import)Error: No module named '?(\w+)")


def check_collection(run: SuiteRun, split: Split) -> None:
    """Whether the environment carries the tests of the change.

    Raises:
        Rejected: it does not.
    """
    if "time limit of the run" in run.problem:
        raise Rejected(Reason.TOO_SLOW, f"{len(run.tests)} of {len(run.collected)} tests had ended")
    errors = [run.collect_errors[path] for path in split.test_files if path in run.collect_errors]
    errors += run.collect_errors.values()
    own = [test for test in run.collected if test.partition("::")[0] in split.test_files]
    if not own:
        words = next(iter(errors), run.problem) or _STATUS.get(run.status or 0, "no test is there")
        raise Rejected(Reason.ENVIRONMENT_COLLECT, _last_line(words))
    if run.problem and not any(run.outcome(test).passed for test in own):
        raise Rejected(Reason.ENVIRONMENT_COLLECT, _last_line(run.problem))
    expected = {f"{path}::{name}" for path, names in split.touched.items() for name in names or ()}
    there = len(expected & {test.partition("[")[0] for test in own})
    if expected and there < _MIN_COLLECTED * len(expected) and errors:
        detail = f"{there} of {len(expected)}: {_last_line(errors[0])}"
        raise Rejected(Reason.ENVIRONMENT_COLLECT, detail)


def check_packages(after: SuiteRun, before: SuiteRun, tree: Iterable[str], split: Split) -> None:
    """Whether the environment, made for a state after, has what the state before imports.

    Args:
        after: run of the repaired state.
        before: run of the state before, on the same files.
        tree: paths of a tree near to both.
        split: the change.

    Raises:
        Rejected: a package is missing, so tests would be red that the repair does not cure.
    """
    missing = {
        name
        for path, text in before.collect_errors.items()
        if path not in after.collect_errors
        for name in _NO_MODULE.findall(text)
    }
    if missing:
        paths = (*tree, *split.source, *split.tests)
        own = {part.partition(".")[0] for path in paths for part in path.split("/")}
        if foreign := sorted(missing - own - sys.stdlib_module_names):
            detail = f"No module named {foreign[0]!r} before the change"
            raise Rejected(Reason.ENVIRONMENT_COLLECT, detail)


def blame(after: SuiteRun, split: Split) -> None:
    """No test turned green: is the change to blame, or the ground?

    Raises:
        Rejected: always.
    """
    lost = lost_tests(after, split)
    errors = [after.collect_errors[one] for one in split.test_files if one in after.collect_errors]
    if lost or errors:
        if lost and all(after.outcome(test) is Outcome.TIMEOUT for test in lost):
            raise Rejected(Reason.TOO_SLOW, f"{lost[0]} does not end with the fix in place")
        text = after.tests[lost[0]].message if lost and lost[0] in after.tests else ""
        text = text or next(iter(errors), "")
        raise Rejected(Reason.ENVIRONMENT_FAILS, f"{lost[:1]}: {_last_line(text)}")
    raise Rejected(Reason.NO_FAIL_TO_PASS)


def lost_tests(after: SuiteRun, split: Split) -> list[str]:
    """New and changed tests that fail with the fix in place; all that fail where none is named."""
    touched = {f"{path}::{name}" for path, names in split.touched.items() for name in names or ()}
    return [
        test
        for test in after.collected
        if after.outcome(test) in _FAILING and (not touched or test.partition("[")[0] in touched)
    ]


def is_red(before: SuiteRun, test: str) -> bool:
    """Whether a test failed before; one that was collected and never had its turn did not."""
    waiting = test not in before.tests and test in before.collected
    return not waiting and before.outcome(test) in _FAILING


def bearable(before: SuiteRun, failing: Sequence[str]) -> list[str]:
    """Failing tests without most of those that end their process.

    Each takes a worker along. Were there more of them than a run has workers, the repeats would end
    before they came to the others.
    """
    fatal = [test for test in failing if before.outcome(test) in _FATAL]
    return [test for test in failing if test not in fatal[MOST_WORKERS - 2 :]]


def costly(run: SuiteRun) -> frozenset[str]:
    """Functions that every judge would wait for, and that may only stay where they turn green.

    Where they are most of the suite there is nothing else, and none is meant.
    """
    spent: dict[str, float] = {}
    for test, record in run.tests.items():
        function = test.partition("[")[0]
        spent[function] = spent.get(function, 0.0) + record.cpu
    found = frozenset(name for name, seconds in spent.items() if seconds > _COSTLY)
    return found if 2 * len(found) < len(spent) else frozenset()


def nearest(tests: Sequence[str], split: Split) -> list[str]:
    """Tests of changed files first; of one function no more than some cases before all others."""
    seen: Counter[str] = Counter()
    places = {}
    for test in tests:
        path, _, _ = test.partition("::")
        function, _, _ = test.partition("[")
        places[test] = (seen[function] >= CASES, path not in split.test_files)
        seen[function] += 1
    return sorted(tests, key=places.__getitem__)


def touched_tests(split: Split) -> tuple[str, ...]:
    """Test functions that the change writes, and files of which nobody knows them."""
    return tuple(
        name
        for path, names in split.touched.items()
        for name in ([path] if names is None else [f"{path}::{one}" for one in names])
    )


def can_be_told(test: str) -> bool:
    """Whether a row can hold the name of a test: half characters are no text."""
    return test.isascii() or test.encode("utf-8", "replace").decode() == test


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()] or [""]
    own = [line[1:] for line in lines if line.startswith("E  ")]
    return " ".join((own or lines)[-1].split())[:300]
