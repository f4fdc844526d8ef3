"""A box that installs: the only kind with a network, and the only kind with a writable host bind.

What runs in it is the repository's own build code, so it sees nothing of the host but an empty
directory for the result and a cache that no other repository shares: a build cannot leave anything
in another repository's environment.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uv
from packaging.utils import canonicalize_name

from regreen.core.errors import InfrastructureError, PrerequisiteError
from regreen.grading.place import ENV, TESTBED
from regreen.sandbox.base import BoxSpec, Limits, Mount, Sandbox
from regreen.tasks.build.interpreters import Interpreter
from regreen.tasks.repo.index import DEFAULT_INDEX, index_url, redact

__all__ = ["BuildBox", "Outcome", "build_spec", "run_in", "scratch_cache"]

UV, CACHE = "/opt/uv/uv", "/opt/uv/cache"
_SECONDS = 1200.0
_EDITABLE_SINCE = "2022-09-15T00:00:00+00:00"
"""By then setuptools knew the editable installs of PEP 660, the only ones uv makes."""
_PASSED_ON = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|INDEX_STRATEGY|INSECURE_HOST|"
    r"NATIVE_TLS|SYSTEM_CERTS|HTTP_TIMEOUT|HTTP_RETRIES|INDEX_\w+_(USERNAME|PASSWORD))"
    r"|SSL_CERT_(FILE|DIR)|(?i:(https?|all|no)_proxy)"
)
_SAYS_NOTHING = (
    *("hint:", "Using Python", "note:", "end of output]", "See above for output"),
    *("Encountered error while generating", "Check the logs for full command output"),
)
_SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_OFFLINE = re.compile(
    r"dns error|error sending request|Could not connect|Connection refused|Network is unreachable"
    r"|Temporary failure in name resolution|failed to lookup address|Failed to fetch.*onnect"
)


_ONCE_USED = {"attrs", "py", "more-itertools", "six", "atomicwrites", "importlib-metadata", "toml"}
_OUTGROWN = "2023-06-01T00:00:00Z"
"""By then pytest had given up all of these; attrs was the last, in 7.3 of April 2023. An old state
of one of them cannot carry the pytest of its time on a Python that came later."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one command ended."""

    ok: bool
    """Whether its exit status was 0."""
    text: str
    """What it printed, errors last."""

    @property
    def reason(self) -> str:
        """The lines that say why it failed, shortened."""
        lines = [re.sub(r"^\W+", "", line) for line in self.text.splitlines()]
        told = [line for line in lines if line and not line.startswith(_SAYS_NOTHING)]
        return " / ".join(told[-3:])[:600]


def build_spec(
    tree: Path, *, target: Path, cache: Path, interpreter: Interpreter, env: Mapping[str, str]
) -> BoxSpec:
    """A box with the repository at /testbed, ``target`` at /opt/env and the network.

    Args:
        tree: the repository's files.
        target: empty host directory that receives the environment.
        cache: uv's cache for this repository.
        interpreter: the Python it is built for.
        env: more variables.
    """
    passed = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
    if "SSL_CERT_FILE" not in passed and (given := os.environ.get("PIP_CERT")):
        passed["SSL_CERT_FILE"] = given
    if _SYSTEM_CERTIFICATES.is_file():  # a company's own authority is known to the system only
        passed.setdefault("SSL_CERT_FILE", str(_SYSTEM_CERTIFICATES))
    certificates = Path(passed.get("SSL_CERT_FILE", "/"))
    shown = certificates.is_file() and not certificates.is_relative_to("/etc")
    index = index_url(os.environ)
    return BoxSpec(
        mounts=(Mount(target=TESTBED, lowers=(tree,)),),
        binds=(
            (Path(uv.find_uv_bin()), UV),
            *(((certificates, str(certificates)),) if shown else ()),
            *interpreter.binds,
        ),
        writable_binds=((target, ENV), (cache, CACHE)),
        env={
            **passed,
            **({"UV_DEFAULT_INDEX": index} if index != DEFAULT_INDEX else {}),
            "PATH": f"{ENV}/bin:{interpreter.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
            "SOURCE_DATE_EPOCH": "315532800",
            # a compiler would write down where it worked, and that place is new each time
            "CFLAGS": "-g0",
            "CXXFLAGS": "-g0",
            "LDFLAGS": "-Wl,-s",
            "UV_CACHE_DIR": CACHE,
            "UV_LINK_MODE": "copy",
            "UV_NO_CONFIG": "1",
            "UV_NO_PROGRESS": "1",
            "UV_NO_SOURCES": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            **env,
        },
        network="host",
        limits=Limits(memory_bytes=8 << 30, pids=4096, file_bytes=8 << 30),
    )


