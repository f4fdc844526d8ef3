from __future__ import annotations

import asyncio
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from regreen.core.errors import PrerequisiteError, TaskError
from regreen.example import example_source
from regreen.grading.place import ENV, TESTBED, Place
from regreen.grading.runner import TestRunner
from regreen.grading.suite import TestRequest
from regreen.sandbox import provider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.distributions import copy_distributions, pins, with_dependencies
from regreen.tasks.build.installed import installed_environment, installed_tools
from regreen.tasks.repo.sources import resolve

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(tmp_path / "store")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return shutil.copytree(example_source(), tmp_path / "ledger")


def build(source: Path, store: LayerStore):
    async def go():
        boxes = provider()
        try:
            checkout = resolve(str(source), store=store)
            return await installed_environment(checkout, store=store, provider=boxes)
        finally:
            await boxes.close()

    return asyncio.run(go())


def commands(source: Path, store: LayerStore, *argvs: list[str]):
    """What commands do in a box without network that has the environment."""

    async def go():
        boxes = provider()
        try:
            checkout = resolve(str(source), store=store)
            built = await installed_environment(checkout, store=store, provider=boxes)
            place = Place(tree=(checkout.tree.path,), env=(built.env.path,))
            box = await boxes.create(place.spec(runner=False))
            return [await box.exec(argv) for argv in argvs]
        finally:
            await boxes.close()

    return asyncio.run(go())


def test_runs_the_suite_in_a_box_without_network(source, store):
    tests, module, where = commands(
        source,
        store,
        ["pytest", "-q"],
        ["python", "-m", "pytest", "--version"],
        ["python", "-c", "import sys, ledger, pytest; print(sys.prefix, ledger.__file__)"],
    )
    assert tests.exit_code == 0, tests.stdout.decode()
    assert b" passed" in tests.stdout
    assert module.stdout.decode().split() == ["pytest", version("pytest")]
    assert where.stdout.decode().split() == [ENV, f"{TESTBED}/ledger/__init__.py"]


def test_knows_what_it_made(source, store):
    built = build(source, store)
    assert built.rung == "installed"
    assert built.build is None
    assert built.collected > 150
    names = [one.partition("==")[0] for one in built.requirements]
    assert names == sorted(names)
    assert {"pytest", "pluggy", "iniconfig", "packaging", "pygments"} <= set(names)
    assert f"pytest=={version('pytest')}" in built.requirements
    assert "ledger" not in names


def test_is_made_once_and_alike_everywhere(source, store, tmp_path):
    first = build(source, store)
    again = build(source, store)
    elsewhere = LayerStore(tmp_path / "other")
    third = build(source, elsewhere)
    assert first.env == again.env
    assert third.env.digest == first.env.digest
    assert third.env.path != first.env.path
    assert third.requirements == first.requirements
    assert list((store.root / "staging").iterdir()) == []


def test_holds_nothing_of_this_installation(source, store):
    root = build(source, store).env.path
    names = {path.name for path in root.rglob("*")}
    assert not names & {"INSTALLER", "REQUESTED", "direct_url.json", "__pycache__", "pip"}
    text = (root / "bin" / "pytest").read_text()
    assert sys.prefix not in text
    assert (root / "lib" / PYTHON / "site-packages" / "testbed.pth").read_text() == f"{TESTBED}\n"


def test_tools_work_in_the_test_runner(source, store):
    async def go():
        boxes = provider()
        try:
            checkout = resolve(str(source), store=store)
            built = await installed_environment(checkout, store=store, provider=boxes)
            tools = installed_tools(store=store)
            place = Place(tree=(checkout.tree.path,), env=(built.env.path,), tools=tools.path)
            runner = TestRunner(await boxes.create(place.spec()), isolate=False)
            await runner.start()
            request = TestRequest(
                paths=("tests/test_cache.py",), coverage=True, clock_offset=86_400.0
            )
            return await runner.run(request)
        finally:
            await boxes.close()

    run = asyncio.run(go())
    assert run.collected
    assert all(record.outcome.passed for record in run.tests.values())
    assert run.coverage is not None


def test_tools_are_alike_in_every_store(store, tmp_path):
    tools = installed_tools(store=store)
    assert tools == installed_tools(store=store)
    assert installed_tools(store=LayerStore(tmp_path / "other")).digest == tools.digest
    assert (tools.path / "coverage" / "__init__.py").is_file()
    assert (tools.path / "time_machine" / "__init__.py").is_file()


def test_tools_are_no_plug_ins_of_pytest(store):
    assert not list(installed_tools(store=store).path.glob("*.dist-info"))


def test_copies_what_the_list_of_files_names(tmp_path):
    chosen = with_dependencies("pytest")
    copy_distributions(chosen, tmp_path)
    for one in chosen:
        (info,) = tmp_path.glob(f"{one.name.lower().replace('-', '_')}-{one.version}.dist-info")
        listed = [row.partition(",")[0] for row in (info / "RECORD").read_text().splitlines()]
        assert listed == sorted(listed)
        assert all((tmp_path / name).is_file() for name in listed)
    copied = sum(path.is_file() for path in tmp_path.rglob("*"))
    assert copied == sum(
        len((info / "RECORD").read_text().splitlines()) for info in tmp_path.glob("*.dist-info")
    )


def test_takes_no_extras():
    names = [one.partition("==")[0] for one in pins(with_dependencies("pytest"))]
    assert "hypothesis" not in names
    assert "attrs" not in names


def test_says_what_is_not_installed():
    with pytest.raises(PrerequisiteError, match="no-such-thing is not installed"):
        with_dependencies("no_such.thing")


def test_refuses_a_tree_with_other_needs(source, store):
    project = source / "pyproject.toml"
    text = project.read_text().replace(
        "dependencies = []", "dependencies = [\"nowhere; python_version < '3'\", 'numpy>=2']"
    )
    project.write_text(text)
    with pytest.raises(TaskError, match="the tree needs numpy"):
        build(source, store)


def test_leaves_out_a_test_file_that_cannot_be_imported(source, store):
    whole = build(source, store).collected
    (source / "tests" / "test_more.py").write_text("import numpy\n")
    assert build(source, store).collected == whole


def test_refuses_a_suite_that_cannot_be_collected(source, store):
    (source / "tests" / "conftest.py").write_text("import numpy\n")
    with pytest.raises(TaskError, match=r"cannot collect the tests: .*numpy"):
        build(source, store)


def test_a_package_that_pytest_needs_comes_from_its_own_tree(tmp_path, store):
    source = tmp_path / "iniconfig"
    copy_distributions(with_dependencies("iniconfig"), source / "src")
    shutil.rmtree(next((source / "src").glob("*.dist-info")))
    (source / "setup.cfg").write_text("[metadata]\nname = IniConfig\n")
    (source / "tests").mkdir()
    (source / "tests" / "test_it.py").write_text("def test_it():\n    assert True\n")

    asked = [f"{ENV}/bin/python", "-c", "import pytest, iniconfig; print(iniconfig.__file__)"]

    (done,) = commands(source, store, asked)
    assert done.stdout.decode() == f"{TESTBED}/src/iniconfig/__init__.py\n", done.stderr
