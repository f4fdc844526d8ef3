"""What is read of tox, nox and the files of CI services."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.tasks.repo.hints import Hints, nox_and_ci_hints, tox_hints
from regreen.tasks.repo.project import Project
from regreen.tasks.repo.requirements import test_requirements

FILES = {"requirements/ci.txt": "mock\n", "setup.py": "setup(name='demo')\n"}


def project(root: Path, files: dict[str, str]) -> Project:
    for name, text in (FILES | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Project(root)


TOX = """\
[testenv]
extras = test, more
dependency_groups =
    tests
deps =
    pytest>=3
    py27: old
    -r{toxinidir}/requirements/ci.txt
    -r ../outside.txt
    -c constraints.txt
    {[base]deps}
"""
NATIVE = """\
[env_run_base]
deps = ["pytest>=3", "-r requirements/ci.txt"]
extras = ["test", "more"]
dependency_groups = ["tests"]
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tox.ini", TOX),
        ("setup.cfg", TOX),
        ("pyproject.toml", f'[tool.tox]\nlegacy_tox_ini = """\n{TOX}"""\n'),
        ("tox.toml", NATIVE.replace("-r req", "-rreq")),
        (
            "pyproject.toml",
            NATIVE.replace("env_run", "tool.tox.env_run").replace("-r req", "-rreq"),
        ),
    ],
)
def test_tox_is_read_wherever_it_stands(tmp_path: Path, name: str, text: str) -> None:
    assert tox_hints(project(tmp_path, {name: text})) == Hints(
        extras=["test", "more"],
        groups=["tests"],
        files=["requirements/ci.txt"],
        names=["pytest>=3"],
    )


def test_sessions_that_test_tell_what_they_install(tmp_path: Path) -> None:
    text = """\
import nox
@nox.session
def tests(session):
    session.install("-r", "requirements/ci.txt", "pytest-mock", silent=True)
    session.install("-e", ".[yaml]", *EXTRA)
@nox.session
def lint(session):
    session.install("pylint")
"""
    found = nox_and_ci_hints(
        project(tmp_path, {"noxfile.py": text, ".travis.yml": "pip install z"})
    )
    assert (found.files, found.names) == (["requirements/ci.txt"], ["pytest-mock"])
    assert found.extras == ["yaml"]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("  - pip install mock 'six>=1.4' --use-mirrors", ["mock", "six>=1.4"]),
        ("install: \"python -m pip install --upgrade pip 'mock>1'; pip list\"", ["mock>1"]),
        ("      run: uv pip install --system -c pins.txt mock .", ["mock"]),
        ("script: ['pip install mock', 'py.test']", ["mock"]),
        ("  - if [ $V = 2.6 ]; then pip install unittest2; fi", ["unittest2"]),
        ("  - pip install $PACKAGES Django==$DJANGO mock # and more", ["mock"]),
        ("  - pip install mock && pip install other", ["mock"]),
        ("  - pip install coveralls tox demo git+https://example.org/x.git", []),
        ("  # pip install mock", []),
        ("  - pip install \\\n      mock", ["mock"]),
    ],
)
def test_lines_of_ci_are_read_as_words(tmp_path: Path, line: str, names: list[str]) -> None:
    for name in (".travis.yml", ".github/workflows/ci.yml"):
        found = nox_and_ci_hints(project(tmp_path, {name: f"{line}\nscript: pytest\n"}))
        assert found.names[: len(names)] == names == found.names
        (tmp_path / name).unlink()


def test_jobs_that_run_no_tests_say_nothing(tmp_path: Path) -> None:
    files = {".github/workflows/docs.yml": "run: pip install mock\nrun: make html\n"}
    assert not nox_and_ci_hints(project(tmp_path, files))


def test_ci_serves_only_where_nothing_else_speaks_of_tests(tmp_path: Path) -> None:
    ci = {".travis.yml": "install: pip install pytest-mock flake8\nscript: pytest\n"}
    project(tmp_path, {**ci, "requirements-dev.txt": "other\n"})
    assert [one.names for one in test_requirements(tmp_path)] == [("pytest-mock",), ()]
    project(tmp_path, {"tox.ini": "[testenv]\ndeps = six\n"})
    assert [one.names for one in test_requirements(tmp_path)] == [("six",), ()]


@given(text=st.text(max_size=80))
def test_no_text_breaks_the_reading(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.mktemp("tree")
    line = f"pip install {text}\npytest\n".encode("utf-8", "surrogatepass")
    (root / ".travis.yml").write_bytes(line)
    (root / "tox.ini").write_bytes(b"[testenv]\ndeps =\n  " + line)
    test_requirements(root)
