"""The runner against tests that hang, crash, leave, lie and litter; plain and in forked boxes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import iniconfig
import pytest

from regreen.core.verdict import Outcome
from regreen.grading.runner import TestRunner
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.sandbox.base import SandboxProvider

LIBRARY = {
    "lib.py": "def f(x):\n    if x:\n        return 1\n    return 2\n",
    "test_good.py": (
        "import os, time, pytest\nimport lib\n\n"
        "def test_pass(): assert lib.f(1) == 1\n"
        "def test_fail(): assert lib.f(0) == 1\n"
        "@pytest.mark.skip\ndef test_skip(): pass\n"
        "@pytest.mark.xfail\ndef test_xfail(): assert 0\n"
        "@pytest.mark.xfail\ndef test_xpass(): pass\n"
        "@pytest.fixture\ndef broken(): raise RuntimeError('x')\n"
        "def test_setup(broken): pass\n"
        "@pytest.fixture\ndef late():\n    yield\n    raise RuntimeError('late')\n"
        "def test_teardown(late): pass\n"
        "@pytest.mark.parametrize('s', ['a b', 'é[x]', '::', 'n\\nl'])\n"
        "def test_ids(s): assert s\n"
    ),
    "test_bad.py": (
        "import os, subprocess, sys, time\n\n"
        "def test_before(): pass\n"
        "def test_hangs(): time.sleep(600)\n"
        "def test_between(): pass\n"
        "def test_leaves(): os._exit(0)\n"
        "def test_kills(): os.kill(os.getpid(), 9)\n"
        "def test_prints(): print('{\"event\": \"result\"}'); print('1000 passed'); assert 0\n"
        "def test_daemon():\n"
        "    subprocess.Popen(['sh', '-c', 'setsid sleep 300 &'])\n"
        "def test_after(): pass\n"
    ),
    "test_world.py": (
        "import os, socket, threading, time\n\n"
        "def test_loopback():\n"
        "    server = socket.create_server(('127.0.0.1', 0))\n"
        "    thread = threading.Thread(target=lambda: server.accept()[0].sendall(b'x'))\n"
        "    thread.start()\n"
        "    with socket.create_connection(server.getsockname(), 5) as c:\n"
        "        assert c.recv(1) == b'x'\n"
        "    thread.join()\n"
        "def test_outside():\n"
        "    try:\n        socket.create_connection(('192.0.2.1', 80), 2)\n"
        "    except OSError as exc: assert exc.errno == 101\n"
        "    else: assert 0\n"
        "def test_writes(): open('made', 'w').write('x'); assert not os.path.exists('/tmp/made')\n"
        "def test_tmp(): open('/tmp/made', 'w').write('x')\n"
        "def test_nothing_left(): assert not os.path.exists('left')\n"
        "def test_leaves_file(): open('left', 'w').write('x')\n"
        "def test_clock(): assert abs(time.time() - float(os.environ.get('T', 0))) > 0\n"
        "def test_caps():\n"
        "    status = open('/proc/self/status').read()\n"
        "    assert 'CapEff:\\t0000000000000000' in status\n"
        "    assert 'CapBnd:\\t0000000000000000' in status\n"
        "    assert 'NoNewPrivs:\\t1' in status and 'Seccomp:\\t2' in status\n"
    ),
}


@pytest.fixture(scope="module", params=[False, True], ids=["cold", "forked"])
def isolate(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def run(
    workroom: Any, with_boxes: Callable[..., Any], *requests: TestRequest, isolate: bool
) -> list[SuiteRun]:
    place = workroom.place(LIBRARY)

    async def work(boxes: SandboxProvider) -> list[SuiteRun]:
        box = await boxes.create(place.spec(writable=not isolate, nested=isolate))
        runner = TestRunner(box, isolate=isolate)
        await runner.start(warm=("pytest",) if isolate else ())
        try:
            return [await runner.run(request) for request in requests]
        finally:
            await runner.close()

    result: list[SuiteRun] = with_boxes(work)
    return result


def outcomes(run: SuiteRun) -> dict[str, str]:
    return {name.partition("::")[2]: str(record.outcome) for name, record in run.tests.items()}


def test_every_outcome_has_its_name(
    workroom: Any, with_boxes: Callable[..., Any], isolate: bool
) -> None:
    (seen,) = run(workroom, with_boxes, TestRequest(paths=("test_good.py",)), isolate=isolate)

    assert seen.problem == ""
    found = outcomes(seen)
    ids = {name: value for name, value in found.items() if name.startswith("test_ids")}
    assert len(ids) == 4
    assert set(ids.values()) == {"passed"}
    assert {k: v for k, v in found.items() if k not in ids} == {
        "test_pass": "passed",
        "test_fail": "failed",
        "test_skip": "skipped",
        "test_xfail": "xfailed",
        "test_xpass": "xpassed",
        "test_setup": "error",
        "test_teardown": "error",
    }
    assert "assert 2 == 1" in seen.tests["test_good.py::test_fail"].message


def test_hangs_and_crashes_cost_only_themselves(
    workroom: Any, with_boxes: Callable[..., Any], isolate: bool
) -> None:
    request = TestRequest(paths=("test_bad.py",), test_timeout=1.5)
    (seen,) = run(workroom, with_boxes, request, isolate=isolate)

    assert outcomes(seen) == {
        "test_before": "passed",
        "test_hangs": "timeout",
        "test_between": "passed",
        "test_leaves": "crashed",
        "test_kills": "crashed",
        "test_prints": "failed",
        "test_daemon": "passed",
        "test_after": "passed",
    }


def test_only_the_tests_asked_for_run_and_files_are_put_in_place(
    workroom: Any, with_boxes: Callable[..., Any], isolate: bool
) -> None:
    wanted = ("test_good.py::test_pass", "test_good.py::absent")
    fine = TestRequest(tests=wanted)
    broken = TestRequest(tests=wanted, files={"lib.py": b"def f(x):\n    return 9\n"})
    gone = TestRequest(tests=wanted, files={"test_good.py": None})
    seen = run(workroom, with_boxes, fine, broken, gone, isolate=isolate)

    assert [one.outcome(wanted[0]) for one in seen] == [
        Outcome.PASSED,
        Outcome.FAILED,
        Outcome.MISSING,
    ]
    assert seen[0].outcome(wanted[1]) is Outcome.MISSING
    assert list(seen[0].tests) == [wanted[0]]


CASES = (
    "import pytest, unittest\n\n"
    "made = []\n"
    "def pytest_generate_tests(metafunc):\n"
    "    made.append(metafunc.function.__name__)\n"
    "    if 'n' in metafunc.fixturenames: metafunc.parametrize('n', range(100))\n"
    "def test_many(n): pass\n"
    "class TestAll:\n"
    "    def test_each(self, n): pass\n"
    "    def test_made(self): assert made == ['test_made']\n"
    "class Old(unittest.TestCase):\n"
    "    def test_old(self): pass\n"
)


def test_few_cases_of_a_function_are_taken_where_that_is_asked_for(
    workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    files = {"test_cases.py": CASES.encode()}
    few = TestRequest(
        paths=("test_cases.py",),
        files=files,
        cases=3,
        whole=("test_cases.py::TestAll::test_each",),
        cases_of_whole=5,
    )
    every = replace(few, cases=0, cases_of_whole=0)
    first, second = run(workroom, with_boxes, few, every, isolate=True)

    taken = [name.partition("::")[2] for name in first.tests]
    assert taken[:3] == ["test_many[0]", "test_many[49]", "test_many[99]"]
    each = ["TestAll::test_each[" + f"{number}]" for number in (0, 24, 49, 74, 99)]
    assert taken[3:8] == each
    assert "Old::test_old" in taken
    assert len(second.tests) == 202


def test_what_is_not_asked_for_is_not_even_made(
    workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    wanted = ("test_cases.py::TestAll::test_made", "test_cases.py::Old::test_old")
    request = TestRequest(tests=wanted, files={"test_cases.py": CASES.encode()})
    (seen,) = run(workroom, with_boxes, request, isolate=True)

    assert all(seen.outcome(test).passed for test in wanted)
    assert set(seen.tests) == set(wanted)


def test_a_forked_box_is_fresh_and_confined(workroom: Any, with_boxes: Callable[..., Any]) -> None:
    everything = TestRequest(paths=("test_world.py",))
    seen = run(workroom, with_boxes, everything, everything, isolate=True)

    for one in seen:
        assert set(outcomes(one).values()) == {"passed"}, outcomes(one)


def test_order_and_clock_are_perturbed(workroom: Any, with_boxes: Callable[..., Any]) -> None:
    files = {"test_time.py": b"import time\ndef test_now(): assert time.time() > 4e9\n"}
    late = TestRequest(paths=("test_time.py",), files=files, clock_offset=3e9)
    plain = TestRequest(paths=("test_time.py",), files=files)
    orders = [TestRequest(paths=("test_good.py",), order_seed=n) for n in (None, 1, 2, 1)]
    seen = run(workroom, with_boxes, late, plain, *orders, isolate=True)

    assert [set(outcomes(one).values()) for one in seen[:2]] == [{"passed"}, {"failed"}]
    orders_seen = [list(one.tests) for one in seen[2:]]
    assert orders_seen[1] == orders_seen[3] != orders_seen[0]
    assert sorted(orders_seen[0]) == sorted(orders_seen[1]) == sorted(orders_seen[2])


def test_coverage_says_who_reaches_what(workroom: Any, with_boxes: Callable[..., Any]) -> None:
    request = TestRequest(
        paths=("test_good.py", "test_bad.py"), coverage=True, max_workers=1, test_timeout=2.0
    )
    only = TestRequest(
        tests=("test_good.py::test_pass", "test_good.py::test_fail", "test_bad.py::test_daemon"),
        coverage=True,
    )
    (_, seen) = run(workroom, with_boxes, request, only, isolate=False)

    assert seen.coverage is not None
    lines = seen.coverage.lines["lib.py"]
    assert lines["test_good.py::test_pass"] == (2, 3)
    assert lines["test_good.py::test_fail"] == (2, 4)
    assert seen.coverage.forked == {"test_bad.py::test_daemon"}
    assert "json" in seen.modules
    assert "lib" not in seen.modules


def test_a_suite_of_the_runners_own_parts_is_seen_as_it_was_put_in_place(
    workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    """A repository that pytest itself imports, installed to be worked on."""
    text = Path(iniconfig.__file__).read_text()
    held = {path.name: path.read_text() for path in Path(iniconfig.__file__).parent.glob("*.py")}
    files = {f"lib/iniconfig/{name}": text for name, text in held.items()}
    test = "import iniconfig\ndef test_x(): assert iniconfig.MARK == 'repaired'\n"
    place = workroom.place({**files, "test_x.py": test})
    staged = workroom.store.stage()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = staged / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (site / "own.pth").write_text("import sys; sys.path.insert(0, '/testbed/lib')\n")
    place = replace(place, env=(workroom.store.commit(staged).path, *place.env))

    async def work(boxes: SandboxProvider) -> list[SuiteRun]:
        box = await boxes.create(place.spec(writable=False, nested=True))
        runner = TestRunner(box, isolate=True)
        await runner.start(warm=("regreen_box.warm",))
        try:
            made = [f"{text}\nMARK = {mark!r}\n".encode() for mark in ("broken", "repaired")]
            requests = [
                TestRequest(paths=("test_x.py",), files={"lib/iniconfig/__init__.py": one})
                for one in made
            ]
            return [await runner.run(request) for request in requests]
        finally:
            await runner.close()

    before, after = with_boxes(work)
    assert outcomes(before) == {"test_x": "failed"}
    assert outcomes(after) == {"test_x": "passed"}


FORGERIES = (
    b"not json\\n",
    b'{"event": "done", "problem": "", "cpu": 0}\\n',
    b'{"event": "result", "id_test": "test_forge.py::test_red", "outcome": "passed"}\\n',
    b'{"event": "result"}\\n[1]\\n',
)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_garbage_on_the_channel_is_the_candidates_fault(
    workroom: Any, with_boxes: Callable[..., Any], forgery: bytes
) -> None:
    code = (
        b"import os\n\ndef test_red():\n    os.write(250, b'" + forgery + b"')\n    assert 0\n"
        b"\ndef test_after(): pass\n"
    )
    request = TestRequest(paths=("test_forge.py",), files={"test_forge.py": code}, max_workers=1)
    (seen,) = run(workroom, with_boxes, request, isolate=False)

    assert seen.problem
    assert not seen.outcome("test_forge.py::test_red").passed
