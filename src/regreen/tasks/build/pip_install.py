"""Environments of Pythons for which nobody makes editable installs any more but their own pip.

Such a pip knows no dates. So the box has no network but the package index of ``guard``, which shows
it what had been uploaded by the project's day and nothing later: for the build the index is as it
was. What is there for the installer's and the test runner's own sake has days of its own.

Where uv can make an environment at all (3.6 and 3.7) it chooses and installs the dependencies, for
it takes a tenth of pip's time, and pip only puts the project in its place.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from regreen.core.errors import PrerequisiteError
from regreen.grading.interpreter import own_python
from regreen.grading.place import ENV, TESTBED
from regreen.guard.doors.forwarding import forwarding
from regreen.guard.index.proxy import IndexGrant, IndexProxy
from regreen.guard.index.settings import IndexSettings
from regreen.sandbox.base import BoxSpec, Sandbox, SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.buildbox import CACHE, UV, Outcome, run_in
from regreen.tasks.build.interpreters import Interpreter

__all__ = ["PipBox", "own_dates", "pip_box"]

_MAKER = "virtualenv==20.15.1"
"""The last that makes environments for Python 2.7 and 3.5; it brings pip and all for each."""
_SETUPTOOLS = "setuptools==44.1.1"
"""The last for Python 2.7, and one that still translates sources by ``use_2to3`` for newer ones."""
_SERVED_BY_UV = (3, 6)
"""Found by trying; uv's documentation promises nothing below 3.8."""
_SEEDS = ("pip", _SETUPTOOLS, "wheel")
_DESCRIPTIONS = ("pyproject.toml", "setup.py", "setup.cfg")
"""In the order in which a back end is looked for."""
_MAKERS_DAY = datetime(2022, 7, 1, tzinfo=UTC)
_MAKERS = ("virtualenv", "distlib", "filelock", "platformdirs")
_TOOLS_DAY = datetime(2020, 6, 1, tzinfo=UTC)
_TOOLS = ("pip", "setuptools", "wheel")
_RUNNERS_DAY = datetime(2018, 11, 12, 12, tzinfo=UTC)
"""The last day before pytest 4, which runs no generator tests any more."""
_RUNNERS = (
    *("pytest", "py", "pluggy", "attrs", "more-itertools", "funcsigs", "pathlib2", "scandir"),
    *("six", "coverage", "execnet", "apipkg", "pytest-cov", "pytest-forked"),
    *("pytest-mock", "pytest-runner", "pytest-timeout", "pytest-xdist"),
)
_AGAIN_DAY = datetime(2022, 8, 1, tzinfo=UTC)
_AGAIN = ("atomicwrites",)
"""What pytest needs and was withdrawn and uploaded anew, its old releases too."""
_OLDEST_RUNNER = 3
_DOWN = re.compile(r"502 (Server Error|Bad Gateway)|HTTP error 502|Not served:")
_NETWORK = re.compile(r"UV_|PIP_|SSL_CERT_|(?i:(https?|all|no)_proxy)")


def own_dates(date: datetime) -> dict[str, datetime]:
    """Latest uploads of the projects that are not there for the project's sake.

    Args:
        date: the project's day, which holds for all others.
    """
    days = (
        *((_MAKERS, _MAKERS_DAY), (_TOOLS, _TOOLS_DAY)),
        *((_RUNNERS, _RUNNERS_DAY), (_AGAIN, _AGAIN_DAY)),
    )
    return {name: max(date, day) for names, day in days for name in names}


