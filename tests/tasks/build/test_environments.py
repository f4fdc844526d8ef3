"""Environments, built for real: a small repository made on the spot, packages from the index."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from story import Story

from regreen.core.errors import PrerequisiteError, TaskError
from regreen.grading.place import compile_environment
from regreen.sandbox.base import BoxSpec, ExecResult, Mount
from regreen.sandbox.layers import LayerStore
from regreen.sandbox.namespace import NamespaceProvider
from regreen.tasks.build.environments import BrokenTree, BuiltEnvironment, build, build_tools
from regreen.tasks.build.interpreters import Interpreter, as_of, find_interpreter
from regreen.tasks.build.rungs import version_variables
from regreen.tasks.build.settle import keep_changes, settle_environment
from regreen.tasks.repo.project import Project
from regreen.tasks.repo.sources import Checkout, resolve

DATE = datetime(2025, 6, 1, tzinfo=UTC)
BEFORE_WHEELS = datetime(2020, 1, 1, tzinfo=UTC)
PYPROJECT = """
[build-system]
requires = ["setuptools>=64", "setuptools-scm>=8"]
build-backend = "setuptools.build_meta"
[project]
name = "demo"
dynamic = ["version"]
[tool.setuptools]
py-modules = ["demo"]
[tool.setuptools_scm]
version_file = "demo_version.py"
[dependency-groups]
tests = ["iniconfig", "no-such-distribution-of-regreen==99"]
"""
FILES = {
    "pyproject.toml": PYPROJECT,
    "PKG-INFO": "Name: demo\nVersion: 1.5\n\n",
    "demo.py": "def double(x):\n    return 2 * x\n",
    "tests/test_demo.py": "import demo, socket, pytest\n"
    "from importlib.metadata import version\n"
    "def test_double(): assert demo.double(2) == 4\n"
    "def test_version(): assert version('demo') == '1.5'\n"
    "def test_no_network():\n"
    "    with pytest.raises(OSError): socket.create_connection(('192.0.2.1', 80), 1)\n",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LayerStore:
    return LayerStore(tmp_path_factory.mktemp("store"))


def checkout(folder: Path, store: LayerStore, files: dict[str, str] = FILES) -> Checkout:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return replace(resolve(str(folder), store=store), date=DATE)


T = TypeVar("T")


def run(work: Callable[[NamespaceProvider], Awaitable[T]]) -> T:
    """Do something with a provider and close it."""

    async def main() -> T:
        provider = NamespaceProvider()
        try:
            return await work(provider)
        finally:
            await provider.close()

    return asyncio.run(main())


def suite(
    source: Checkout, built: BuiltEnvironment, *argv: str, over: tuple[Path, ...] = ()
) -> ExecResult:
    """Run a command in a box without network, as tasks do."""
    lowers = (*([built.build.path] if built.build else []), source.tree.path)
    spec = BoxSpec(
        mounts=(
            Mount(target="/testbed", lowers=lowers),
            Mount(target="/opt/env", lowers=(*over, built.env.path), writable=False),
        ),
        binds=built.interpreter.binds,
    )

    async def work(provider: NamespaceProvider) -> ExecResult:
        box = await provider.create(spec)
        return await box.exec(list(argv) or ["/opt/env/bin/python", "-m", "pytest", "-q"])

    return run(work)


def bytecode_of(built: BuiltEnvironment, store: LayerStore) -> Path:
    """What is compiled of an environment for the runs of its suite."""

    async def work(provider: NamespaceProvider) -> Path:
        lowers = await compile_environment(
            built.env, store=store, provider=provider, only=built.imported
        )
        return lowers[0]

    return run(work)


@pytest.fixture(scope="module")
def built(
    online: None, store: LayerStore, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkout, BuiltEnvironment, list[str]]:
    source = checkout(tmp_path_factory.mktemp("demo"), store)
    notes: list[str] = []
    made = run(lambda provider: build(source, store=store, provider=provider, note=notes.append))
    return source, made, notes


Built = tuple[Checkout, BuiltEnvironment, list[str]]


def test_the_suite_runs_without_network(built: Built) -> None:
    source, made, _ = built
    done = suite(source, made)
    assert done.exit_code == 0, done.stdout.decode()
    assert b"3 passed" in done.stdout
    assert made.collected == 3
    assert made.notes == ()


def test_what_collecting_imports_serves_the_tests_too(built: Built, store: LayerStore) -> None:
    source, made, _ = built

    over = bytecode_of(made, store)
    whole = {path.name for path in made.env.path.rglob("*.py")}
    assert 50 < len([*over.rglob("*.pyc")]) < len(whole)
    argv = ["/opt/env/bin/python", "-v", "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    told = suite(source, made, *argv, over=(over,)).stderr.decode()

    assert "_pytest/__pycache__/main.cpython" in told
    assert re.findall(r"# code object from \S?(/opt/env/\S+\.py)\b", told) == []


def test_packages_are_no_newer_than_the_commit(built: Built) -> None:
    _, made, _ = built
    assert made.as_of == "2025-06-02T00:00:00+00:00"
    assert "pytest==8.3.5" in made.requirements
    assert not any(one.startswith("demo") for one in made.requirements)
    assert made.install[0].startswith("uv venv --relocatable")
    assert "--exclude-newer 2025-06-02" in made.install[-1]


def test_a_rung_that_cannot_be_installed_gives_way_to_the_next(built: Built) -> None:
    _, made, notes = built
    assert made.rung == "plain"
    assert notes[0].startswith("rung groups: ")
    assert "no-such-distribution-of-regreen" in notes[0]


def test_what_the_build_left_in_the_tree_is_a_layer_without_rubbish(built: Built) -> None:
    _, made, _ = built
    assert made.build is not None
    left = {one.relative_to(made.build.path).as_posix() for one in made.build.path.rglob("*")}
    assert {"demo_version.py", "demo.egg-info/PKG-INFO"} <= left
    assert "PKG-INFO" not in left
    assert not any("__pycache__" in one or one.startswith("build") for one in left)


def test_a_second_build_needs_no_network_and_makes_no_box(
    built: Built, store: LayerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, made, _ = built
    monkeypatch.setenv("PATH", "")
    unused = NamespaceProvider()
    again = asyncio.run(build(source, store=store, provider=unused, offline=True))
    assert again == made


def test_a_build_elsewhere_gives_the_same_layers(built: Built, tmp_path: Path) -> None:
    source, made, _ = built
    store = LayerStore(tmp_path / "store")
    other = checkout(tmp_path / "demo", store)
    assert (other.commit, other.tree.digest) == (source.commit, source.tree.digest)
    again = run(lambda provider: build(other, store=store, provider=provider))
    assert again.env.digest == made.env.digest
    assert again.build is not None
    assert made.build is not None
    assert again.build.digest == made.build.digest


@pytest.mark.slow
def test_what_is_compiled_is_the_same_wherever_it_was(online: None, tmp_path: Path) -> None:
    """A source distribution is built in a folder of the installer's choice, another each time."""
    files = {
        "pyproject.toml": '[project]\nname = "demo"\nversion = "1"\n'
        'dependencies = ["markupsafe==2.1.1"]\n[tool.setuptools]\npy-modules = ["demo"]\n',
        "demo.py": "",
        "tests/test_a.py": "from markupsafe import _speedups\ndef test(): pass\n",
    }
    digests = set()
    for name in ("one", "other"):
        store = LayerStore(tmp_path / name)
        source = replace(checkout(tmp_path / "demo", store, files), date=BEFORE_WHEELS)
        made = run(lambda provider, at=store, of=source: build(of, store=at, provider=provider))
        digests.add(made.env.digest)
    assert len(digests) == 1


