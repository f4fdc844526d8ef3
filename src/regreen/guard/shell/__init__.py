"""Shell text read the way a shell would read it, without running it."""

from __future__ import annotations

from regreen.guard.shell.command import Analysis, Command
from regreen.guard.shell.walk import analyse

__all__ = ["Analysis", "Command", "analyse"]