@asynccontextmanager
async def pip_box(
    provider: SandboxProvider,
    spec: BoxSpec,
    interpreter: Interpreter,
    *,
    date: str,
    target: Path,
    store: LayerStore,
) -> AsyncIterator[PipBox]:
    """A box in which pip installs for an old Python, closed at the end of the block.

    Args:
        provider: makes the box.
        spec: a build box; its way to the network is taken away.
        interpreter: the Python.
        date: latest upload time of any package, ISO 8601.
        target: what the box shows as /opt/env.
        store: takes what the index sends, and what all environments of a Python begin with.

    Raises:
        UsageError: the index this machine is set up for cannot be used.
    """
    day = datetime.fromisoformat(date)
    async with (
        IndexProxy(IndexSettings(cache=store.root / "index")) as proxy,
        await proxy.grant("build", [], before=day, apart=own_dates(day)) as grant,
    ):
        box = await provider.create(_shut(spec, grant))
        try:
            async with forwarding(box, grant):
                if interpreter.numbers < _SERVED_BY_UV:
                    yield PipBox(box, date, target, store)
                else:
                    yield MixedBox(box, date, target, store, described_by=_description(spec))
        finally:
            await box.close()


def _description(spec: BoxSpec) -> str:
    """The file that says what the project in a build box needs."""
    lowers = [lower for mount in spec.mounts if mount.target == TESTBED for lower in mount.lowers]
    there = [name for name in _DESCRIPTIONS if any((one / name).is_file() for one in lowers)]
    return there[0] if there else _DESCRIPTIONS[0]


def _shut(spec: BoxSpec, grant: IndexGrant) -> BoxSpec:
    kept = {name: value for name, value in spec.env.items() if not _NETWORK.match(name)}
    env = {
        **kept,
        **grant.env,
        "PIP_CACHE_DIR": f"{CACHE}/pip",
        "PIP_CONFIG_FILE": "/dev/null",
        "PYTHONWARNINGS": "ignore",
        "UV_CACHE_DIR": CACHE,
        "UV_LINK_MODE": "copy",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
    }
    return replace(spec, network="none", env=env, binds=(*spec.binds, *grant.binds))


@dataclass(slots=True)
class PipBox:
    """Runs pip in a box and remembers the commands that worked."""

    box: Sandbox
    date: str
    """Latest upload time of any package, ISO 8601."""
    target: Path
    """Directory of the host that is /opt/env."""
    store: LayerStore
    """Keeps what all environments of a Python begin with."""
    commands: list[str] = field(default_factory=list)
    """What made the environment so far, for a reader."""

    async def make(self, interpreter: Interpreter) -> Outcome:
        """An environment with pip, setuptools and pytest at /opt/env, copied if one was made.

        Raises:
            PrerequisiteError: no index can be reached.
        """
        key = json.dumps([interpreter.version, str(interpreter.path), *self._base()])
        if known := self.store.alias(key):
            shutil.copytree(known.path / "env", self.target, symlinks=True, dirs_exist_ok=True)
            self.commands += json.loads((known.path / "commands.json").read_text())
            return Outcome(ok=True, text="")
        outcome = await self._from_nothing(interpreter)
        if outcome.ok:
            staged = self.store.stage()
            shutil.copytree(self.target, staged / "env", symlinks=True)
            (staged / "commands.json").write_text(json.dumps(self.commands))
            self.store.remember(key, self.store.commit(staged))
        return outcome

    def _base(self) -> tuple[str, ...]:
        """What an environment depends on before anything of the project is in it."""
        day = own_dates(datetime.fromisoformat(self.date))["pytest"].isoformat()
        return ("regreen.pip-base:2", _MAKER, _SETUPTOOLS, day)

    async def _from_nothing(self, interpreter: Interpreter) -> Outcome:
        words = ["tool", "run", "--python", own_python(), "--from", _MAKER, "virtualenv"]
        words += ["--quiet", "--no-download", "--python", str(interpreter.path), ENV]
        outcome = await self._noted([UV, *words], f"uv {shlex.join(words)}")
        for one in (_SETUPTOOLS, "pytest"):
            outcome = await self._pip(one) if outcome.ok else outcome
        await self._compiled()
        return outcome

    async def _compiled(self) -> None:
        """For the builds to come, which begin with a copy: most of pip's time is compiling it."""
        await self.run([f"{ENV}/bin/python", "-m", "compileall", "-q", f"{ENV}/lib"])

    async def install(self, *arguments: str) -> Outcome:
        """``pip install`` into /opt/env, dated, with a pytest that the runner can drive.

        Raises:
            PrerequisiteError: no index can be reached.
        """
        outcome = await self._installed(*arguments)
        if outcome.ok and await self._too_old():
            return await self._installed(f"pytest>={_OLDEST_RUNNER}")
        return outcome

    async def _installed(self, *arguments: str) -> Outcome:
        return await self._pip(*arguments)

    async def _too_old(self) -> bool:
        """Whether the project asked for a pytest from before the runner's time."""
        asked = "import pkg_resources as p; print(p.get_distribution('pytest').version)"
        found = re.match(r"(\d+)\.", (await self.run([f"{ENV}/bin/python", "-c", asked])).text)
        return found is not None and int(found[1]) < _OLDEST_RUNNER

    async def _pip(self, *arguments: str) -> Outcome:
        words = ["-m", "pip", "install", "--quiet", "--no-compile", *arguments]
        return await self._noted([f"{ENV}/bin/python", *words], f"python {shlex.join(words)}")

    async def _noted(self, argv: list[str], told: str) -> Outcome:
        outcome = await self.run(argv)
        if outcome.ok:
            self.commands.append(told)
        elif _DOWN.search(outcome.text):
            what = "the package index cannot be reached, and this environment is not built yet"
            mend = "connect to the network, or set UV_DEFAULT_INDEX to an index you can reach"
            raise PrerequisiteError(what, where=outcome.reason, mend=mend)
        return outcome

    async def freeze(self) -> tuple[str, ...]:
        """What is installed besides the project, ``name==version``, sorted."""
        argv = [f"{ENV}/bin/python", "-m", "pip", "freeze", "--exclude-editable"]
        lines = (await self.run(argv)).text.splitlines()
        return tuple(sorted((one for one in lines if re.match(r"[\w.-]+==", one)), key=str.lower))

    async def run(self, argv: list[str]) -> Outcome:
        """Run a command and keep what it printed, secrets of index URLs left out."""
        return await run_in(self.box, argv)


