"""What tox, nox and continuous integration install before they run the tests.

Their files are programs of other tools. What is read of them is only the packages, files and extras
that an ``install`` names in so many words; a word with a variable in it is left out.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from regreen.tasks.repo.parsing import parsed
from regreen.tasks.repo.project import Project

__all__ = ["Hints", "installable", "nox_and_ci_hints", "tox_hints"]

_CI = (
    *(".travis.yml", ".gitlab-ci.yml", "azure-pipelines.yml", "appveyor.yml", ".appveyor.yml"),
    *(".circleci/config.yml", "circle.yml", "bitbucket-pipelines.yml", ".cirrus.yml"),
)
_WORKFLOWS = ".github/workflows"
_INSTALL = re.compile(r"\bpip[\d.]*['\"]?\s+install\s+(.*)")
_RUNS_TESTS = re.compile(r"\b(?:py\.?test|nosetests|unittest|tox|nox|trial)\b|\btests?\b")
_ENDS = re.compile(r"&&|\|\||[;|]|\s\d?>(?=\s|&)|(?:^|\s)#")
_WITH_VALUE = {
    *("-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "--find-links"),
    *(
        "--upgrade-strategy",
        "--trusted-host",
        "--python",
        "-t",
        "--target",
        "--prefix",
        "--timeout",
    ),
    *("--global-option", "--install-option", "--config-settings", "--no-binary", "--only-binary"),
}
_SERVICE = {
    *("pip", "setuptools", "wheel", "virtualenv", "uv", "tox", "nox", "tox-gh-actions", "tox-uv"),
    *("tox-travis", "tox-venv", "tox-gh", "codecov", "coveralls", "codacy-coverage", "twine"),
    *("build", "pre-commit", "python-coveralls", "codeclimate-test-reporter", "poetry", "hatch"),
}


@dataclass(slots=True)
class Hints:
    """What an installation for the tests names, in the order it was found."""

    extras: list[str] = field(default_factory=list)
    """Extras of the project."""
    groups: list[str] = field(default_factory=list)
    """Dependency groups of its ``pyproject.toml``."""
    files: list[str] = field(default_factory=list)
    """Requirements files of the tree, relative to its root."""
    names: list[str] = field(default_factory=list)
    """Requirements."""

    def __bool__(self) -> bool:
        return bool(self.extras or self.groups or self.files or self.names)


def installable(text: str) -> bool:
    """A plain requirement: no path, link, option or tox factor."""
    try:
        return Requirement(text).url is None
    except InvalidRequirement:
        return False


def tox_hints(project: Project) -> Hints:
    """What tox's ``[testenv]`` installs, in whichever of its files it stands."""
    found = Hints()
    legacy = str(project.table("tool", "tox").get("legacy_tox_ini", ""))
    for parser in (project.ini("tox.ini"), project.ini_text(legacy), project.setup_cfg):
        _testenv(parser, project, found)
    for table in (project.table("tool", "tox"), project.toml("tox.toml")):
        base = table.get("env_run_base")
        base = base if isinstance(base, dict) else {}
        _take(_texts(base.get("deps")), project, found)
        found.extras += _texts(base.get("extras"))
        found.groups += _texts(base.get("dependency_groups"))
    return found


def _testenv(parser: ConfigParser, project: Project, found: Hints) -> None:
    for line in parser.get("testenv", "deps", fallback="").splitlines():
        plain = line.replace("{toxinidir}/", "").replace("{tox_root}/", "").strip()
        if plain.startswith("-"):
            _take(re.sub(r"^(-r|-c)(?=\S)", r"\1 ", plain).split(), project, found)
        elif "{" not in plain:
            found.names += filter(installable, [plain])
    found.extras += re.split(r"[\s,]+", parser.get("testenv", "extras", fallback="").strip())
    groups = parser.get("testenv", "dependency_groups", fallback="")
    found.groups += re.split(r"[\s,]+", groups.strip())
    found.extras[:], found.groups[:] = filter(None, found.extras), filter(None, found.groups)


def nox_and_ci_hints(project: Project) -> Hints:
    """What nox's sessions for tests install; where there are none, what the CI's jobs do."""
    found = Hints()
    for words in _nox_installs(project):
        _take(words, project, found)
    if not found:
        for name in _ci_files(project):
            text = project.text(name)
            for words in _ci_installs(text) if _RUNS_TESTS.search(text) else ():
                _take(words, project, found)
    return found


def _nox_installs(project: Project) -> Iterator[list[str]]:
    module = parsed(project.text("noxfile.py"))
    for function in module.body if module else ():
        if isinstance(function, ast.FunctionDef) and "test" in function.name:
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and _method(call) in ("install", "conda_install"):
                    yield [one.value for one in call.args if _is_text(one)]  # type: ignore[attr-defined]


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _ci_files(project: Project) -> list[str]:
    folder = project.tree / _WORKFLOWS
    flows = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    kept = sorted(one for one in flows if one.endswith((".yml", ".yaml")))
    return [*_CI, *(f"{_WORKFLOWS}/{name}" for name in kept)]


def _ci_installs(text: str) -> Iterator[list[str]]:
    """The words after each ``pip install`` of a file; its syntax around them is not read."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        hit = None if line.lstrip().startswith("#") else _INSTALL.search(line)
        if hit:
            rest = hit[1]
            for quote in "'\"":
                if line[: hit.start()].count(quote) % 2:  # the command stands in quotes
                    rest = rest.partition(quote)[0]
            try:
                yield shlex.split(_ENDS.split(rest)[0])
            except ValueError:
                continue


def _take(words: Iterable[str], project: Project, found: Hints) -> None:
    """Read the arguments of an installation."""
    rest = iter(words)
    for word in rest:
        if word in ("-r", "--requirement") or word.startswith("--requirement="):
            name = word.partition("=")[2] or next(rest, "")
            _file(name, project, found)
        elif word in ("--group", "--extra"):
            (found.groups if word == "--group" else found.extras).append(next(rest, ""))
        elif word in _WITH_VALUE:
            next(rest, "")
        elif word.startswith("-r") and len(word) > len("-r"):
            _file(word[2:], project, found)
        elif own := re.fullmatch(r"(?:\./?|\.)(?:\[([\w,. -]+)\])?", word):
            found.extras += re.split(r"\s*,\s*", own[1]) if own[1] else []
        elif not word.startswith("-") and installable(word) and _wanted(word, project):
            found.names.append(word)


def _file(name: str, project: Project, found: Hints) -> None:
    plain = Path(name.removeprefix("./")).as_posix()
    if not plain.startswith("/") and ".." not in plain.split("/") and project.text(plain):
        found.files.append(plain)


def _wanted(word: str, project: Project) -> bool:
    name = canonicalize_name(Requirement(word).name)
    return name not in _SERVICE and name != canonicalize_name(project.name)


def _texts(value: Any) -> list[str]:  # TOML edge
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
