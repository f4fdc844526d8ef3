"""Make the suite collectable: packages its tests import, and a pytest its conftest can live with.

Collecting runs the repository's code, so it happens in a box without network. An old conftest often
fails on a new pytest, so older major versions are tried; the first that collects all is kept.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from packaging.utils import canonicalize_name

from regreen.grading.place import ENV
from regreen.tasks.build.builder import Builder
from regreen.tasks.build.collect import Collection, Collector
from regreen.tasks.repo.discovery import Suite
from regreen.tasks.repo.imports import distribution_of, importable, imported_modules, plugins
from regreen.tasks.repo.packages import package_roots
from regreen.tasks.repo.project import Project
from regreen.tasks.repo.requirements import declared_names

__all__ = ["add_missing", "lacking", "own_names", "settle_runner"]

_ABSENT = re.compile(r"(?:ModuleNotFound|Import)Error: No module named '?([\w.]+)")
_RUNNER = re.compile(
    r"pytest|pluggy|conftest|INTERNALERROR|hook|fixture|'(Metafunc|Config|Item|Session|Function)'"
)
_OF_A_FILE = "collection fails: E "
"""How the failure of a test file begins; one of the runner itself names no line of it."""
_OLDEST_MAJOR = 6
_ALONE = "3.2"
"""The last that brings its parts along, for projects that later ones need, on an old Python."""
_VERSION = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
try:
    from importlib.metadata import version
except ImportError:
    from pkg_resources import get_distribution
    version = lambda name: get_distribution(name).version
"""
"""What runs in the environment is for every Python; an old one has no ``-I``, either."""
_PROBE = f"""{_VERSION}
import json
try:
    from importlib.util import find_spec
except ImportError:
    from pkgutil import find_loader as find_spec
absent = []
for module, name in json.loads(sys.argv[1]).items():
    try:
        if find_spec(module) is None:
            absent.append(name)
    except ImportError:
        absent.append(name)
    except Exception:
        pass
for name in json.loads(sys.argv[2]):
    try:
        version(name)
    except Exception:
        absent.append(name)
print(json.dumps(absent))
"""


async def add_missing(
    builder: Builder, tree: Path, suite: Suite, note: Callable[[str], None], *, own: str
) -> tuple[str, ...]:
    """Install what the tests import and the plugins they use, as far as it is not there.

    Args:
        builder: installs.
        tree: the repository's files.
        suite: its tests.
        note: is told about each step.
        own: the project, which is never taken from an index: it would hide the tree.

    Returns:
        Notes about what could not be had.
    """
    wanted, extra = imported_modules(tree, suite), plugins(tree, suite)
    probe = [f"{ENV}/bin/python", "-E", "-s", "-c", _PROBE, json.dumps(wanted), json.dumps(extra)]
    outcome = await builder.run(probe)
    try:
        absent = set(json.loads(outcome.text.strip().splitlines()[-1])) if outcome.ok else set()
    except (ValueError, IndexError, TypeError):
        absent = set()
    names = sorted(absent & {*wanted.values(), *extra})
    return await _install_each(builder, _others(names, own), note)


def _others(names: list[str], own: str) -> list[str]:
    return [name for name in names if canonicalize_name(name) != canonicalize_name(own)]


async def _install_each(
    builder: Builder, names: list[str], note: Callable[[str], None]
) -> tuple[str, ...]:
    notes = []
    for name in names:
        outcome = await builder.install(name)
        if outcome.ok:
            note(f"added {name}, which the tests use")
        else:
            notes.append(f"{name}, which the tests use, could not be installed: {outcome.reason}")
            note(notes[-1])
    return tuple(notes)


async def settle_runner(
    builder: Builder,
    collector: Collector,
    *,
    tree: Path,
    own: str,
    note: Callable[[str], None],
) -> Collection:
    """Collect the suite; on errors add what was not found, then try other versions of pytest.

    Args:
        builder: installs into the environment that the collector's boxes show.
        collector: of the suite.
        tree: the repository's files.
        own: the project's name.
        note: is told about each step.
    """
    declared = declared_names(Project(tree))
    best = await collector.look()
    for _ in range(3):
        absent = {distribution_of(one, declared) for one in lacking(best, tree)}
        names = _others(sorted(absent), own)
        if not names or await _install_each(builder, names, note):
            break
        best = await collector.look()
    gone = frozenset(lacking(best, tree))
    hopeless = "SyntaxError" in best.text or best.blames_only(collector.own, gone)
    if best.problem and not hopeless:
        best = await _unpinned(best, builder, collector, note)
    newest = await _major(builder)
    kept = ""
    older = [f"{major}" for major in range(newest - 1, _OLDEST_MAJOR - 1, -1)]
    for version in older or [_ALONE]:
        if not _blames_runner(best):
            break
        note(f"pytest {kept or newest}: {best.problem}")
        if not (await builder.install(f"pytest=={version}.*")).ok:
            continue
        found = await collector.look()
        if found.beats(best):
            best, kept = found, version
        else:
            await builder.install(f"pytest=={kept or newest}.*")
    return best


def lacking(found: Collection, tree: Path) -> set[str]:
    """Modules of others that collecting a suite could not import, where it failed."""
    if not found.problem:
        return set()
    local = own_names(tree) | sys.stdlib_module_names
    named = {importable(name) for name in _ABSENT.findall(found.text)}
    return {name for name in named if name.partition(".")[0] not in local}


def own_names(tree: Path, name: str = "") -> frozenset[str]:
    """Names under which a repository's own code is imported.

    Args:
        tree: its files.
        name: of the project; some trees are the package itself.
    """
    return frozenset(
        {Path(one).stem for one in package_roots(tree)} | {name.replace("-", "_")} - {""}
    )


def _blames_runner(found: Collection) -> bool:
    """Whether another pytest might do better: not when single files fail by themselves."""
    by_themselves = (
        found.count > 0 or "SyntaxError" in found.text or found.problem.startswith(_OF_A_FILE)
    )
    return bool(found.problem) and not (by_themselves and not _RUNNER.search(found.problem))


async def _unpinned(
    best: Collection,
    builder: Builder,
    collector: Collector,
    note: Callable[[str], None],
) -> Collection:
    """A project may pin what its interpreter cannot run: try its runner anew, then all of it.

    What does not help is put back.
    """
    pinned = await builder.freeze()
    for names in (("pytest", "py", "pluggy"), tuple(line.partition("==")[0] for line in pinned)):
        if not (await builder.install("--upgrade", *names)).ok:
            continue
        if await builder.freeze() == pinned:
            continue
        note(f"newer than pinned: {', '.join(names[:6])}; {best.problem}")
        found = await collector.look()
        if not found.problem:
            return found
        if found.beats(best):
            best, pinned = found, await builder.freeze()
        else:
            await builder.install(*pinned)
    return best


async def _major(builder: Builder) -> int:
    asked = f"{_VERSION}print(version('pytest'))"
    outcome = await builder.run([f"{ENV}/bin/python", "-E", "-s", "-c", asked])
    found = re.match(r"\s*(\d+)\.", outcome.text)
    return int(found[1]) if found else _OLDEST_MAJOR
