"""Environments of old Pythons: what is dated how, and with one found, the way to a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from regreen.core.task import Environment, Task, base_message
from regreen.core.verdict import Verdict
from regreen.grading.patch import FileState, patch_between, text_patch
from regreen.grading.workshop import Workshop
from regreen.guard.index.pages import Page, PageFile
from regreen.guard.index.policy import make_policy
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.environments import BuiltEnvironment, build
from regreen.tasks.build.interpreters import Interpreter, discover
from regreen.tasks.build.pip_install import own_dates
from regreen.tasks.repo.sources import resolve

DAY = datetime(2015, 6, 1, tzinfo=UTC)
HEALTHY = "import six\n\n\ndef add(a, b):\n    return six.text_type(a + b)\n"
BROKEN = HEALTHY.replace("a + b", "a - b")
FILES = {
    "setup.py": (
        "from setuptools import setup\n"
        "setup(name='calc', version='1.5', py_modules=['calc'],\n"
        "      install_requires=['six', 'toolz'])\n"
    ),
    "calc.py": HEALTHY,
    "tests/test_add.py": (
        "import pytest, socket\nimport calc\n\n\n"
        "def test_adds():\n    assert calc.add(2, 3) == '5'\n\n\n"
        "def test_network():\n"
        "    with pytest.raises(Exception): socket.create_connection(('192.0.2.1', 80), 1)\n"
    ),
}
GOLD = text_patch("calc.py", BROKEN, HEALTHY)


def test_only_tools_and_the_runner_may_be_newer_than_the_project() -> None:
    dates = own_dates(DAY)

    assert min(dates.values()) > DAY
    assert "toolz" not in dates
    late = DAY + timedelta(days=3000)
    assert set(own_dates(late).values()) == {late}


def test_a_project_with_a_date_of_its_own_is_shown_up_to_it() -> None:
    def page(name: str) -> Page:
        files = [
            PageFile(
                filename=f"{name}-{year}.tar.gz",
                url="https://example.org/",
                uploaded=datetime(year, 1, 1, tzinfo=UTC),
            )
            for year in (2014, 2016, 2020)
        ]
        return Page(project=name, files=tuple(files))

    policy = make_policy([], DAY, "refuse", apart={"pytest": datetime(2018, 11, 12, tzinfo=UTC)})
    seen = {name: [one.filename for one in policy.visible(page(name)).files]
            for name in ("pytest", "toolz")}  # fmt: skip

    assert seen == {"pytest": ["pytest-2014.tar.gz", "pytest-2016.tar.gz"],
                    "toolz": ["toolz-2014.tar.gz"]}  # fmt: skip
    newest = page("pytest").files[-1]
    assert "2018-11-12" in policy.refuses_file(newest, "pytest")


@pytest.fixture(scope="module", params=[((2, 7), (3, 0)), ((3, 6), (3, 8))], ids=["2.7", "3.6"])
def old_python(online: None, request: pytest.FixtureRequest) -> Interpreter:
    first, end = request.param
    found = [one for one in discover() if first <= one.numbers < end]
    if not found:
        pytest.skip(f"this machine has no Python from {first} to before {end}")
    return found[0]


@dataclass(frozen=True)
class Made:
    """An environment, and what the judge makes of patches in it."""

    built: BuiltEnvironment
    verdicts: tuple[Verdict, ...]


@pytest.fixture(scope="module")
def made(
    old_python: Interpreter,
    tmp_path_factory: pytest.TempPathFactory,
    with_boxes: Callable[..., Any],
) -> Made:
    root = tmp_path_factory.mktemp("calc")
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    store = LayerStore(tmp_path_factory.mktemp("store"))
    checkout = replace(resolve(str(root), store=store), date=DAY)

    async def work(boxes: SandboxProvider) -> Made:
        built = await build(checkout, store=store, provider=boxes, python=str(old_python.path))
        tests = FileState(FILES["tests/test_add.py"].encode())
        task = Task(
            instance_id="calc-old",
            repo="me/calc",
            base_commit=base_message("me/calc"),
            patch=GOLD,
            test_patch=patch_between({}, {"tests/test_add.py": tests}),
            problem_statement="add(2, 3) should be 5",
            FAIL_TO_PASS=("tests/test_add.py::test_adds",),
            PASS_TO_PASS=("tests/test_add.py::test_network",),
            environment=Environment(
                source="calc",
                commit="0" * 40,
                repo_layer=checkout.tree.digest,
                env_layer=built.env.digest,
                build_layer=built.build.digest if built.build else "",
                python=built.python,
            ),
        )
        workshop = Workshop(boxes, store)
        wrong = text_patch("calc.py", BROKEN, BROKEN.replace("a - b", "a * b"))
        verdicts = [await workshop.verify_patch(task, one) for one in (GOLD, "", wrong)]
        return Made(built, tuple(verdicts))

    result: Made = with_boxes(work)
    return result


@pytest.mark.slow
def test_an_old_environment_is_dated_and_collects_its_suite(
    made: Made, old_python: Interpreter
) -> None:
    built = made.built
    versions = dict(one.split("==") for one in built.requirements)

    assert built.python == old_python.version
    assert built.collected == 2
    assert built.rung != "dependencies only"
    assert versions["pytest"].startswith(("3.", "4."))
    assert versions["toolz"].startswith("0.7." if old_python.numbers < (3,) else "0.")
    assert "calc" not in versions
    assert not any("rollout:" in one for one in built.install)


@pytest.mark.slow
def test_an_old_task_gets_its_verdict(made: Made, old_python: Interpreter) -> None:
    gold, empty, wrong = made.verdicts

    assert gold.resolved, gold.reason
    assert bool(gold.twins) is (old_python.numbers >= (3, 5))  # they are written for Python 3
    assert not empty.resolved
    assert empty.fail_to_pass == {"tests/test_add.py::test_adds": "failed"}
    assert not wrong.resolved
    assert wrong.pass_to_pass == {"tests/test_add.py::test_network": "passed"}