def test_a_conftest_that_new_pytest_rejects_gets_an_older_one(
    online: None, store: LayerStore, tmp_path: Path
) -> None:
    files = {
        "setup.cfg": "[metadata]\nname = old\n[tool:pytest]\naddopts = -qq\n",
        "old/__init__.py": "",
        "tests/conftest.py": "import pytest\n"
        "if int(pytest.__version__.split('.')[0]) >= 8:\n"
        "    raise RuntimeError('pytest is too new')\n",
        "tests/test_old.py": "import old, toml\ndef test_a(): pass\ndef test_b(): pass\n",
    }
    source = checkout(tmp_path / "old", store, files)
    made = run(lambda provider: build(source, store=store, provider=provider))
    assert made.collected == 2
    assert any(one.startswith("pytest==7.") for one in made.requirements)
    assert any(one.startswith("toml==") for one in made.requirements)
    assert suite(source, made).exit_code == 0


def test_the_project_itself_is_never_taken_from_an_index(
    online: None, store: LayerStore, tmp_path: Path
) -> None:
    """A package that is the tree's root: its tests import it by a name that is not there."""
    files = {
        "__init__.py": "",
        "queries.py": "",
        "tests/test_a.py": "import inflection\ndef test(): pass\n",
        "tests/test_b.py": "import inflection.decoder, inflection.nowhere\ndef test(): pass\n",
    }
    source = checkout(tmp_path / "inflection", store, files)
    assert source.name == "inflection"
    notes: list[str] = []
    with pytest.raises(BrokenTree, match="collects no test here"):
        run(lambda at: build(source, store=store, provider=at, note=notes.append))
    assert notes == []  # no other version of anything was tried


