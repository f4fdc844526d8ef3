"""``react``: bash, view, edit, search and submit; several calls in one answer are allowed."""

from __future__ import annotations

from typing import ClassVar

from regreen.agents.base import Need, Setting, TaskView
from regreen.agents.files import EDIT, SEARCH, VIEW
from regreen.agents.loop import ModelLoop
from regreen.agents.prompts import WITH_TOOLS, prompt
from regreen.agents.record import Conversation
from regreen.agents.tools import BASH, SUBMIT
from regreen.sandbox.base import Sandbox

__all__ = ["React"]


class React:
    """The usual coding agent: tools that save turns and context over plain bash."""

    name = "react"
    needs: ClassVar[frozenset[Need]] = frozenset({"model"})

    def __init__(self, setting: Setting) -> None:
        tools = (BASH, VIEW, EDIT, SEARCH, SUBMIT)
        self._loop = ModelLoop(setting, tools, parallel=True)

    async def act(self, task: TaskView, box: Sandbox, log: Conversation) -> str:
        """Work on the task until submit or a limit."""
        return await self._loop.run(prompt(WITH_TOOLS, task), task, box, log)
