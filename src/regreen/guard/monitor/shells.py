"""What a call's shell text would run, read by the blocker's own parser; texts repeat, so kept."""

from __future__ import annotations

from functools import lru_cache

from regreen.guard.shell import Command, analyse

__all__ = ["commands_of"]


@lru_cache(maxsize=1024)
def commands_of(text: str) -> tuple[Command, ...]:
    """The commands of a script that starts in the repository."""
    return analyse(text, cwd="/testbed").commands
