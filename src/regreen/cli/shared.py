"""What every verb shares: the flags that mean the same everywhere, the store, the provider."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter
from pydantic import BaseModel

from regreen.core.config import resolve_config
from regreen.core.console import Console
from regreen.core.errors import InfrastructureError, UsageError
from regreen.sandbox import provider
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore

__all__ = ["Output", "Work", "home", "layer_store", "run_async"]

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

    workers: Annotated[int, Parameter(alias="-j")] = field(
        default_factory=lambda: max(1, os.cpu_count() or 1)
    )
    """Boxes at work at once."""
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
    return " ".join(["regreen", *sys.argv[1:]])
