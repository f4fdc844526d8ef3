"""What ``regreen tasks build --oci`` writes: the image of one environment, or one for each task."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regreen.core.task import Environment, Task
from regreen.grading.place import Place
from regreen.grading.workshop import Workshop
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.images import Exported, divide, export
from regreen.tasks.build.oci import Compression, ImageLayout, Part, image_name, write_archive
from regreen.tasks.build.standalone import standalone_parts

__all__ = ["write_image", "write_task_images"]


async def write_image(
    target: Path,
    name: str,
    environment: Environment,
    place: Place,
    *,
    rootfs: bool,
    compression: Compression,
    store: LayerStore,
    provider: SandboxProvider,
) -> dict[str, Any]:
    """Write the image of one environment; what the report says about it.

    Args:
        target: an archive when it ends in .tar, else a layout.
        name: of the image.
        environment: its record.
        place: its layers.
        rootfs: put a root below it.
        compression: of the layers.
        store: keeps layers made for it.
        provider: makes the boxes a root needs.
    """
    root = await _root(place, rootfs=rootfs, store=store, provider=provider)
    with _layout(target, compression) as layout:
        made = export(
            layout,
            image_name(name),
            environment,
            tree=place.tree,
            env=place.env,
            root=root,
            store=store,
        )
    return _described(made, target)


async def write_task_images(
    target: Path,
    rows: Sequence[Task],
    *,
    rootfs: bool,
    compression: Compression,
    store: LayerStore,
    provider: SandboxProvider,
) -> list[dict[str, Any]]:
    """Write one image per task: what its agent starts from, and nothing of the answer.

    Args:
        target: an archive when it ends in .tar, else a layout.
        rows: the tasks; those without an environment of ours are left out.
        rootfs: put a root below each.
        compression: of the layers.
        store: holds the tasks' layers.
        provider: makes the boxes a root needs.
    """
    workshop = Workshop(provider, store)
    groups: dict[tuple[str, str, str], list[Task]] = {}
    for task in rows:
        if task.environment:
            named = task.environment
            groups.setdefault((named.source, named.commit, named.env_layer), []).append(task)
    roots: dict[str, tuple[Part, ...]] = {}
    images = []
    with _layout(target, compression) as layout:
        for (_, _, env), tasks in groups.items():
            place = await workshop.place(tasks[0])
            if env not in roots:
                roots[env] = await _root(place, rootfs=rootfs, store=store, provider=provider)
            lowers = [await workshop.act_lowers(task) for task in tasks]
            with tempfile.TemporaryDirectory(prefix="regreen-trees-") as scratch:
                trees = divide(lowers, Path(scratch) / "trees")
                for task, tree in zip(tasks, trees, strict=True):
                    assert task.environment is not None
                    made = export(
                        layout,
                        image_name(task.instance_id),
                        task.environment,
                        tree=tree,
                        env=(await workshop.place(task)).env,
                        root=roots[env],
                        store=store,
                    )
                    images.append(_described(made, target))
    return images


@contextmanager
def _layout(target: Path, compression: Compression) -> Iterator[ImageLayout]:
    """The layout to write to; an archive is made of a scratch one on the same disk."""
    if target.suffix != ".tar":
        yield ImageLayout(target, compression=compression)
        return
    with tempfile.TemporaryDirectory(prefix=".image-", dir=target.absolute().parent) as scratch:
        layout = ImageLayout(Path(scratch) / "layout", compression=compression)
        yield layout
        write_archive(layout.root, target)


async def _root(
    place: Place, *, rootfs: bool, store: LayerStore, provider: SandboxProvider
) -> tuple[Part, ...]:
    return await standalone_parts(place, store=store, provider=provider) if rootfs else ()


def _described(made: Exported, target: Path) -> dict[str, Any]:
    layers = [
        {"title": one.title, "digest": one.digest, "size": one.size, "unpacked": one.unpacked}
        for one in made.layers
    ]
    return {"name": made.name, "path": str(target), "digest": made.digest, "layers": layers}
