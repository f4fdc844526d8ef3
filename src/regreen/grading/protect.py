"""What a submitted patch may not decide: the tests, what they rest on, the runner, the interpreter.

Every changed path gets a ruling before the tests run: kept, or put back to what the base tree
holds. Putting back is cheap and silent, for honest work touches tests too; only what has no
honest use is called tampering. Exceptions come from the task's gold patch alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from regreen.core.errors import TaskError
from regreen.core.task import Task
from regreen.grading.patch import FileState, apply_patch, patch_paths
from regreen.grading.pathnames import (
    binary_kind,
    import_top,
    is_ordinary_name,
    leaves_tree,
    looks_like_test,
    skeleton,
    test_directory,
)
from regreen.grading.policy import is_runner_settings, settings_differ
from regreen.grading.script import decided_by_script

__all__ = ["Protection", "Ruling"]

_RUNNER_MODULES = frozenset(
    ("pytest", "_pytest", "pluggy", "iniconfig", "unittest", "unittest2", "doctest", "nose",
     "nose2", "hypothesis", "xdist", "execnet", "sitecustomize", "usercustomize")
)  # fmt: skip
"""Modules that decide a test's outcome; nobody names an own top-level module so."""
_RUNNER_NEEDS = frozenset(
    ("py", "packaging", "pygments", "colorama", "exceptiongroup", "tomli", "coverage", "mock",
     "pytest_cov", "pytest_asyncio", "pytest_mock", "pytest_timeout", "pytest_forked", "regreen",
     "regreen_box", "typing_extensions")
)  # fmt: skip
"""Modules that runners import; as names of directories they are ordinary."""
_RUNNER_DIRECTORIES = frozenset(("pytest", "_pytest", "pluggy"))
_STARTUP = frozenset(("sitecustomize.py", "usercustomize.py"))
_INSTALLED = frozenset(("site-packages", "dist-packages", "node_modules", "__pypackages__"))
_OWN_INSTALLATIONS = frozenset((".venv", "venv", ".tox", ".nox", ".eggs"))
_CACHES = frozenset(("__pycache__", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache"))
_ENVIRONMENT = re.compile(r"^(\.env(\..+)?|\.envrc)$")
_METADATA = re.compile(r"\.(egg-info|dist-info)(/|$)|\.egg-link$")
_PLUGIN_GROUP = re.compile(
    rb"^\s*\[\s*(pytest11|hypothesis|nose\.plugins[^\]]*)\s*\]", re.MULTILINE
)
_SUPPORT_NAMES = frozenset(
    ("__snapshots__", "__mocks__", "__fixtures__", "testdata", "test_data", "fixtures", "snapshots")
)
_KEEP = "nothing a runner reads"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What happens to one changed path."""

    keep: bool
    """The change is part of what is graded; False puts the path back."""
    reason: str
    """Why, one short sentence."""
    tamper: bool = False
    """The change has no honest use."""


def _nothing(_path: str) -> FileState | None:
    return None


class Protection:
    """Decides which changes of a patch are undone before it is graded.

    Args:
        tests: files that hold the tests to be run.
        allowed: paths the gold patch itself touches.
        read: state of a path in the base tree. Without it nothing is known to be there, and
            names decide alone.
        gold: state of a path once the gold patch is applied; the runner's part of an allowed
            settings file may only become what gold makes it. Without it any change is allowed.
        command: words of the test command; a Makefile counts only when the command uses it.
        installed: distributions of the environment, which a new module at an import root hides.
        every_test: put back whatever looks like a test, for a script may run any of them.
    """

    def __init__(
        self,
        tests: Collection[str],
        *,
        allowed: Collection[str] = (),
        read: Callable[[str], FileState | None] | None = None,
        gold: Callable[[str], FileState | None] | None = None,
        command: Collection[str] = (),
        installed: Collection[str] = (),
        every_test: bool = False,
    ) -> None:
        self.tests = frozenset(tests)
        self.allowed = frozenset(allowed)
        self.command = frozenset(command)
        self.installed = frozenset(re.sub(r"[-.]+", "_", name).lower() for name in installed)
        self._every_test = every_test
        self._read = read or _nothing
        self._knows = read is not None
        self._gold = gold

    @classmethod
    def of_task(
        cls, task: Task, *, read: Callable[[str], FileState | None] | None = None
    ) -> Protection:
        """For the tests a task names, allowing what its gold patch touches.

        Args:
            task: the task.
            read: state of a path in the tree the patch is for.
        """
        ids = (*task.FAIL_TO_PASS, *task.PASS_TO_PASS)
        hidden = patch_paths(task.test_patch)
        tests = {name.partition("::")[0] for name in ids} | hidden
        gold = patch_paths(task.patch) - hidden
        allowed = {path for path in gold if path not in tests or not looks_like_test(path)}
        environment = task.environment
        own = {task.repo.rpartition("/")[2].lower().replace("-", "_")}
        wanted = environment.requirements if environment else ()
        names = {re.split(r"[=<>!~ \[;@]", line, maxsplit=1)[0] for line in wanted}
        return cls(
            tests,
            allowed=allowed,
            read=read,
            gold=_GoldTree(task.patch, read) if read else None,
            command=environment.test_command if environment else (),
            installed={name for name in names if name.lower().replace("-", "_") not in own},
            every_test=decided_by_script(task),
        )

    def covers(self, path: str) -> bool:
        """Whether any change of ``path`` is undone, going by its name."""
        return path in self.tests or not self.judge(path, None, FileState(b"")).keep

    def judge(self, path: str, before: FileState | None, after: FileState | None) -> Ruling:
        """Rule on one changed path.

        Args:
            path: relative to the repository.
            before: its state in the base tree; None when absent.
            after: its state after the patch; None when removed.
        """
        if before == after:
            return Ruling(keep=True, reason="unchanged")
        for rule in (
            self._odd_path,
            self._link,
            self._allowed,
            self._expected,
            self._support,
            self._settings,
            self._startup,
            self._metadata,
            self._machine_code,
            self._shadow,
        ):
            ruling = rule(path, before, after)
            if ruling is not None:
                return ruling
        return Ruling(keep=True, reason=_KEEP)

    def _odd_path(
        self, path: str, before: FileState | None, _after: FileState | None
    ) -> Ruling | None:
        if not is_ordinary_name(path):
            return Ruling(False, "the path holds control characters or leaves the tree", True)
        parts = path.split("/")
        if any(skeleton(part) == ".git" for part in parts):
            return Ruling(False, "git's own data", True)
        if parts[-1] in (".gitattributes", ".gitmodules"):
            return Ruling(False, "changes what git does with other files")
        if before is None and path not in self.tests and skeleton(path) in self._skeletons:
            return Ruling(False, "a name made to look like that of an expected test", True)
        if self._knows and any(self._is_link(parent) for parent in _parents(path)):
            return Ruling(False, "lies behind a symbolic link")
        return None

    def _link(self, path: str, before: FileState | None, after: FileState | None) -> Ruling | None:
        if after is None or not after.symlink or path in self.tests:
            return None
        target = after.data.decode("utf-8", "surrogateescape")
        if leaves_tree(path, target):
            # what tools make for themselves, such as a virtual environment, takes nobody's place
            hides = before is not None or ".git" in target.split("/")
            return Ruling(False, "a link that leaves the tree", hides)
        if path in self.allowed:
            return None
        return Ruling(False, "a new link to another file" if before is None else "a changed link")

    def _allowed(
        self, path: str, _before: FileState | None, after: FileState | None
    ) -> Ruling | None:
        if path not in self.allowed:
            return None
        gold = self._gold(path) if self._gold else after
        wrong = settings_differ(path, _data(gold), _data(after))
        if wrong:
            return None
        return Ruling(keep=True, reason="the gold patch touches it too")

    def _expected(
        self, path: str, before: FileState | None, after: FileState | None
    ) -> Ruling | None:
        if path not in self.tests:
            return None
        if path.endswith(".py") and not looks_like_test(path):
            return self._documented(before, after)
        return Ruling(keep=False, reason="holds tests that are run")

    def _documented(self, before: FileState | None, after: FileState | None) -> Ruling | None:
        """Product code whose docstrings are tests: its examples stay, the rest may change."""
        if before is None or after is None:
            return Ruling(keep=False, reason="holds tests that are run")
        left = iter(_examples(after.data))
        if all(line in left for line in _examples(before.data)):
            return None
        return Ruling(keep=False, reason="changes the examples in docstrings that are run as tests")

    def _support(
        self, path: str, _before: FileState | None, _after: FileState | None
    ) -> Ruling | None:
        pure = PurePosixPath(path)
        if pure.name == "conftest.py":
            return Ruling(keep=False, reason="pytest reads it before the tests")
        if any(path.startswith(f"{root}/") for root in self._test_directories):
            return Ruling(keep=False, reason="lies among the expected tests")
        if self._every_test and looks_like_test(path):
            return Ruling(keep=False, reason="a test, and the task's script may run any")
        if str(pure.parent) in self._holders and looks_like_test(path):
            return Ruling(keep=False, reason="a test file beside expected tests")
        if any(
            part in _SUPPORT_NAMES and "/".join(pure.parts[:place] or (".",)) in self._holders
            for place, part in enumerate(pure.parts[:-1])
        ):
            return Ruling(keep=False, reason="data of the expected tests")
        return None

    def _settings(
        self, path: str, before: FileState | None, after: FileState | None
    ) -> Ruling | None:
        name = path.rpartition("/")[2]
        if is_runner_settings(path):
            return Ruling(keep=False, reason="settings of the test runner")
        if settings_differ(path, _data(before), _data(after)):
            return Ruling(keep=False, reason="changes the test runner's part of this file")
        words = {word.rpartition("/")[2] for word in self.command}
        tools = {"make": "makefile", "gmake": "makefile", "nox": "noxfile.py", "just": "justfile",
                 "rake": "rakefile", "invoke": "tasks.py", "task": "taskfile.yml"}  # fmt: skip
        used = {tools[word] for word in words & set(tools)}
        if path in self.command or f"./{path}" in self.command or name.lower() in used:
            return Ruling(keep=False, reason="the test command uses it")
        if _ENVIRONMENT.match(name):
            return Ruling(keep=False, reason="sets variables of the tests' environment")
        return None

    def _startup(
        self, path: str, before: FileState | None, _after: FileState | None
    ) -> Ruling | None:
        pure = PurePosixPath(path)
        if pure.parts[0] in _OWN_INSTALLATIONS:
            return Ruling(keep=False, reason="an environment of the agent's own")
        if pure.name in _STARTUP and (before is None or pure.parent == PurePosixPath()):
            return Ruling(False, "the interpreter runs it at its start", before is None)
        if pure.suffix in (".pth", "._pth") or pure.name == "pyvenv.cfg":
            return Ruling(False, "the interpreter reads it at its start", before is None)
        if set(pure.parts[:-1]) & _CACHES and pure.suffix != ".pyc":
            return Ruling(keep=False, reason="a tool's cache")
        if set(pure.parts[:-1]) & _INSTALLED:
            return Ruling(keep=False, reason="an installed package, not the repository")
        return None

    def _metadata(
        self, path: str, before: FileState | None, after: FileState | None
    ) -> Ruling | None:
        if not _METADATA.search(path):
            return None
        old, new = (state.data if state else b"" for state in (before, after))
        plugin = bool(_PLUGIN_GROUP.search(new)) and not _PLUGIN_GROUP.search(old)
        if plugin and path.endswith("entry_points.txt"):
            return Ruling(False, "registers a plug-in of the runner", True)
        return Ruling(keep=False, reason="metadata of an installation")

    def _machine_code(
        self, path: str, before: FileState | None, after: FileState | None
    ) -> Ruling | None:
        kind = binary_kind(path, after.data if after else b"")
        if not kind:
            return None
        planted = kind == "planted bytecode"
        return Ruling(False, f"{kind}, which no reader of the source sees", planted)

    def _shadow(
        self, path: str, before: FileState | None, after: FileState | None
    ) -> Ruling | None:
        if before is not None or after is None:
            return None
        for root in self._import_roots:
            top, is_package = import_top(path, root)
            if not top or not (is_package or top in _RUNNER_DIRECTORIES) or self._holds(root, top):
                continue
            if top in _RUNNER_MODULES:
                return Ruling(False, f"hides {top}, which decides the tests' outcome", True)
            if root not in self._first_roots:
                continue
            if top in sys.stdlib_module_names:
                return Ruling(keep=False, reason=f"hides the standard library's {top}")
            if top.lower() in self.installed | _RUNNER_NEEDS:
                return Ruling(keep=False, reason=f"hides the installed package {top}")
        return None

    def _holds(self, root: str, top: str) -> bool:
        """Whether the base tree has that module as its own code."""
        stem = f"{root}/{top}" if root else top
        return any(self._read(f"{stem}{end}") for end in (".py", "/__init__.py"))

    def _is_link(self, path: str) -> bool:
        state = self._read(path)
        return state is not None and state.symlink

    @cached_property
    def _skeletons(self) -> frozenset[str]:
        return frozenset(skeleton(name) for name in self.tests)

    @cached_property
    def _test_directories(self) -> frozenset[str]:
        found = (test_directory(name) for name in self.tests)
        return frozenset(name for name in found if name)

    @cached_property
    def _holders(self) -> frozenset[str]:
        """Directories that hold expected test files themselves."""
        tests = (name for name in self.tests if looks_like_test(name))
        return frozenset(str(PurePosixPath(name).parent) for name in tests)

    @cached_property
    def _import_roots(self) -> frozenset[str]:
        """Directories that may stand on ``sys.path`` when the tests run."""
        return self._first_roots | {"src", "lib"}

    @cached_property
    def _first_roots(self) -> frozenset[str]:
        """Those that may stand before the standard library and the installed packages.

        The repository and the directories of its tests do, for pytest puts them first; ``src``
        does when settings name it, while an installation in place appends it at the end.
        """
        roots = {""}
        for name in ("src", "lib"):
            own = self._read(f"{name}/__init__.py") or self._imports(name)
            if not self._knows or (self._named_in_settings(name) and not own):
                roots.add(name)
        for test in self.tests if self._knows else ():
            folder = PurePosixPath(test).parent
            while folder.name and self._read(f"{folder}/__init__.py"):
                folder = folder.parent
            roots.add("" if str(folder) == "." else str(folder))
        return frozenset(roots)

    def _imports(self, name: str) -> bool:
        """Whether the tests import this directory itself, as ``from src.module import x``."""
        wanted = re.compile(rb"^\s*(?:from|import)\s+" + name.encode() + rb"\b", re.MULTILINE)
        states = (self._read(test) for test in sorted(self.tests))
        return any(state and wanted.search(state.data) for state in states)

    def _named_in_settings(self, name: str) -> bool:
        word = name.encode()
        wanted = re.compile(
            rb"pythonpath.{0,120}?\b" + word + rb"\b|sys\.path.{0,120}?\b" + word + rb"\b",
            re.DOTALL,
        )
        names = ("pyproject.toml", "pytest.ini", "setup.cfg", "tox.ini", "conftest.py")
        return any(state and wanted.search(state.data) for state in map(self._read, names))


class _GoldTree:
    """Files as the gold patch leaves them, made when first asked for."""

    def __init__(self, patch: str, read: Callable[[str], FileState | None]) -> None:
        self._patch = patch
        self._base = read

    @cached_property
    def _changes(self) -> dict[str, FileState | None]:
        try:
            return apply_patch(self._patch, self._base)
        except TaskError:
            return {}

    def __call__(self, path: str) -> FileState | None:
        return self._changes[path] if path in self._changes else self._base(path)


def _data(state: FileState | None) -> bytes | None:
    return state.data if state else None


def _parents(path: str) -> list[str]:
    return [str(parent) for parent in PurePosixPath(path).parents if parent.name]


def _examples(data: bytes) -> list[bytes]:
    """Lines of doctest examples with what they expect, in order."""
    found: list[bytes] = []
    inside = False
    for line in data.splitlines():
        text = line.strip()
        inside = text.startswith(b">>>") or (inside and bool(text) and text[:3] not in _QUOTES)
        if inside:
            found.append(text)
    return found


_QUOTES = (b'"""', b"'''")
