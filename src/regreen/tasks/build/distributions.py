"""Installed distributions, copied file by file: packages for a box from what already runs here.

Only what an installer's own list names is copied. What says how and where it was installed is left
out, so that one version gives one digest on every machine of a kind.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from regreen.core.errors import PrerequisiteError
from regreen.sandbox.layers import Layer, LayerStore

__all__ = ["copy_distributions", "installed_tools", "pins", "with_dependencies"]

TOOLS = ("coverage", "time-machine")
_PERSONAL = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json"}


def with_dependencies(*names: str) -> tuple[Distribution, ...]:
    """Installed distributions with all they need, extras left out, sorted by name.

    Raises:
        PrerequisiteError: one is not installed, or without a list of its files.
    """
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        found[name] = _installed(name)
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return tuple(found[name] for name in sorted(found))


def pins(distributions: Iterable[Distribution]) -> tuple[str, ...]:
    """``name==version`` of each."""
    return tuple(f"{_normal(one.name)}=={one.version}" for one in distributions)


def copy_distributions(distributions: Iterable[Distribution], target: Path) -> None:
    """Copy files below the site directory of distributions, bytecode and scripts left out.

    Args:
        distributions: installed, with a list of files.
        target: takes the place of their site directory.
    """
    for one in distributions:
        rows: list[str] = []
        for entry in sorted(one.files or (), key=str):
            if not _wanted(entry):
                continue
            place = target / entry
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(str(one.locate_file(entry))), place)
            digest = f"{entry.hash.mode}={entry.hash.value}" if entry.hash else ""
            rows.append(f"{entry},{digest},{'' if entry.size is None else entry.size}")
        record = next(filter(_is_metadata, one.files or ())).parent / "RECORD"
        rows.append(f"{record},,")
        (target / record).write_text("\n".join(sorted(rows)) + "\n")


def installed_tools(*, store: LayerStore) -> Layer:
    """Coverage and time-machine for the test runner, as they are installed beside regreen.

    Args:
        store: takes the layer.

    Raises:
        PrerequisiteError: they are not installed, or without a list of their files.
    """
    distributions = with_dependencies(*TOOLS)
    key = json.dumps(["regreen.installed-tools:2", pins(distributions), _platform()])
    if known := store.alias(key):
        return known
    staged = store.stage()
    try:
        copy_distributions(distributions, staged)
        for metadata in staged.glob("*.dist-info"):
            shutil.rmtree(metadata)  # it would make pytest load the tools as its plug-ins
        layer = store.commit(staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    store.remember(key, layer)
    return layer


def _platform() -> str:
    return f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"


def _installed(name: str) -> Distribution:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        found = None
    if found is None or not any(map(_is_metadata, found.files or ())):
        what = f"{name} is not installed beside regreen, or without a list of its files"
        mend = "install regreen with pip or uv in a virtual environment of its own"
        raise PrerequisiteError(what, where=sys.prefix, mend=mend)
    return found


def _is_metadata(entry: PurePosixPath) -> bool:
    return entry.match("*.dist-info/METADATA") and len(entry.parts) == 2


def _wanted(entry: PurePosixPath) -> bool:
    inside = not entry.is_absolute() and ".." not in entry.parts
    personal = entry.parent.name.endswith(".dist-info") and entry.name in _PERSONAL
    compiled = "__pycache__" in entry.parts or entry.suffix in {".pyc", ".pyo"}
    return inside and not personal and not compiled


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
