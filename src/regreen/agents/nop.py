"""``nop``: changes nothing. A sound task scores it 0."""

from __future__ import annotations

from typing import ClassVar

from regreen.agents.base import Need, Setting, TaskView
from regreen.agents.record import Conversation
from regreen.sandbox.base import Sandbox

__all__ = ["Nop"]


class Nop:
    """Reads the statement and submits the repository as it found it."""

    name = "nop"
    needs: ClassVar[frozenset[Need]] = frozenset()

    def __init__(self, setting: Setting) -> None:
        pass

    async def act(self, task: TaskView, box: Sandbox, log: Conversation) -> str:
        """Submit at once."""
        log.add({"role": "user", "content": task.problem_statement})
        return "submitted"
