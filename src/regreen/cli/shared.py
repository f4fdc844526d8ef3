"""What every verb shares: the flags that mean the same everywhere, the store, the provider."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shlex
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

from cyclopts import Parameter
from pydantic import BaseModel, SecretStr

from regreen.core.config import resolve_config
from regreen.core.console import Console
from regreen.core.errors import InfrastructureError, PrerequisiteError, UsageError
from regreen.core.trajectory import Sampling
from regreen.sandbox import provider
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore

if TYPE_CHECKING:
    from regreen.inference import ChatClient

__all__ = [
    "Output",
    "Work",
    "boxes_are_fine",
    "chat_client",
    "check_run",
    "check_taskset_name",
    "check_writable",
    "home",
    "interrupted",
    "layer_store",
    "read_tools",
    "run_async",
]

T = TypeVar("T")
Config = TypeVar("Config", bound=BaseModel)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """How a verb talks."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Print the result as one JSON object on stdout."""
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False
    """Print results and errors only."""
    verbose: Annotated[bool, Parameter(alias="-v", negative="")] = False
    """Add tracebacks to errors."""

    def console(self) -> Console:
        """The console these flags ask for."""
        return Console(quiet=self.quiet, verbose=self.verbose)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Work(Output):
    """How a verb that runs boxes works."""

    workers: Annotated[int, Parameter(alias="-j", show_default=False)] = field(
        default_factory=lambda: max(1, os.cpu_count() or 1)
    )
    """Boxes at work at once (default one per core)."""
    config: Annotated[Path | None, Parameter(alias="-c")] = None
    """TOML file with settings; REGREEN_* variables and flags win over it."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Check everything that needs no data, then stop."""
    unsafe_no_isolation: Annotated[bool, Parameter(negative="")] = False
    """Run commands directly on this machine, without any box. For code you trust only."""

    def settings(self, model: type[Config], table: str, **flags: Any) -> Config:
        """The verb's settings from defaults, TOML, environment and flags."""
        if self.workers < 1:
            msg = f"--workers {self.workers} is none"
            raise UsageError(msg, where="-j", mend="give 1 or more")
        return resolve_config(
            model, file=self.config, table=table, environ=dict(os.environ), flags=flags
        )

    def provider(self) -> SandboxProvider:
        """What makes the boxes."""
        if self.unsafe_no_isolation:
            return provider("process", unsafe=True)
        return provider("namespace")


def home() -> Path:
    """Where layers and downloads are kept: ``REGREEN_HOME``, else the user's cache directory."""
    given = os.environ.get("REGREEN_HOME")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regreen"


def layer_store() -> LayerStore:
    """The store of layers below ``home``.

    Raises:
        InfrastructureError: it cannot be written.
    """
    try:
        return LayerStore(home() / "store")
    except OSError as exc:
        msg = f"the layer store cannot be written: {exc.strerror}"
        mend = "set REGREEN_HOME to a directory you can write"
        raise InfrastructureError(msg, where=str(home()), mend=mend) from exc


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; Ctrl-C cancels it so that boxes are freed, then is raised again."""
    return asyncio.run(work)


def command_line() -> str:
    """The command as it was typed, for the line that resumes."""
    return shlex.join(["regreen", *sys.argv[1:]])


def interrupted(console: Console, *, resume: bool) -> NoReturn:
    """Print the command that resumes, as the last line, and leave with 130."""
    again = command_line() if resume else f"{command_line()} --resume"
    console.note(f"interrupted; what is finished is kept; go on with:\n{again}")
    raise SystemExit(130)


def check_taskset_name(path: Path) -> None:
    """Refuse a name that says no kind of taskset.

    Raises:
        UsageError: it ends in neither .jsonl nor .parquet.
    """
    if path.suffix not in (".jsonl", ".parquet"):
        msg = f"unknown kind of taskset {path.suffix!r}"
        raise UsageError(msg, where=str(path), mend="end the name in .jsonl or .parquet")


def boxes_are_fine(work: Work, console: Console) -> int:
    """What a dry run of a verb that makes boxes comes to: the exit status.

    Raises:
        PrerequisiteError: boxes cannot be made here.
    """
    failed = [one for one in work.provider().check() if one.required and not one.ok]
    if failed:
        raise PrerequisiteError(failed[0].detail, where=failed[0].name, mend=failed[0].mend)
    console.note("the settings and the box provider are fine; nothing was run")
    return 0


def check_writable(path: Path, what: str) -> None:
    """Try whether a file can be made at ``path``, before hours of work depend on it.

    Raises:
        UsageError: it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as exc:
        msg = f"{what} cannot be written: {exc.strerror}"
        raise UsageError(msg, where=str(path), mend="give an --out you can write") from exc


def check_run(run: Path) -> None:
    """Try whether a run can be made at ``run``; it leaves nothing, so a dry run may ask too.

    Raises:
        UsageError: it cannot.
    """
    try:
        nearest = next(path for path in (run, *run.absolute().parents) if path.exists())
        with TemporaryFile(dir=nearest):
            pass
    except OSError as exc:
        msg = f"the run cannot be written: {exc.strerror}"
        raise UsageError(msg, where=str(run), mend="give a --run you can write") from exc


def read_tools(path: Path | None) -> tuple[dict[str, Any], ...]:
    """The tools in a JSON file: a list in OpenAI shape, or an object with one; none without a file.

    Raises:
        UsageError: it cannot be read, or holds no list of tools.
    """
    if path is None:
        return ()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"the tools cannot be read: {error}"
        raise UsageError(msg, where=str(path), mend="give a JSON list of tools") from error
    rows = found.get("tools") if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        msg = "this holds no list of tools"
        raise UsageError(msg, where=str(path), mend="give a JSON list in OpenAI shape")
    return tuple(rows)


def chat_client(
    base_url: str | None, model: str | None, *, temperature: float | None = None
) -> ChatClient | None:
    """A client of the endpoint that flags name, with the key from OPENAI_API_KEY; None for none.

    Raises:
        UsageError: one of the two flags is missing.
    """
    if base_url is None and model is None:
        return None
    if not base_url or not model:
        msg = "a model needs both its endpoint and its name"
        raise UsageError(msg, where="--base-url, --model", mend="give both")
    from regreen.inference import ChatClient, Endpoint

    key = os.environ.get("OPENAI_API_KEY")
    endpoint = Endpoint(base_url=base_url, model=model, api_key=SecretStr(key) if key else None)
    return ChatClient(endpoint, Sampling(temperature=temperature))
