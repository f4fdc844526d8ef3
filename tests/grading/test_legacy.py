"""The worker of old Pythons reports as the other does, and compiles wherever it may have to run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from regreen.core.verdict import Outcome
from regreen.grading.box import legacy
from regreen.grading.runner import TestRunner
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.sandbox.base import SandboxProvider
from regreen.tasks.build.interpreters import discover

SUITE = {
    "lib.py": "def f(x):\n    if x:\n        return 1\n    return 2\n",
    "conftest.py": "import pytest\n@pytest.fixture(scope='module')\ndef wide(): return 1\n",
    "test_good.py": (
        "import os, sys, unittest, pytest\nimport lib\n\n"
        "def test_pass(wide): assert lib.f(1) == 1\n"
        "def test_fail():\n    x = 0\n    assert lib.f(x) == 1\n"
        "@pytest.mark.skipif(True, reason='so')\ndef test_skip(): pass\n"
        "def test_skips_itself(): pytest.skip('now')\n"
        "@pytest.mark.xfail\ndef test_xfail(): assert 0\n"
        "@pytest.mark.xfail\ndef test_xpass(): pass\n"
        "@pytest.mark.xfail(strict=True)\ndef test_strict(): pass\n"
        "@pytest.fixture\ndef broken(): raise RuntimeError('x')\n"
        "def test_setup(broken): pass\n"
        "@pytest.fixture\ndef late():\n    yield\n    raise RuntimeError('late')\n"
        "def test_teardown(late): pass\n"
        "def test_both(late): assert 0\n"
        "@pytest.mark.parametrize('s', ['a b', 'é[x]', '::', 'n\\nl'])\n"
        "def test_ids(s): assert s\n"
        "class TestIt:\n    def test_method(self): assert lib.f(1) == 2\n"
        "class Case(unittest.TestCase):\n"
        "    def test_case(self): self.assertEqual(lib.f(1), 2)\n"
        "    @unittest.expectedFailure\n    def test_expected(self): assert 0\n"
    ),
    "test_bad.py": (
        "import os, sys, time\n\n"
        "def test_before(): pass\n"
        "def test_hangs(): time.sleep(600)\n"
        "def test_between(): pass\n"
        "def test_leaves(): os._exit(0)\n"
        "def test_prints(): print('{\"event\": \"result\"}'); print('1000 passed'); assert 0\n"
        "def test_exits(): sys.exit(3)\n"
        "def test_after(): pass\n"
    ),
    "test_gone.py": "import no_such_module\ndef test_x(): pass\n",
    "test_text.txt": ">>> 1 + 1\n2\n",
    "test_hash.py": (
        "import __main__\ndef test_seed():\n    assert (__main__.__file__, hash('abc')) == 1\n"
    ),
}
REQUESTS = {
    "whole suite": TestRequest(paths=("test_good.py", "test_gone.py", "test_text.txt")),
    "hangs and crashes": TestRequest(paths=("test_bad.py",), test_timeout=1.5),
    "only some": TestRequest(
        tests=("test_good.py::test_pass", "test_good.py::TestIt::test_method", "absent.py::x")
    ),
    "files in place": TestRequest(
        tests=("test_good.py::test_pass",), files={"lib.py": b"def f(x):\n    return 9\n"}
    ),
    "by position": TestRequest(
        select={"test_good.py::test_ids": (0, 3), "test_good.py::test_fail": (0,)}
    ),
    "order told": TestRequest(
        tests=("test_good.py::test_fail",), order_of=("test_good.py::test_ids",)
    ),
    "shuffled": TestRequest(paths=("test_good.py",), order_seed=7),
    "few messages": TestRequest(paths=("test_good.py",), messages=1),
    "stopped early": TestRequest(paths=("test_good.py",), stop_after_failures=2),
    "twice": TestRequest(
        paths=("test_good.py::test_pass", "test_good.py"), args=("--keep-duplicates",)
    ),
    "nothing": TestRequest(tests=("absent.py::x",)),
    "wrong option": TestRequest(paths=("test_good.py",), args=("--no-such-option",)),
}


@pytest.fixture(scope="module")
def both(workroom: Any, with_boxes: Callable[..., Any]) -> dict[str, list[SuiteRun]]:
    place = workroom.place(SUITE)

    async def work(boxes: SandboxProvider) -> dict[str, list[SuiteRun]]:
        seen: dict[str, list[SuiteRun]] = {}
        for old in (False, True):
            box = await boxes.create(place.spec(writable=False, nested=True))
            runner = TestRunner(box, isolate=True, legacy=old)
            await runner.start(warm=("regreen_box.warm",))
            try:
                for name, request in REQUESTS.items():
                    seen.setdefault(name, []).append(await runner.run(request))
            finally:
                await runner.close()
        return seen

    result: dict[str, list[SuiteRun]] = with_boxes(work)
    return result


def without_measures(run: SuiteRun) -> SuiteRun:
    """The run without times, and without what names memory."""
    tests = {
        name: replace(record, seconds=0.0, cpu=0.0, message=record.message.partition(" at 0x")[0])
        for name, record in run.tests.items()
    }
    return replace(run, tests=tests, cpu=0.0)


@pytest.mark.parametrize("name", list(REQUESTS))
def test_both_workers_report_alike(both: dict[str, list[SuiteRun]], name: str) -> None:
    usual, old = (without_measures(run) for run in both[name])

    assert old == usual
    assert list(old.tests) == list(usual.tests)


def test_the_comparison_sees_every_outcome(both: dict[str, list[SuiteRun]]) -> None:
    seen = {record.outcome for runs in both.values() for record in runs[1].tests.values()}

    assert seen == set(Outcome) - {Outcome.MISSING, Outcome.DUPLICATE}
    whole = both["whole suite"][1]
    assert "no_such_module" in whole.collect_errors["test_gone.py"]
    assert whole.tests["test_good.py::test_fail"].lines == (7,)
    assert all(record.cpu >= 0 and record.seconds > 0 for record in whole.tests.values())


def test_the_hash_seed_reaches_the_tests(workroom: Any, with_boxes: Callable[..., Any]) -> None:
    place = workroom.place(SUITE)

    async def message(boxes: SandboxProvider, seed: int) -> str:
        box = await boxes.create(place.spec())
        runner = TestRunner(box, isolate=False, legacy=True)
        await runner.start(hash_seed=seed)
        try:
            ran = await runner.run(TestRequest(paths=("test_hash.py",)))
        finally:
            await runner.close()
        return ran.tests["test_hash.py::test_seed"].message

    async def work(boxes: SandboxProvider) -> list[str]:
        return [await message(boxes, seed) for seed in (1, 2, 2)]

    first, second, third = with_boxes(work)
    assert first != second == third
    assert "legacy.py" in first


def test_every_python_of_this_machine_can_compile_it() -> None:
    code = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')"
    for python in discover():
        argv = [str(python.path), "-c", code, legacy.__file__]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)

        assert done.returncode == 0, (python, done.stderr)
