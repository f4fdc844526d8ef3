"""A task's environment made again, on a machine that does not hold its layers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from regreen.core.task import Environment, Task
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.environments import build
from regreen.tasks.build.installed import installed_environment, is_installed
from regreen.tasks.build.interpreters import find_interpreter
from regreen.tasks.build.repository import make_ready
from regreen.tasks.build.shims import shim_layer
from regreen.tasks.repo.sources import Checkout, resolve

__all__ = ["build_again"]


async def build_again(
    task: Task, healthy: Checkout, *, store: LayerStore, provider: SandboxProvider
) -> str:
    """Build what a task's environment names, as it was built.

    Args:
        task: with an environment.
        healthy: its source, the healthy tree laid out.
        store: takes the layers.
        provider: makes the boxes.

    Returns:
        Version of the Python that was used.

    Raises:
        TaskError: it cannot be built here.
        PrerequisiteError: the interpreter or the network is missing.
    """
    environment = task.environment
    assert environment is not None, "healthy_checkout() refuses a task without one"
    python = ".".join(environment.python.split(".")[:2]) or None
    if environment.shim_layer:
        shim_layer(find_interpreter(python), store)
    if not environment.setup_commit:
        made = await make_ready(
            environment.source,
            store=store,
            provider=provider,
            checkout=healthy,
            python=python,
            installed=is_installed(environment),
        )
        return made.built.python
    checkout = resolve(environment.source, store=store, commit=environment.setup_commit)
    if is_installed(environment):
        return (await installed_environment(checkout, store=store, provider=provider)).python
    dated = replace(checkout, repo=healthy.repo, date=_day_before(environment))
    built = await build(dated, store=store, provider=provider, python=python, adaptable=True)
    return built.python


def _day_before(environment: Environment) -> datetime:
    """The date that gave this ``as_of``, which adds a day."""
    return datetime.fromisoformat(environment.as_of) - timedelta(days=1)
