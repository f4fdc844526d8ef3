"""Which part of a settings file belongs to the test runner, read from the file's own format.

An honest repair may add a dependency to ``pyproject.toml``. So these files are parsed and only the
runner's part is compared; what cannot be parsed counts as changed, for a grader need not guess.
"""

from __future__ import annotations

import configparser
import fnmatch
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["is_runner_settings", "runner_part", "settings_differ"]

_RUNNER_FILES = (
    # Python
    "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", ".coveragerc", "nose.cfg",
    ".noserc", "nose2.cfg", "unittest.cfg", ".pdbrc", ".pythonrc", ".pythonrc.py",
    # JavaScript
    "jest.config.*", "jest.setup.*", "jest-preset.*", "vitest.config.*", "vitest.setup.*",
    "vitest.workspace.*", "vite.config.*", ".mocharc*", "mocha.opts", "karma.conf.*",
    "ava.config.*", ".taprc", ".nycrc*", ".c8rc*", "cypress.config.*", "playwright.config.*",
    "wdio.conf.*", "jasmine.json", "web-test-runner.config.*", ".babelrc*", "babel.config.*",
    ".npmrc", ".yarnrc*", ".pnp.*", "bunfig.toml",
    # PHP, Ruby, Lua, Perl
    "phpunit.xml", "phpunit.xml.dist", "phpunit.*.xml", "pest.php", "codeception.yml",
    ".rspec", ".rspec-local", ".simplecov", ".busted", ".proverc",
    # Go, Rust, C, JVM
    "go.work", "go.env", "nextest.toml", "CTestCustom.cmake", "CTestConfig.cmake", "testng.xml",
    "junit-platform.properties", ".bazelrc", "gradlew", "gradlew.bat", "mvnw", "mvnw.cmd",
    "gradle-wrapper.*",
)  # fmt: skip
"""Names of files that hold nothing but what a runner, or the interpreter under it, reads."""
_RUNNER_PATHS = ("*.cargo/config", "*.cargo/config.toml", "*.mvn/*", "*.config/nextest.toml")
_INI_SECTIONS = re.compile(
    r"^(tool:pytest|pytest|coverage($|:)|nosetests|aliases|testenv|tox$|hypothesis|unittest"
    r"|options\.entry_points$)"
)
_ENTRY_GROUPS = re.compile(r"^(pytest11|hypothesis|nose\.plugins.*|nose2.*|flake8.*)$")
_NODE_KEYS = frozenset(
    ("jest", "mocha", "ava", "nyc", "c8", "tap", "vitest", "babel", "jasmine", "scripts", "imports",
     "resolutions", "overrides", "pnpm", "workspaces")
)  # fmt: skip
_TEST_LINE = re.compile(
    rb"test|surefire|failsafe|junit|jvmargs|systemprop|argline|javaagent", re.IGNORECASE
)


def is_runner_settings(path: str) -> bool:
    """Whether a file of this path holds settings of a runner and nothing else."""
    name = path.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _RUNNER_FILES) or any(
        fnmatch.fnmatchcase(path, pattern) for pattern in _RUNNER_PATHS
    )


def settings_differ(path: str, before: bytes | None, after: bytes | None) -> bool | None:
    """Whether the runner's part of a settings file changes.

    Returns:
        None when a file of this name holds no settings of a runner; True as well when either
        version cannot be read.
    """
    reader = _readers().get(path.rpartition("/")[2].lower())
    if reader is None:
        return None
    try:
        return reader(before) != reader(after)
    except (ValueError, configparser.Error, RecursionError):
        return True


def runner_part(path: str, data: bytes | None) -> object:
    """The runner's part of a settings file, in a form that can be compared.

    Raises:
        ValueError: the file cannot be read.
    """
    reader = _readers().get(path.rpartition("/")[2].lower())
    return reader(data) if reader else data


def _readers() -> Mapping[str, Callable[[bytes | None], object]]:
    return {
        "pyproject.toml": _pyproject,
        "setup.cfg": _ini,
        "tox.ini": _ini,
        "package.json": _node,
        "composer.json": _composer,
        "deno.json": _deno,
        "cargo.toml": _cargo,
        "pom.xml": _test_lines,
        "build.gradle": _test_lines,
        "build.gradle.kts": _test_lines,
        "gradle.properties": _test_lines,
        "cmakelists.txt": _test_lines,
    }


def _toml(data: bytes | None) -> dict[str, Any]:
    return tomllib.loads((data or b"").decode("utf-8"))


def _table(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _pyproject(data: bytes | None) -> object:
    table = _toml(data)
    tools = _table(table, "tool") or {}
    chosen = {
        name: value
        for name, value in tools.items()
        if name.startswith(("pytest", "coverage", "hypothesis", "tox", "nox"))
    }
    groups = _table(table, "project", "entry-points") or {}
    poetry = _table(tools, "poetry", "plugins") or {}
    plugins = {name: value for name, value in groups.items() if _ENTRY_GROUPS.match(name)}
    plugins |= {f"poetry {k}": v for k, v in poetry.items() if _ENTRY_GROUPS.match(k)}
    hatch = _table(tools, "hatch", "envs")
    return chosen, plugins, table.get("build-system"), hatch


def _ini(data: bytes | None) -> object:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.read_string((data or b"").decode("utf-8"))
    found: dict[str, dict[str, str | None]] = {}
    for section in parser.sections():
        if not _INI_SECTIONS.match(section):
            continue
        items: dict[str, str | None] = dict(parser.items(section))
        if section == "options.entry_points":
            items = {name: value for name, value in items.items() if _ENTRY_GROUPS.match(name)}
        if items:
            found[section] = items
    return found


def _object(data: bytes | None) -> dict[str, Any]:
    value = json.loads(data or b"{}")
    if not isinstance(value, dict):
        msg = "not an object"
        raise ValueError(msg)
    return value


def _node(data: bytes | None) -> object:
    return {name: value for name, value in _object(data).items() if name in _NODE_KEYS}


def _composer(data: bytes | None) -> object:
    table = _object(data)
    return table.get("scripts"), table.get("autoload-dev"), table.get("config")


def _deno(data: bytes | None) -> object:
    table = _object(data)
    return table.get("test"), table.get("tasks"), table.get("imports")


def _cargo(data: bytes | None) -> object:
    table = _toml(data)
    keys = ("test", "bench", "patch", "replace", "profile")
    library = {key: _table(table, "lib", key) for key in ("test", "doctest", "harness")}
    return {key: table.get(key) for key in keys}, library, _table(table, "package", "build")


def _test_lines(data: bytes | None) -> object:
    """For build languages without a parser at hand: every line that speaks of tests."""
    lines = (data or b"").splitlines()
    return [line.strip() for line in lines if _TEST_LINE.search(line)]
