"""What a tree's environment depends on, as a digest: equal digests can share one environment.

A version number, a classifier or a comment in ``setup.py`` changes nothing about what has to be
installed, so years of a library's history need a handful of environments.
"""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from regreen.tasks.repo.discovery import Suite
from regreen.tasks.repo.imports import imported_modules, plugins
from regreen.tasks.repo.packages import package_roots
from regreen.tasks.repo.parsing import dumped, parsed
from regreen.tasks.repo.project import Project, inside
from regreen.tasks.repo.requirements import REQUIREMENT_FILES, test_requirements

__all__ = ["kin_digest", "needs_digest"]

_IDLE = {
    *("version", "description", "long_description", "long_description_content_type", "readme"),
    *("author", "author_email", "authors", "maintainer", "maintainer_email", "maintainers"),
    *("url", "urls", "project_urls", "download_url", "classifiers", "keywords", "license"),
    *("license_files", "license-files", "platforms", "documentation", "homepage", "repository"),
}
_BUILDERS = ("setuptools", "hatch", "poetry", "flit", "pdm", "uv", "scikit-build", "maturin")
_NATIVE = {".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".pyx", ".pxd", ".pxi", ".rs", ".f", ".f90"}


def needs_digest(tree: Path, suite: Suite) -> str:
    """SHA-256 over everything that decides what is installed for a tree, and how.

    Args:
        tree: the repository's files.
        suite: its tests, whose imports count.
    """
    project, wanted = Project(tree), test_requirements(tree)
    parts: dict[str, Any] = {  # JSON edge
        "name": project.name,
        "roots": package_roots(tree),
        "pyproject": _pyproject(project),
        "setup.cfg": _setup_cfg(project),
        "setup.py": _setup_py(project.text("setup.py")),
        "tests": [asdict(one) for one in wanted],
        "files": {name: project.text(name) for name in (*REQUIREMENT_FILES, *wanted[0].files)},
        "imports": imported_modules(tree, suite),
        "plugins": plugins(tree, suite),
        "native": _native(tree, suite),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def kin_digest(tree: Path, suite: Suite) -> str:
    """SHA-256 over what two trees must share for one environment to have a chance with both.

    Args:
        tree: the repository's files.
        suite: its tests, which are not compiled.
    """
    parts = [Project(tree).name, package_roots(tree), _native(tree, suite)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _pyproject(project: Project) -> dict[str, Any]:  # TOML edge
    tools = project.table("tool")
    return {
        "build-system": project.table("build-system"),
        "project": _busy(project.table("project")),
        "groups": project.table("dependency-groups"),
        "tools": {name: _busy(tools[name]) for name in _BUILDERS if name in tools},
    }


def _busy(table: dict[str, Any]) -> dict[str, Any]:  # TOML edge
    return {name: value for name, value in table.items() if name not in _IDLE}


def _setup_cfg(project: Project) -> dict[str, dict[str, str]]:
    parser = project.setup_cfg
    return {
        section: _busy(dict(parser[section]))
        for section in parser.sections()
        if section.startswith(("options", "build", "bdist"))
    }


def _setup_py(text: str) -> str:
    """The program of ``setup.py`` without what only describes; the text where it does not parse."""
    module = parsed(text)
    if module is None:
        return text
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            node.keywords = [one for one in node.keywords if one.arg not in _IDLE]
    module.body = [
        node
        for node in module.body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant))
    ]
    return dumped(module) or text


def _native(tree: Path, suite: Suite) -> list[tuple[str, str]]:
    """Sources that an installation compiles: their content is part of what is installed."""
    found = []
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree).as_posix()
        if path.suffix in _NATIVE and inside(tree, path) and not suite.is_test_file(name):
            found.append((name, hashlib.sha256(path.read_bytes()).hexdigest()))
    return found
