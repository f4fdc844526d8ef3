"""Which part of a machine a path belongs to, and what a leak there is called.

A path that leads into an archive is treated as if the archive were a directory, so a wheel in a
cache and the same package installed are judged alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["Places", "git_part_kind", "secret_kind"]

_LIBRARIES = {
    *("site-packages", "dist-packages", "node_modules", "Lib", "conda-meta", "pkgs", ".cache"),
    *(".cargo", ".rustup", ".nvm", ".pyenv", ".m2", ".gradle", ".npm", "gems", ".conda"),
}
_SYSTEM = {
    "usr",
    "lib",
    "lib64",
    "lib32",
    "var",
    "sbin",
    "bin",
    "boot",
    "snap",
    "nix",
    "sys",
    "proc",
}
_INSTALLED = {"site-packages", "dist-packages", "node_modules", "gems"}
_CACHES = {".cache", "pkgs", "wheels", ".npm", "pip-cache", "wheelhouse", "http-v2", "archive-v0"}
_BUILDS = {
    *("build", "dist", ".eggs", "_build", "target", ".tox", ".nox", "__pycache__", "htmlcov"),
    *(".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"),
}
_PYTHON = re.compile(r"(?:lib)?python3?\.\d+\w*|python3?")
_COMMON = {"__init__.py", "setup.py", "conf.py", "utils.py", "base.py", "core.py", "main.py"}
_COMMON_PACKAGES = {"src", "lib", "tests", "test", "docs", "doc", "python"}


@dataclass(frozen=True)
class Places:
    """What is known about a scan's paths.

    Args:
        paths: files of the gold patch.
        distributions: names of the package and its modules.
    """

    paths: tuple[str, ...] = ()
    """Files of the gold patch."""
    distributions: tuple[str, ...] = ()
    """Names of the package and its modules, normalised."""

    @classmethod
    def of(cls, paths: Collection[str], distributions: Iterable[str]) -> Places:
        """Places for a patch: its top directories are module names as well."""
        tops = {
            part
            for path in paths
            for part in PurePosixPath(path).parts[:-1][:2]
            if part not in _COMMON_PACKAGES
        }
        flat = {PurePosixPath(path).stem for path in paths if "/" not in path}
        names = {_normal(name) for name in (*distributions, *tops, *flat) if name}
        return cls(tuple(paths), tuple(sorted(names)))

    def near(self, where: str, *, in_repository: bool = False) -> bool:
        """Whether a place belongs to the repository, its package, or to nobody in particular."""
        parts = _parts(where)
        library = [number for number, part in enumerate(parts) if _is_library(part)]
        if not library and (in_repository or not (set(parts[:2]) & _SYSTEM)):
            return True
        if any(_tail(parts, path) for path in self.paths):
            return True
        inside = parts[library[-1] + 1 :] if library else parts
        return any(self._ours(part) for part in inside)

    def _ours(self, part: str) -> bool:
        name = _normal(part)
        return any(
            name == own or name.startswith((f"{own}-", f"{own}.")) for own in self.distributions
        )

    def kind(self, where: str, *, encoded: bool = False) -> str:
        """Kind of leak for a place outside git directories."""
        parts = _parts(where)
        if encoded:
            return "encoded"
        if set(parts) & _CACHES:
            return "package_cache"
        if "!" in where:
            return "archive"
        if set(parts) & _INSTALLED:
            return "installed_copy"
        if set(parts[:-1]) & _BUILDS or any(".egg" in part for part in parts):
            return "build_output"
        return "file"


def git_part_kind(inside: Sequence[str]) -> str:
    """Kind of leak for a file of a git directory."""
    first, name = inside[0], inside[-1]
    known = {
        "logs": "reflog",
        "rr-cache": "rr_cache",
        "lost-found": "lost_found",
        "hooks": "hook",
        "modules": "submodule",
        "worktrees": "worktree",
        "packed-refs": "ref",
        "refs": "ref",
        "index": "index",
    }
    if first in known:
        return known[first]
    if first == "objects":
        return "git_pack" if "pack" in inside[1:] else "unreachable"
    is_message = name.endswith(("_MSG", "HEAD", "EDITMSG", "description")) or name.isupper()
    return "message_file" if is_message else "git_file"


def secret_kind(name: str) -> str:
    """Kind of leak for the content of a forbidden file."""
    return "hidden_test" if "test" in name.lower() else "secret"


def _parts(where: str) -> list[str]:
    return [part for part in re.split(r"[/!]+", where) if part]


def _is_library(part: str) -> bool:
    return part in _LIBRARIES or bool(_PYTHON.fullmatch(part))


def _normal(name: str) -> str:
    return re.sub(r"[-_]+", "_", name).lower()


def _tail(parts: Sequence[str], path: str) -> bool:
    """Whether a place ends as a patched path does, in a way that is no coincidence."""
    wanted = path.split("/")
    stem = re.sub(r"\.(?:cpython|pypy|opt)[^/]*\.py[co]$", ".py", parts[-1]) if parts else ""
    rest = [part for part in parts[:-1] if part != "__pycache__"]
    if stem != wanted[-1]:
        return False
    if len(wanted) > 1:
        return rest[-1:] == wanted[-2:-1]
    return stem not in _COMMON
