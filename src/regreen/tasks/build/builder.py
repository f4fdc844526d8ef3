"""What installs into an environment: uv, or pip for the Pythons that uv does not serve."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from regreen.sandbox.base import BoxSpec, Sandbox, SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.buildbox import BuildBox, Outcome
from regreen.tasks.build.interpreters import Interpreter

__all__ = ["Builder", "open_builder"]

_OLDEST_FOR_UV = (3, 8)
"""uv's documentation names no older one; what works beyond is not promised."""


class Builder(Protocol):
    """Makes the environment at /opt/env of a box and installs into it."""

    box: Sandbox
    """With the repository at /testbed."""
    date: str
    """Latest upload time of any package, ISO 8601."""
    commands: list[str]
    """What made the environment so far, for a reader."""

    async def make(self, interpreter: Interpreter) -> Outcome:
        """An environment with nothing of the project's in it."""
        ...

    async def install(self, *arguments: str) -> Outcome:
        """Install requirements, in the notation that pip and uv share."""
        ...

    async def freeze(self) -> tuple[str, ...]:
        """What is installed besides the project, ``name==version``, sorted."""
        ...

    async def run(self, argv: list[str]) -> Outcome:
        """Run a command in the box."""
        ...


@asynccontextmanager
async def open_builder(
    provider: SandboxProvider,
    spec: BoxSpec,
    interpreter: Interpreter,
    *,
    date: str,
    target: Path,
    store: LayerStore,
    project: str,
) -> AsyncIterator[Builder]:
    """The builder for an interpreter, its box closed at the end of the block.

    Args:
        provider: makes the box.
        spec: what ``build_spec`` made.
        interpreter: the Python.
        date: latest upload time of any package, ISO 8601.
        target: what the box shows as /opt/env.
        store: takes what can be shared by builds.
        project: name of what the environment is for.
    """
    if interpreter.numbers < _OLDEST_FOR_UV:
        from regreen.tasks.build.pip_install import pip_box

        async with pip_box(
            provider, spec, interpreter, date=date, target=target, store=store
        ) as builder:
            yield builder
        return
    box = await provider.create(spec)
    try:
        yield BuildBox(box, date, project)
    finally:
        await box.close()