def test_what_collecting_writes_into_packages_is_not_taken_over(
    online: None, store: LayerStore, tmp_path: Path
) -> None:
    files = {
        "setup.cfg": "[metadata]\nname = sly\n",
        "sly/__init__.py": "",
        "tests/conftest.py": "import iniconfig\n"
        "with open(iniconfig.__file__, 'a') as file: file.write('\\nPATCHED = 1\\n')\n",
        "tests/test_a.py": "import sly, iniconfig\n"
        "def test(): assert not hasattr(iniconfig, 'PATCHED')\n",
    }
    source = checkout(tmp_path / "sly", store, files)
    made = run(lambda provider: build(source, store=store, provider=provider))
    (initial,) = made.env.path.rglob("iniconfig/__init__.py")

    (bytecode,) = bytecode_of(made, store).rglob("iniconfig/__pycache__/__init__.*.pyc")
    assert b"PATCHED" not in initial.read_bytes()
    assert b"PATCHED" not in bytecode.read_bytes()


def test_bytecode_that_is_deleted_while_collecting_is_no_obstacle(
    online: None, store: LayerStore, tmp_path: Path
) -> None:
    files = {
        "setup.cfg": "[metadata]\nname = tidy\n",
        "tidy/__init__.py": "",
        "tidy/__pycache__/old.cpython-27.pyc": "committed by mistake",
        "docs/__pycache__": "a file of that name",
        "tests/conftest.py": "import os, tidy\n"
        "if os.path.exists('tidy/__pycache__/old.cpython-27.pyc'):\n"
        "    os.unlink('tidy/__pycache__/old.cpython-27.pyc')\n"
        "    os.mkfifo('tidy/__pycache__/pipe.pyc')\n",
        "tests/test_a.py": "import tidy\ndef test(): assert tidy\n",
    }
    story = Story(tmp_path / "tidy")
    story.commit("begin", "Begin", files)
    source = replace(resolve(str(story.root), store=store), date=DATE)
    assert (source.tree.path / "tidy/__pycache__/old.cpython-27.pyc").is_file()
    made = run(lambda provider: build(source, store=store, provider=provider))
    assert made.bytecode is not None
    left = {one.name for one in made.bytecode.path.rglob("*.pyc")}
    assert any(name.startswith("test_a.") for name in left)
    assert not left & {"old.cpython-27.pyc", "pipe.pyc"}


def test_a_back_end_that_makes_no_editable_installs_is_not_asked_for_one(
    online: None, store: LayerStore, tmp_path: Path
) -> None:
    files = {
        "pyproject.toml": '[tool.poetry]\nname = "verse"\nversion = "1"\n'
        '[tool.poetry.dependencies]\npython = "*"\niniconfig = "*"\n'
        '[build-system]\nrequires = ["poetry>=0.12"]\nbuild-backend = "poetry.masonry.api"\n',
        "verse/__init__.py": "",
        "tests/test_a.py": "import iniconfig, verse\ndef test(): assert verse\n",
    }
    source = checkout(tmp_path / "verse", store, files)
    notes: list[str] = []
    made = run(lambda at: build(source, store=store, provider=at, note=notes.append))
    assert made.rung == "dependencies only"
    assert notes == []
    assert suite(source, made).exit_code == 0


def test_when_no_rung_installs_the_error_names_the_reason(
    online: None, store: LayerStore, tmp_path: Path
) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "demo"\nversion = "1"\n'
        'dependencies = ["no-such-distribution-of-regreen"]\n',
        "tests/test_a.py": "def test(): pass\n",
    }
    source = checkout(tmp_path / "bad", store, files)
    with pytest.raises(TaskError, match="no-such-distribution-of-regreen") as caught:
        run(lambda provider: build(source, store=store, provider=provider))
    assert len(caught.value.lines()) == 3
    assert "Python" in caught.value.mend
    assert list((store.root / "staging").iterdir()) == []


def test_code_that_this_python_cannot_read_is_no_environment(
    online: None, store: LayerStore, tmp_path: Path
) -> None:
    files = {"demo.py": "print 'two'\n", "tests/test_a.py": "import demo\ndef test(): pass\n"}
    source = checkout(tmp_path / "old", store, files)
    with pytest.raises(TaskError, match="collects no test here") as caught:
        run(lambda provider: build(source, store=store, provider=provider))
    assert "Python" in caught.value.mend


