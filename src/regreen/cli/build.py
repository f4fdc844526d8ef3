"""``regreen tasks build``: an environment made, tried, and handed to other tools."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from regreen.cli.build_image import write_image, write_task_images
from regreen.cli.shared import Output, check_writable, layer_store, run_async
from regreen.cli.validate import bring_environments
from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.grading.place import TESTBED
from regreen.sandbox import provider as boxes
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.store.atomic import write_text
from regreen.store.taskset import load_tasks
from regreen.tasks.build.accept import Acceptance, accept
from regreen.tasks.build.dockerfile import TREE_ARCHIVE, added_files, built_here, dockerfile
from regreen.tasks.build.expected import expected_tests
from regreen.tasks.build.oci import Compression, Part, write_layer_file
from regreen.tasks.build.repository import Repository, make_ready
from regreen.tasks.build.rungs import version_variables
from regreen.tasks.repo.project import Project

__all__ = ["build"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BuildFlags(Output):
    """Flags of the verb."""

    commit: str | None = None
    """Commit, tag or branch of a git source (default HEAD)."""
    python: str | None = None
    """Version or path of an interpreter of this machine (default the running one)."""
    tests: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = ()
    """Paths of the tests (default: as the project's own files say)."""
    installed: Annotated[bool, Parameter(negative="")] = False
    """Make the environment from this installation's own pytest, without network."""
    dockerfile: Path | None = None
    """Write a Dockerfile that makes the same environment; a tree that nobody can clone goes beside
    it as testbed.tar.gz."""
    oci: Path | None = None
    """Write an image: an archive when the name ends in .tar, else a directory (an OCI layout) in
    which images share layers."""
    rootfs: Annotated[bool, Parameter(negative="")] = False
    """Put a small root file system below the image, so that it runs alone; else it fits the image
    python:VERSION-slim."""
    compression: Compression = "gzip"
    """Of the image's layers."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Check everything that needs no data, then stop."""


def build(source: str, /, *, flags: BuildFlags | None = None) -> int:
    """Build a repository's environment, and accept it only if its suite is whole and repeats.

    At least 90 % of the test functions that the source promises must be collected, and two runs
    under another order and hash seed must agree on 99 % of the outcomes. A refusal exits with 1
    and names what is missing. For a taskset, every environment it names is built, and --oci writes
    one image per task.

    For example:

        regreen tasks build pypi:toolz==1.0.0
        regreen tasks build . --commit v2.1 --python 3.9 --dockerfile image/Dockerfile
        regreen tasks build . --oci environment.tar --rootfs
        regreen tasks build tasks.jsonl --oci images

    Parameters
    ----------
    source
        A directory, a git URL, pypi:NAME[==VERSION], or a taskset (.jsonl, .parquet).
    """
    flags = flags or BuildFlags()
    console = flags.console()
    taskset = Path(source).suffix in (".jsonl", ".parquet") and not Path(source).is_dir()
    _check(flags, taskset=taskset)
    rows = load_tasks(Path(source)) if taskset else []
    if flags.dry_run:
        console.note("the flags are fine; nothing was built")
        return 0
    if taskset:
        return run_async(_build_tasks(rows, flags, console))
    return run_async(_build_source(source, flags, console))


def _check(flags: BuildFlags, *, taskset: bool) -> None:
    given = {
        "--commit": flags.commit,
        "--python": flags.python,
        "--tests": flags.tests,
        "--installed": flags.installed,
        "--dockerfile": flags.dockerfile,
    }
    named = [name for name, value in given.items() if value]
    if taskset and named:
        msg = "a taskset says itself how its environments are made"
        mend = "leave it out, or give the source instead of the taskset"
        raise UsageError(msg, where=named[0], mend=mend)
    if flags.installed and flags.python:
        msg = "this installation's own packages are those of the running interpreter"
        raise UsageError(msg, where="--installed, --python", mend="leave one of them out")
    if (flags.rootfs or flags.compression != "gzip") and flags.oci is None:
        msg = "there is no image to write"
        where = "--rootfs" if flags.rootfs else "--compression"
        raise UsageError(msg, where=where, mend="name one with --oci")
    if flags.dockerfile:
        check_writable(flags.dockerfile, "the Dockerfile")
    if flags.oci and flags.oci.suffix == ".tar":
        check_writable(flags.oci, "the image")


async def _build_source(source: str, flags: BuildFlags, console: Console) -> int:
    store, provider = layer_store(), boxes()
    try:
        repository = await make_ready(
            source,
            store=store,
            provider=provider,
            commit=flags.commit,
            tests=flags.tests,
            installed=flags.installed,
            python=flags.python,
            note=console.note,
        )
        console.note("running the suite twice")
        expected = expected_tests(
            repository.checkout.tree.path,
            paths=repository.place.paths,
            options=repository.place.args,
            python=repository.built.python,
        )
        answer = await accept(repository.place, expected, store=store, provider=provider)
        report = _report(repository, answer)
        if answer.accepted:
            report |= await _write(repository, flags, console, store=store, provider=provider)
    finally:
        await provider.close()
    if flags.json:
        console.json(report)
        return 0 if answer.accepted else 1
    _show(report, answer, console)
    answer.require(f"{repository.checkout.spec}, Python {repository.built.python}")
    return 0


def _report(repository: Repository, answer: Acceptance) -> dict[str, Any]:
    built, checkout = repository.built, repository.checkout
    layers = {"tree": checkout.tree.path, "environment": built.env.path}
    if built.build:
        layers["build"] = built.build.path
    return {
        "source": checkout.spec,
        "commit": checkout.commit,
        "rung": built.rung,
        "python": built.python,
        "as_of": built.as_of,
        "seconds": built.seconds,
        "notes": list(built.notes),
        "layers": {name: _bytes(path) for name, path in layers.items()},
        "acceptance": answer.model_dump(mode="json"),
    }


def _bytes(path: Path) -> int:
    return sum(
        (Path(folder) / name).lstat().st_size
        for folder, _, names in os.walk(path)
        for name in names
    )


def _show(report: dict[str, Any], answer: Acceptance, console: Console) -> None:
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in report["layers"].items())
    outcomes = ", ".join(f"{count} {name}" for name, count in answer.outcomes.items())
    rows = [
        ("commit", report["commit"]),
        ("rung", report["rung"]),
        ("python", report["python"]),
        ("as of", report["as_of"]),
        ("built in", f"{report['seconds']:.1f} s"),
        ("layers", sizes),
        ("expected", f"{answer.found} of {answer.expected} test functions collected"),
        ("outcomes", outcomes or "none"),
        ("agreeing", f"{answer.agreeing} of {answer.compared} in two runs, {answer.seconds:.1f} s"),
        *(("flaky", name) for name in answer.flaky),
        *(("not collected", name) for name in answer.missing),
        *(("note", text) for text in report["notes"]),
    ]
    if "dockerfile" in report:
        rows.append(("dockerfile", report["dockerfile"]))
    if "image" in report:
        rows.append(("image", _told(report["image"])))
    console.table(("", "value"), rows)


