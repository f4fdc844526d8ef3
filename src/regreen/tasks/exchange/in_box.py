"""Runs a task's tests in its container and writes the reward: a file of Harbor folders.

It is shipped as it stands and runs on the container's own Python, so it imports nothing of ours.
Node ids come from pytest's own reports, never from its output.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest


class Outcomes:
    """What became of the wanted tests."""

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = wanted
        self.passed: set[str] = set()
        self.others: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep the wanted tests."""
        items[:] = [item for item in items if item.nodeid in self.wanted]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Only a plain pass counts, in set-up, call and tear-down."""
        if report.outcome != "passed" or hasattr(report, "wasxfail"):
            self.others.add(report.nodeid)
        elif report.when == "call":
            self.passed.add(report.nodeid)


def main(tests: str, reward: str, *options: str) -> None:
    """Run the tests that a file lists, and write 1 when all pass, else 0."""
    lists = json.loads(Path(tests).read_text(encoding="utf-8"))
    wanted = set(lists["FAIL_TO_PASS"]) | set(lists["PASS_TO_PASS"])
    files = sorted({name.partition("::")[0] for name in wanted})
    outcomes = Outcomes(wanted)
    fixed = ["-p", "no:cacheprovider", "-q", "--continue-on-collection-errors", "--rootdir=."]
    pytest.main([*fixed, *options, *files], plugins=[outcomes])
    good = bool(wanted) and wanted <= outcomes.passed - outcomes.others
    Path(reward).write_text("1\n" if good else "0\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