def test_without_network_an_unbuilt_environment_is_a_missing_prerequisite(
    store: LayerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = checkout(tmp_path / "x", store, FILES | {"demo.py": "# another\n"})
    with pytest.raises(PrerequisiteError, match="network is off"):
        run(lambda provider: build(source, store=store, provider=provider, offline=True))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(PrerequisiteError, match="index cannot be reached"):
        run(lambda provider: build(source, store=store, provider=provider))


def test_a_source_without_tests_is_refused_before_anything_is_built(
    store: LayerStore, tmp_path: Path
) -> None:
    source = checkout(tmp_path / "x", store, {"demo.py": "x = 1\n"})
    with pytest.raises(TaskError, match="no tests") as caught:
        asyncio.run(build(source, store=store, provider=NamespaceProvider()))
    assert caught.value.where == source.spec


def test_the_tools_of_the_runner_are_a_layer_of_their_own(online: None, store: LayerStore) -> None:
    tools = run(lambda provider: build_tools(store=store, provider=provider))
    assert {"coverage", "time_machine"} <= {one.name for one in tools.path.iterdir()}
    unused = NamespaceProvider()
    assert asyncio.run(build_tools(store=store, provider=unused, offline=True)) == tools
    interpreter = find_interpreter()
    spec = BoxSpec(
        mounts=(Mount(target="/opt/tools", lowers=(tools.path,), writable=False),), workdir="/tmp"
    )

    async def work(provider: NamespaceProvider) -> ExecResult:
        box = await provider.create(spec)
        code = "import sys; sys.path.append('/opt/tools'); import coverage, time_machine"
        return await box.exec([str(interpreter.path), "-c", code])

    assert run(work).exit_code == 0


def test_an_interpreter_that_is_not_there_is_told() -> None:
    with pytest.raises(PrerequisiteError, match=r"no Python 3\.99"):
        find_interpreter("3.99")


def test_no_date_is_earlier_than_the_interpreter() -> None:
    python = Interpreter("3.11.7", Path("/usr"), Path("/usr/bin/python3"))
    assert as_of(datetime(2016, 1, 1, tzinfo=UTC), python) == datetime(2022, 12, 23, tzinfo=UTC)
    assert as_of(DATE, python) == datetime(2025, 6, 2, tzinfo=UTC)


def test_the_general_version_variable_is_for_those_that_know_no_other(tmp_path: Path) -> None:
    general, project = "SETUPTOOLS_SCM_PRETEND_VERSION", Project(tmp_path)
    assert general not in version_variables(project, "a.b-c", "1.0", date="2020-01-01")
    found = version_variables(project, "a.b-c", "1.0", date="2020-01-01")
    assert found[f"{general}_FOR_A_B_C"] == "1.0"
    (tmp_path / "setup.py").write_text(
        "setup(use_scm_version=1, setup_requires=['setuptools-scm'])"
    )
    project = Project(tmp_path)
    assert general not in version_variables(project, "a", "1.0", date="2022-01-01")
    assert version_variables(project, "a", "1.0", date="2020-01-01")[general] == "1.0"
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["hatch-vcs"]\n')
    assert version_variables(Project(tmp_path), "a", "1.0", date="2022-01-01")[general] == "1.0"


def test_settling_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "__pycache__").mkdir(parents=True)
    (outside / "__pycache__" / "x.pyc").write_text("kept")
    (outside / "RECORD").write_text("b\na\n")
    env = tmp_path / "env"
    (env / "x.dist-info").mkdir(parents=True)
    (env / "__pycache__").symlink_to(outside / "__pycache__")
    (env / "lib").symlink_to(outside)
    (env / "RECORD").symlink_to(outside / "RECORD")
    (env / "x.dist-info" / "RECORD").write_text("z.py,,\na.pyc,,\nx.dist-info/uv_cache.json,h,1\n")
    settle_environment(env)
    assert (outside / "__pycache__" / "x.pyc").read_text() == "kept"
    assert (outside / "RECORD").read_text() == "b\na\n"
    assert (env / "x.dist-info" / "RECORD").read_text() == "z.py,,\n"
    assert not (env / "__pycache__").is_symlink()


def test_only_real_changes_of_the_tree_are_kept(tmp_path: Path) -> None:
    changes, tree, target = (tmp_path / one for one in ("changes", "tree", "target"))
    for folder in (changes / "build", changes / "pkg" / "__pycache__", tree / "pkg", target):
        folder.mkdir(parents=True)
    for name in ("build/x.o", "pkg/__pycache__/m.pyc", "pkg/same.py", "PKG-INFO"):
        (changes / name).write_text("same")
    (tree / "pkg" / "same.py").write_text("same")
    (changes / "pkg.egg-info").mkdir()
    (changes / "pkg.egg-info" / "SOURCES.txt").write_text("pkg/what_is_to_come.py")
    assert not keep_changes(changes, tree, target)
    (changes / "pkg" / "_version.py").write_text("v")
    assert keep_changes(changes, tree, target)
    assert [one.name for one in target.rglob("*.py")] == ["_version.py"]
