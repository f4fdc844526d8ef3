"""What is found in a project's own files, nothing of it imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.core.errors import TaskError
from regreen.tasks.repo.discovery import find_suite, source_files, test_arguments
from regreen.tasks.repo.imports import distribution_of, imported_modules, plugins
from regreen.tasks.repo.packages import package_roots
from regreen.tasks.repo.project import Project
from regreen.tasks.repo.requirements import declared_names, test_requirements

TEST = "def test_it(): pass\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "args", "found_in"),
    [
        ({"pytest.ini": "[pytest]\ntestpaths = spec\n"}, ("spec",), "testpaths in pytest.ini"),
        (
            {"pyproject.toml": '[tool.pytest.ini_options]\ntestpaths = ["spec"]\n'},
            ("spec",),
            "testpaths in pyproject.toml",
        ),
        (
            {"tox.ini": "[pytest]\ntestpaths = spec tests\n"},
            ("spec", "tests"),
            "testpaths in tox.ini",
        ),
        ({"setup.cfg": "[tool:pytest]\ntestpaths = sp*\n"}, ("spec",), "testpaths in setup.cfg"),
        # a file that pytest would choose first wins, even without testpaths
        (
            {"pytest.ini": "[pytest]\n", "setup.cfg": "[tool:pytest]\ntestpaths = spec\n"},
            ("tests",),
            "layout",
        ),
        (
            {"tox.ini": "[testenv]\ncommands =\n  pip list\n  pytest -q {posargs:spec}\n"},
            ("spec",),
            "commands in tox.ini [testenv]",
        ),
        (
            {"noxfile.py": "def t(session):\n    session.run('pytest', '-q', 'spec')\n"},
            ("spec",),
            "noxfile.py",
        ),
        (
            {"tox.ini": "[testenv]\ncommands = py.test --cov lib --ignore other -c tox.ini spec\n"},
            ("spec",),
            "commands in tox.ini [testenv]",
        ),
        ({"tox.ini": "[testenv]\ncommands = py.test --cov lib\n"}, ("tests",), "layout"),
        ({"Makefile": "test:\n\tpython -m pytest --tb short spec\n"}, ("spec",), "Makefile"),
        ({"pytest.ini": "[pytest]\ntestpaths = gone\n"}, ("tests",), "layout"),
        ({"pytest.ini": "[pytest]\ntestpaths = ../.. /etc\n"}, ("tests",), "layout"),
        ({"pyproject.toml": "not toml"}, ("tests",), "layout"),
    ],
)
def test_the_first_file_that_names_something_there_wins(
    tmp_path: Path, files: dict[str, str], args: tuple[str, ...], found_in: str
) -> None:
    there = {"tests/test_a.py": TEST, "spec/test_b.py": TEST, "lib/a.py": "", "other/b.py": ""}
    write(tmp_path, there | files)
    command = test_arguments(tmp_path)
    assert (command.args, command.found_in) == (args, found_in)


def test_the_test_side_is_what_the_suite_says_and_not_a_word_in_a_path(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "src/click/testing.py": "",
            "src/click/test/__init__.py": "",
            "src/click/tests/__init__.py": "",
            "src/click/tests/test_core.py": TEST,
            "src/click/tests/helper.py": "",
            "src/click/__init__.py": "",
            "tests/test_all.py": TEST,
            "tests/data/input.txt": "",
            "tests/typing_examples.py": "",
            "conftest.py": "",
            "docs/conf.py": "",
            "setup.py": "",
        },
    )
    suite = find_suite(tmp_path)
    sources = ("src/click/__init__.py", "src/click/test/__init__.py", "src/click/testing.py")
    assert source_files(tmp_path, suite) == sources
    assert suite.folders == ("src/click/tests", "tests")
    assert suite.is_test_file("tests/data/input.txt")
    assert suite.is_test_file("src/click/tests/helper.py")
    assert suite.is_test_file("conftest.py")
    assert not suite.is_test_file("docs/conf.py")
    assert not suite.collects("tests/typing_examples.py")


def test_python_files_decide_what_is_collected(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"pytest.ini": "[pytest]\npython_files = check_*.py\n", "check_a.py": "", "test_b.py": ""},
    )
    suite = find_suite(tmp_path)
    assert suite.command.args == ("check_a.py",)
    assert suite.collects("deep/check_x.py")
    assert not suite.is_test_file("test_b.py")


def test_a_lone_test_py_is_named_when_pytest_would_not_find_it(tmp_path: Path) -> None:
    write(tmp_path, {"test.py": "", "slug/__init__.py": "", "slug/testing.py": ""})
    suite = find_suite(tmp_path)
    assert suite.command.args == ("test.py",)
    assert source_files(tmp_path, suite) == ("slug/__init__.py", "slug/testing.py")


def test_a_tree_without_tests_points_to_the_repository(tmp_path: Path) -> None:
    write(tmp_path, {"lib/__init__.py": "", "lib/testing.py": ""})
    with pytest.raises(TaskError, match="no tests") as caught:
        find_suite(tmp_path, where="pypi:lib==1")
    assert caught.value.where == "pypi:lib==1"
    assert "git repository" in caught.value.mend


def test_a_link_out_of_the_tree_is_as_good_as_absent(tmp_path: Path) -> None:
    secret = write(tmp_path / "out", {"pytest.ini": "[pytest]\ntestpaths = spec\n"}) / "pytest.ini"
    tree = write(tmp_path / "tree", {"tests/test_a.py": TEST, "spec/test_b.py": TEST})
    (tree / "pytest.ini").symlink_to(secret)
    assert Project(tree).text("pytest.ini") == ""
    assert test_arguments(tree).args == ("tests",)


@pytest.mark.parametrize(
    ("files", "roots"),
    [
        ({"src/attr/__init__.py": "", "src/attrs/__init__.py": ""}, ("src/attr", "src/attrs")),
        ({"toolz/__init__.py": "", "tlz/__init__.py": "", "setup.py": ""}, ("tlz", "toolz")),
        ({"six.py": "", "setup.py": "", "test_six.py": ""}, ("six.py",)),
        ({"lib/yaml/__init__.py": "", "setup.py": "setup(package_dir={'': 'lib'})"}, ("lib/yaml",)),
        ({"a/__init__.py": "", "b/__init__.py": "", "setup.py": "setup(packages=['a'])"}, ("a",)),
        (
            {"py/mod.py": "", "setup.cfg": "[options]\npackage_dir =\n  = py\npy_modules = mod\n"},
            ("py/mod.py",),
        ),
        (
            {"name_space/x.py": "", "pyproject.toml": '[project]\nname = "name-space"\n'},
            ("name_space",),
        ),
        (
            {"bench/__init__.py": "", "pyproject.toml": '[project]\nname = "bench"\n'},
            ("bench",),
        ),
        ({"notes.txt": ""}, ()),
    ],
)
def test_the_library_is_what_is_declared_or_laid_out(
    tmp_path: Path, files: dict[str, str], roots: tuple[str, ...]
) -> None:
    common = {"tests/test_a.py": TEST, "docs/conf.py": "", "examples/__init__.py": ""}
    assert package_roots(write(tmp_path, common | files)) == roots


def test_requirements_climb_down_from_everything_declared(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": '[project]\nname = "x"\n'
            '[project.optional-dependencies]\ntest = ["a"]\ndev = ["linter"]\n'
            '[dependency-groups]\ntests = ["b"]\ndocs = ["sphinx"]\n',
            "tox.ini": "[testenv]\ndeps =\n  mock>=2\n  -r {toxinidir}/r.txt\n  py27: old\n",
            "requirements-test.txt": "c\n",
        },
    )
    rungs = test_requirements(tmp_path)
    assert [one.rung for one in rungs] == [
        "extras and groups and files and names",
        "extras and files and names",
        "files and names",
        "plain",
    ]
    first = rungs[0]
    assert (first.extras, first.groups) == (("test",), ("tests",))
    assert (first.files, first.names) == (("requirements-test.txt",), ("mock>=2",))


def test_development_requirements_serve_only_where_none_speak_of_tests(tmp_path: Path) -> None:
    extras = {"dev": ["mock>=2", "mypy", "demo[docs]"], "docs": ["sphinx"]}
    write(tmp_path, {"setup.py": f"setup(name='demo', extras_require={extras})"})
    assert [one.names for one in test_requirements(tmp_path)] == [("mock>=2",), ()]
    write(tmp_path, {"requirements/tests.txt": "pytest"})
    assert [one.names for one in test_requirements(tmp_path)] == [(), ()]


def test_imports_and_plugins_are_read_off_the_tests(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "lib/__init__.py": "",
            "pyproject.toml": '[project.optional-dependencies]\nui = ["railroad-diagrams>=2"]\n'
            '[tool.pytest.ini_options]\naddopts = "--cov=lib -q"\nasyncio_mode = "auto"\n',
            "tests/helper.py": "import fuzzer",
            "tests/sub/test_a.py": "import os, yaml, lib, helper, tests.helper\n"
            "import railroad\nfrom numpy.linalg import inv\nfrom . import near\n"
            "try:\n    import optional\nexcept ImportError: pass\n"
            "if True:\n    import lazy\n"
            "import pytest\n@pytest.mark.timeout(3)\ndef test_x(mocker, tmp_path): pass\n"
            "def test_y(benchmark): pass\n@pytest.fixture\ndef benchmark(): pass\n",
            "tests/broken.py": "def (",
        },
    )
    suite = find_suite(tmp_path)
    assert imported_modules(tmp_path, suite) == {
        "numpy": "numpy",
        "railroad": "railroad-diagrams",
        "yaml": "PyYAML",
    }
    expected = ("pytest-asyncio", "pytest-cov", "pytest-mock", "pytest-timeout")
    assert plugins(tmp_path, suite) == expected


def test_tests_that_import_py_get_all_of_it(tmp_path: Path) -> None:
    write(tmp_path, {"lib/__init__.py": "", "tests/test_a.py": "import py\ndef test_x(): py.test"})
    assert plugins(tmp_path, find_suite(tmp_path)) == ("py",)


def test_a_declared_name_beats_a_guessed_one(tmp_path: Path) -> None:
    write(tmp_path, {"requirements-dev.txt": "-r other.txt\nyaml ; python_version > '3'\n"})
    declared = declared_names(Project(tmp_path))
    assert declared == ("yaml",)
    assert distribution_of("yaml", declared) == "yaml"
    assert distribution_of("yaml") == "PyYAML"
    assert distribution_of("some_module") == "some-module"


def test_name_and_licence_come_from_whatever_file_tells(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "setup.py": "import x\nVERSION = x.y\nsetup(name='demo lib', version=VERSION)",
            "LICENSE": "Permission is hereby granted, free of\ncharge, to any person",
        },
    )
    assert (Project(tmp_path).name, Project(tmp_path).license) == ("demo-lib", "MIT")
