"""What a repository says about itself, read as data: nothing of it is imported or run.

A file that is a link leading out of the tree is treated as absent: the tree is foreign, and it is
read outside any box.
"""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from email.parser import HeaderParser
from functools import cached_property
from pathlib import Path
from typing import Any

from regreen.tasks.repo.license import expression
from regreen.tasks.repo.parsing import parsed

__all__ = ["Project", "inside"]

_MAX_BYTES = 4 << 20
_LICENSE_FILE = re.compile(r"(?:UN)?(?:LICEN[CS]E|COPYING)(?:[.-](?!py$).*)?", re.IGNORECASE)


def inside(tree: Path, path: Path) -> bool:
    """Whether ``path`` is a file that really lies in the tree."""
    try:
        return path.is_file() and path.resolve().is_relative_to(tree.resolve())
    except (OSError, ValueError, RuntimeError):  # a name too long, no path, a link to itself
        return False


class Project:
    """The files at the root of a tree that describe it, parsed when first asked for."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree

    def text(self, name: str) -> str:
        """Content of a file of the tree; empty when there is none."""
        path = self.tree / name
        if not inside(self.tree, path) or path.stat().st_size > _MAX_BYTES:
            return ""
        return path.read_text("utf-8", errors="replace")

    @cached_property
    def pyproject(self) -> dict[str, Any]:  # TOML edge
        """``pyproject.toml``; empty when absent or broken."""
        return self.toml("pyproject.toml")

    def toml(self, name: str) -> dict[str, Any]:  # TOML edge
        """A TOML file; empty when absent or broken."""
        try:
            return tomllib.loads(self.text(name))
        except (tomllib.TOMLDecodeError, RecursionError):
            return {}

    def table(self, *path: str) -> dict[str, Any]:  # TOML edge
        """A table of ``pyproject.toml``; empty when absent."""
        level: Any = self.pyproject
        for name in path:
            level = level.get(name) if isinstance(level, dict) else None
        return level if isinstance(level, dict) else {}

    def ini(self, name: str) -> configparser.ConfigParser:
        """An INI file; empty when absent or broken."""
        return self.ini_text(self.text(name))

    @staticmethod
    def ini_text(text: str) -> configparser.ConfigParser:
        """An INI text; empty when broken. Option names keep their case."""
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        try:
            parser.read_string(text)
        except configparser.Error:
            return configparser.ConfigParser(interpolation=None)
        return parser

    @cached_property
    def setup_cfg(self) -> configparser.ConfigParser:
        """``setup.cfg``."""
        return self.ini("setup.cfg")

    @cached_property
    def setup_py(self) -> dict[str, Any]:
        """The literal keyword arguments of ``setup()`` in ``setup.py``."""
        module = parsed(self.text("setup.py"))
        if module is None:
            return {}
        found: dict[str, Any] = {}
        for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name | ast.Attribute) and _called(call.func) == "setup":
                for keyword in call.keywords:
                    try:
                        found[keyword.arg or ""] = ast.literal_eval(keyword.value)
                    except (ValueError, TypeError, RecursionError):
                        continue
        return found

    @cached_property
    def name(self) -> str:
        """Name of the distribution; empty when the files do not tell."""
        poetry = self.table("tool", "poetry").get("name")
        declared = self.table("project").get("name") or poetry
        declared = declared or self.setup_cfg.get("metadata", "name", fallback="")
        declared = declared or self.setup_py.get("name") or self._headers.get("Name") or ""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", str(declared)).strip("-._")

    @cached_property
    def dependencies(self) -> tuple[str, ...]:
        """What the library needs, as far as it is declared and not computed."""
        found = self.table("project").get("dependencies")
        found = found or self.setup_cfg.get("options", "install_requires", fallback="").splitlines()
        found = found or self.setup_py.get("install_requires") or ()
        if not isinstance(found, str | list | tuple | set):
            return ()
        listed = found.splitlines() if isinstance(found, str) else found
        return tuple(str(one).strip() for one in listed if str(one).strip())

    @cached_property
    def setup_extras(self) -> dict[str, Any]:  # literals of foreign code
        """Extras that ``setup.cfg`` or ``setup.py`` lists."""
        parser, section = self.setup_cfg, "options.extras_require"
        declared = dict(parser[section]) if parser.has_section(section) else {}
        literal = self.setup_py.get("extras_require")
        return {**(literal if isinstance(literal, dict) else {}), **declared}

    @property
    def released_version(self) -> str:
        """Version in ``PKG-INFO``, which source distributions carry."""
        return (self._headers.get("Version") or "").strip()

    @cached_property
    def license(self) -> str:
        """Licence: an SPDX expression where the project's words allow one, else its words."""
        declared = self.table("project").get("license")
        classifiers = list(self.table("project").get("classifiers") or [])
        classifiers += self._headers.get_all("Classifier") or []
        classifiers += self.setup_cfg.get("metadata", "classifiers", fallback="").splitlines()
        listed = self.setup_py.get("classifiers")
        classifiers += listed if isinstance(listed, list | tuple) else []
        candidates = [
            declared if isinstance(declared, str) else (declared or {}).get("text"),
            self._headers.get("License-Expression"),
            self._headers.get("License"),
            self.setup_cfg.get("metadata", "license", fallback=""),
            self.table("tool", "poetry").get("license"),
            self.setup_py.get("license"),
            *(str(one).rpartition("::")[2] for one in classifiers if _is_license(str(one))),
        ]
        return expression([str(one or "") for one in candidates], self._license_files())

    def _license_files(self) -> dict[str, str]:
        names = (path.name for path in self.tree.iterdir()) if self.tree.is_dir() else ()
        return {name: self.text(name) for name in names if _LICENSE_FILE.fullmatch(name)}

    @cached_property
    def _headers(self) -> Any:  # email.message.Message, whose values are Any
        return HeaderParser().parsestr(self.text("PKG-INFO"))


def _is_license(classifier: str) -> bool:
    return classifier.startswith("License ::") and not classifier.endswith("OSI Approved")


def _called(function: ast.Name | ast.Attribute) -> str:
    return function.id if isinstance(function, ast.Name) else function.attr