@dataclass(slots=True)
class MixedBox(PipBox):
    """Runs uv for what a project needs, and pip for the project itself."""

    described_by: str = _DESCRIPTIONS[0]
    """File of the project that says what it needs."""

    def _base(self) -> tuple[str, ...]:
        return ("regreen.mixed-base:1", *_SEEDS)

    async def _from_nothing(self, interpreter: Interpreter) -> Outcome:
        outcome = await self._uv("venv", "--relocatable", "--python", str(interpreter.path), ENV)
        outcome = await self._installed(*_SEEDS) if outcome.ok else outcome
        await self._compiled()
        return outcome

    async def _installed(self, *arguments: str) -> Outcome:
        words = list(arguments)
        own = words.index("--editable") if "--editable" in words else -1
        if own >= 0:
            words[own : own + 2] = self._needs_of(words[own + 1])
        outcome = await self._uv("pip", "install", "--python", f"{ENV}/bin/python", *words)
        if own >= 0 and outcome.ok:
            outcome = await self._pip("--no-deps", "--editable", TESTBED)
        return outcome

    def _needs_of(self, editable: str) -> list[str]:
        """Words that have uv install what a project at /testbed needs, with its extras."""
        extras = editable.removeprefix(TESTBED).strip("[]").split(",")
        return [
            *("--requirement", self.described_by),
            *(word for one in extras if one for word in ("--extra", one)),
        ]

    async def _uv(self, *arguments: str) -> Outcome:
        return await self._noted([UV, *arguments], shlex.join(["uv", *arguments]))

    async def freeze(self) -> tuple[str, ...]:
        """What is installed besides the project, ``name==version``, sorted."""
        listed = [UV, "pip", "freeze", "--python", f"{ENV}/bin/python", "--exclude-editable"]
        return tuple(line for line in (await self.run(listed)).text.splitlines() if "=" in line)
