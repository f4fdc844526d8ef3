"""``mini``: bash and nothing else, one command per step, ended by a typed submit."""

from __future__ import annotations

from typing import ClassVar

from regreen.agents.base import Need, Setting, TaskView
from regreen.agents.loop import ModelLoop
from regreen.agents.prompts import BASH_ONLY, prompt
from regreen.agents.record import Conversation
from regreen.agents.tools import BASH, SUBMIT
from regreen.sandbox.base import Sandbox

__all__ = ["Mini"]


class Mini:
    """The smallest useful agent: what it scores, it scores by the model alone."""

    name = "mini"
    needs: ClassVar[frozenset[Need]] = frozenset({"model"})

    def __init__(self, setting: Setting) -> None:
        self._loop = ModelLoop(setting, (BASH, SUBMIT), parallel=False)

    async def act(self, task: TaskView, box: Sandbox, log: Conversation) -> str:
        """Work on the task until submit or a limit."""
        return await self._loop.run(prompt(BASH_ONLY, task), task, box, log)
