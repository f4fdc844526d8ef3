"""An environment's layers put together as an image that other tools can run.

Below its own layers stands either a root made for it, so that the image runs alone, or nothing:
then its layers are made to fit a named base image, on which a reader puts them.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regreen.core.task import Environment
from regreen.grading.place import ENV, TESTBED
from regreen.sandbox.layers import LayerStore
from regreen.sandbox.overlay import merged_tree
from regreen.tasks.build.dockerfile import base_image
from regreen.tasks.build.oci import ImageLayout, Part, Written

__all__ = ["Exported", "divide", "export"]


@dataclass(frozen=True, slots=True)
class Exported:
    """One image as it was written."""

    name: str
    """Its reference in the layout."""
    digest: str
    """``sha256:…`` of its manifest."""
    layers: tuple[Written, ...]
    """The lowest first."""


def export(
    layout: ImageLayout,
    name: str,
    environment: Environment,
    *,
    tree: Sequence[Path],
    env: Sequence[Path],
    root: Sequence[Part],
    store: LayerStore,
) -> Exported:
    """Add the image of an environment, or of a task in it, to a layout.

    Args:
        layout: takes it.
        name: its reference.
        environment: the record, for settings and annotations.
        tree: lowers of /testbed, topmost first.
        env: lowers of /opt/env, topmost first.
        root: layers below, from ``standalone_parts``; without any, the base image is named.
        store: keeps the layer that fits the environment to the base image.

    Raises:
        TaskError: a file has a name that image layers reserve.
        UsageError: the layout cannot be written to.
        InfrastructureError: the disk is full.
    """
    parts = [*root, *_stack(env, ENV, "environment")]
    if not root:
        parts.append(Part(ENV, _fitted(env, environment.python, store), "fit to the base image"))
    parts += _stack(tree, TESTBED, "tree")
    annotations = {
        "org.opencontainers.image.source": environment.source,
        "org.opencontainers.image.revision": environment.commit,
    }
    if not root:
        annotations["org.opencontainers.image.base.name"] = base_image(environment.python)
    settings = {
        "Env": [f"{key}={value}" for key, value in sorted(_variables(environment).items())],
        "WorkingDir": TESTBED,
        "Cmd": ["pytest", *environment.test_command],
    }
    digest, layers = layout.image(name, parts, settings=settings, annotations=annotations)
    return Exported(name, digest, layers)


def _stack(lowers: Sequence[Path], target: str, title: str) -> list[Part]:
    """Lowers as parts, the lowest first; those that hold nothing are left out."""
    parts = [
        Part(target, path, f"over the {title}" if number else title)
        for number, path in enumerate(reversed(lowers))
    ]
    return [part for part in parts if any(part.path.iterdir())]


def _variables(environment: Environment) -> dict[str, str]:
    variables = {
        "LANG": "C.UTF-8",
        "PATH": f"{ENV}/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "VIRTUAL_ENV": ENV,
    }
    if environment.options:
        variables["PYTEST_ADDOPTS"] = shlex.join(environment.options)
    return variables


def _fitted(env: Sequence[Path], python: str, store: LayerStore) -> Path:
    """A layer that points the environment at the interpreter of the official images."""
    minor = ".".join(python.split(".")[:2])
    settings = next((one / "pyvenv.cfg" for one in env if (one / "pyvenv.cfg").is_file()), None)
    staged = store.stage()
    try:
        (staged / "bin").mkdir()
        (staged / "bin" / "python").symlink_to(f"/usr/local/bin/python{minor}")
        if settings is not None:
            text = re.sub(r"(?m)^home = .*$", "home = /usr/local/bin", settings.read_text("utf-8"))
            (staged / "pyvenv.cfg").write_text(text, "utf-8")
        return store.commit(staged).path
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def divide(trees: Sequence[Sequence[Path]], scratch: Path) -> list[tuple[Path, ...]]:
    """Trees of several tasks as what all of them show, and what each shows besides.

    A task's own lowers begin with the healthy tree, answers and hidden tests included, and cover
    them up; in an image they could be dug out again. Here no layer holds a file its task does not
    show, and still the tasks share most of their trees.

    Args:
        trees: lowers of each task's tree, topmost first.
        scratch: takes the directories.

    Returns:
        For each tree its new lowers, topmost first.
    """
    shown = [merged_tree(lowers) for lowers in trees]
    seen: dict[tuple[int, int], str] = {}
    keys = [{path: _identity(source, seen) for path, source in tree.items()} for tree in shown]
    shared = set[tuple[str, str]]().union(*(one.items() for one in keys[:1]))
    shared = shared.intersection(*(one.items() for one in keys[1:]))
    common = scratch / "common"
    common.mkdir(parents=True)
    result: list[tuple[Path, ...]] = []
    for number, tree in enumerate(shown):
        own = scratch / str(number)
        own.mkdir()
        for path, source in tree.items():
            inside = (path, keys[number][path]) in shared
            if not inside or number == 0:
                copy = (common if inside else own) / path
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy, follow_symlinks=False)
        result.append((own, common))
    return result


def _identity(path: Path, seen: dict[tuple[int, int], str]) -> str:
    """What a file is by kind and content; each is read once, however many trees show it."""
    info = path.lstat()
    key = info.st_dev, info.st_ino
    if key not in seen:
        if stat.S_ISLNK(info.st_mode):
            seen[key] = f"link {path.readlink()}"
        else:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            seen[key] = f"{info.st_mode & stat.S_IXUSR} {digest}"
    return seen[key]