def scratch_cache(root: Path, name: str) -> Path:
    """The cache uv keeps for one repository, made when absent."""
    path = root / "uv" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


@dataclass(slots=True)
class BuildBox:
    """Runs uv in a box and remembers the commands that worked."""

    box: Sandbox
    date: str
    """Latest upload time of any package, ISO 8601."""
    project: str = ""
    """What the environment is for; one that pytest itself once used gets a pytest that does not."""
    commands: list[str] = field(default_factory=list)
    """What made the environment so far, for a reader."""

    async def uv(self, *arguments: str) -> Outcome:
        """Run uv.

        Raises:
            PrerequisiteError: no index can be reached.
            InfrastructureError: the disk is full.
        """
        outcome = await self.run([UV, *arguments])
        if not outcome.ok:
            _raise_if_ours(outcome)
        else:
            self.commands.append(shlex.join(["uv", *arguments]))
        return outcome

    async def make(self, interpreter: Interpreter) -> Outcome:
        """An empty environment at /opt/env."""
        return await self.uv("venv", "--relocatable", "--python", str(interpreter.path), ENV)

    async def install(self, *arguments: str) -> Outcome:
        """``uv pip install`` into /opt/env, dated."""
        dated = ["--exclude-newer", self.date]
        if self.date < _EDITABLE_SINCE:
            dated += ["--exclude-newer-package", f"setuptools={_EDITABLE_SINCE}"]
        if self.date < _OUTGROWN and canonicalize_name(self.project) in _ONCE_USED:
            dated += ["--exclude-newer-package", f"pytest={_OUTGROWN}"]
        return await self.uv("pip", "install", "--python", f"{ENV}/bin/python", *dated, *arguments)

    async def freeze(self) -> tuple[str, ...]:
        """What is installed besides the project, ``name==version``, sorted."""
        listed = [UV, "pip", "freeze", "--python", f"{ENV}/bin/python", "--exclude-editable"]
        return tuple(line for line in (await self.run(listed)).text.splitlines() if "=" in line)

    async def run(self, argv: list[str]) -> Outcome:
        """Run a command and keep what it printed, secrets of index URLs left out."""
        return await run_in(self.box, argv)


async def run_in(box: Sandbox, argv: list[str]) -> Outcome:
    """Run a command of a build in its box; secrets of index URLs are left out of what is kept."""
    done = await box.exec(argv, timeout=_SECONDS)
    text = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
    if done.timed_out:
        text += f"\nit took longer than {_SECONDS:.0f} s"
    return Outcome(done.exit_code == 0, redact(text))


def _raise_if_ours(outcome: Outcome) -> None:
    """Tell a machine's failure from the repository's."""
    if "No space left on device" in outcome.text:
        free = shutil.disk_usage(tempfile.gettempdir()).free >> 20
        what = "the disk filled up while the environment was built"
        raise InfrastructureError(what, mend=f"free some space ({free} MiB are left)")
    if _OFFLINE.search(outcome.text):
        what = "the package index cannot be reached, and this environment is not built yet"
        mend = "connect to the network, or set UV_DEFAULT_INDEX to an index you can reach"
        raise PrerequisiteError(what, where=outcome.reason, mend=mend)
