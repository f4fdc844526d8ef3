"""The place where a repository's tests run: which layers, mounted where.

One set of paths in every box of every stage: the tree at /testbed (the name SWE-bench uses), its
Python environment at /opt/env, our own tools for the runner at /opt/tools.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from regreen.grading.interpreter import EnvironmentPython
from regreen.grading.runner import RUNNER_BINDS
from regreen.sandbox.base import BoxSpec, Limits, Mount, SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore

__all__ = ["ENV", "TESTBED", "Place", "compile_environment", "compile_tree"]

TESTBED, ENV, TOOLS = "/testbed", "/opt/env", "/opt/tools"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Lowers of a repository's boxes, topmost first."""

    tree: tuple[Path, ...]
    """Of /testbed."""
    env: tuple[Path, ...]
    """Of /opt/env."""
    tools: Path | None = None
    """Of /opt/tools: coverage and time-machine, for the runner only."""
    args: tuple[str, ...] = ()
    """Arguments of pytest for this suite."""
    paths: tuple[str, ...] = ()
    """Where the suite's tests are collected from."""
    sources: tuple[str, ...] = ()
    """The library's own files, relative to the tree's root."""
    limits: Limits = field(default_factory=Limits)
    """Of each box."""

    @property
    def python(self) -> EnvironmentPython:
        """The interpreter of the environment."""
        return EnvironmentPython.of(self.env)

    def spec(
        self,
        *,
        over: tuple[Path, ...] = (),
        writable: bool = True,
        env_writable: bool = False,
        nested: bool = False,
        runner: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> BoxSpec:
        """The description of one box.

        Args:
            over: lowers on top of the tree, for example a task's changes.
            writable: whether /testbed gets an upper.
            env_writable: whether /opt/env does; agents may install into it, graders not.
            nested: leave the box able to make boxes of its own (the warm runner).
            runner: bind the test runner and its tools.
            variables: environment variables on top.
        """
        # a small tree whose every file is restored is its own layer again; overlayfs refuses
        # one twice, and what lies under its copy could not be seen anyway
        lowers = tuple(dict.fromkeys((*over, *self.tree)))
        mounts = [
            Mount(target=TESTBED, lowers=lowers, writable=writable),
            Mount(target=ENV, lowers=self.env, writable=env_writable),
        ]
        if runner and self.tools:
            mounts.append(Mount(target=TOOLS, lowers=(self.tools,), writable=False))
        env = {
            "PATH": f"{ENV}/bin:/usr/local/bin:/usr/bin:/bin",
            "VIRTUAL_ENV": ENV,
            "PYTHONDONTWRITEBYTECODE": "" if runner else "1",
            **(variables or {}),
        }
        return BoxSpec(
            mounts=tuple(mounts),
            binds=(*(RUNNER_BINDS if runner else ()), *self.python.binds),
            env=env,
            workdir=TESTBED,
            limits=self.limits,
            nested=nested,
        )


async def compile_environment(
    env: Layer, *, store: LayerStore, provider: SandboxProvider, only: Sequence[str] = ()
) -> tuple[Path, ...]:
    """Lowers of /opt/env with bytecode on top, compiled once per environment.

    No code of a repository runs beside the compiler.

    Hash-based bytecode is used because layers carry no times, and unchecked because they never
    change; a box without it would compile pytest anew at every start. Before Python 3.7 there is
    none; there the files' times, which are as constant, have to do.

    Args:
        env: the environment.
        store: keeps the bytecode.
        provider: makes the box.
        only: sources, relative to the environment; all of it when empty. What a suite imports is
            a small part of many: type checkers and their stubs cost more than installing them.
    """
    names = [name for name in only if "\n" not in name and (env.path / name).is_file()]
    key = f"bytecode:1:{env.digest}"
    if names:
        key += ":" + hashlib.sha256("\n".join(names).encode()).hexdigest()
    known = store.alias(key)
    if known is None:
        python = EnvironmentPython.of((env.path,))
        spec = BoxSpec(
            mounts=(Mount(target=ENV, lowers=(env.path,)),), binds=python.binds, workdir="/tmp"
        )
        hashed = ("-j", "0", "--invalidation-mode", "unchecked-hash")
        options = hashed if python.hashes_bytecode else ()
        box = await provider.create(spec)
        try:
            what = [f"{ENV}/lib"]
            if names:
                text = "".join(f"{ENV}/{name}\n" for name in names)
                await box.write("/tmp/sources", text.encode())
                what = ["-i", "/tmp/sources"]
            compiler = [f"{ENV}/bin/python", "-m", "compileall", "-q", *options]
            await box.exec([*compiler, *what], timeout=600)
            known = await box.snapshot(ENV, store)
        finally:
            await box.close()
        store.remember(key, known)
    return (known.path, env.path)


async def compile_tree(
    place: Place, key: str, *, store: LayerStore, provider: SandboxProvider
) -> Place:
    """The place with bytecode of its tree as the lowest lower, compiled once per tree.

    Python checks it against the source at every import, so a patched file is compiled anew. One
    that can only compare times, which layers do not carry, gets none.

    Args:
        place: the healthy tree.
        key: names its layers.
        store: keeps the bytecode.
        provider: makes the box it is compiled in.
    """
    if not place.python.hashes_bytecode:
        return place
    known = store.alias(f"tree-bytecode:1:{key}")
    if known is None:
        box = await provider.create(place.spec())
        try:
            await box.exec(
                [f"{ENV}/bin/python", "-m", "compileall", "-q", "-j", "0",
                 "--invalidation-mode", "checked-hash", TESTBED],
                timeout=600,
            )  # fmt: skip
            known = await box.snapshot(TESTBED, store)
        finally:
            await box.close()
        store.remember(f"tree-bytecode:1:{key}", known)
    return replace(place, tree=(*place.tree, known.path))