def _told(image: dict[str, Any]) -> str:
    size = sum(layer["size"] for layer in image["layers"]) / 1e6
    return f"{image['name']} in {image['path']}: {len(image['layers'])} layers, {size:.1f} MB"


async def _write(
    repository: Repository,
    flags: BuildFlags,
    console: Console,
    *,
    store: LayerStore,
    provider: SandboxProvider,
) -> dict[str, Any]:
    """Export what was accepted; the part of the report about it."""
    report: dict[str, Any] = {}
    if flags.dockerfile:
        _write_dockerfile(repository, flags.dockerfile)
        report["dockerfile"] = str(flags.dockerfile)
    if flags.oci:
        console.note("writing the image")
        checkout = repository.checkout
        report["image"] = await write_image(
            flags.oci,
            f"{checkout.name.lower()}-{checkout.commit[:12]}",
            repository.environment(),
            repository.place,
            rootfs=flags.rootfs,
            compression=flags.compression,
            store=store,
            provider=provider,
        )
    return report


def _write_dockerfile(repository: Repository, target: Path) -> None:
    checkout, built = repository.checkout, repository.built
    environment = repository.environment()
    text = dockerfile(
        environment,
        files=added_files([built.env]),
        variables=version_variables(
            Project(checkout.tree.path), checkout.name, checkout.version, date=built.as_of
        ),
        apt=built_here(built.env.path, built.build.path if built.build else None),
    )
    write_text(target, text)
    if TREE_ARCHIVE in text:
        part = Part(TESTBED, checkout.tree.path, "tree")
        write_layer_file(part, target.with_name(TREE_ARCHIVE))


async def _build_tasks(rows: Sequence[Task], flags: BuildFlags, console: Console) -> int:
    store, provider = layer_store(), boxes()
    started = time.monotonic()
    try:
        await bring_environments(rows, store=store, provider=provider, console=console)
        images: list[dict[str, Any]] = []
        if flags.oci:
            console.note("writing the images")
            images = await write_task_images(
                flags.oci,
                rows,
                rootfs=flags.rootfs,
                compression=flags.compression,
                store=store,
                provider=provider,
            )
    finally:
        await provider.close()
    report = {
        "tasks": len(rows),
        "environments": len({task.environment for task in rows if task.environment}),
        "seconds": round(time.monotonic() - started, 1),
        "images": images,
    }
    if flags.json:
        console.json(report)
        return 0
    console.result("environments: {environments} of {tasks} tasks, {seconds} s".format(**report))
    if flags.oci:
        blobs = {one["digest"]: one["size"] for row in images for one in row["layers"]}
        size = sum(blobs.values()) / 1e6
        console.result(f"{len(images)} images in {flags.oci}: {len(blobs)} layers, {size:.1f} MB")
    return 0
