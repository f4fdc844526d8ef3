"""``oracle``: applies the gold patch. A sound task scores it 1."""

from __future__ import annotations

from typing import ClassVar

from regreen.agents.base import Need, Setting, TaskView
from regreen.agents.record import Conversation
from regreen.core.errors import TaskError
from regreen.sandbox.base import Sandbox

__all__ = ["Oracle"]


class Oracle:
    """Puts the gold patch into the box; from there on it is graded like any agent."""

    name = "oracle"
    needs: ClassVar[frozenset[Need]] = frozenset({"gold"})

    def __init__(self, setting: Setting) -> None:
        self._patch = setting.gold_patch

    async def act(self, task: TaskView, box: Sandbox, log: Conversation) -> str:
        """Apply the gold patch.

        Raises:
            TaskError: it does not apply to the tree the agent is given.
        """
        log.add({"role": "user", "content": task.problem_statement})
        applied = await box.exec(
            ["git", "apply", "--whitespace=nowarn", "-"],
            cwd=task.workdir,
            stdin=self._patch.encode("utf-8", "surrogateescape"),
        )
        if applied.exit_code != 0:
            said = applied.stderr.decode("utf-8", "replace").strip()
            msg = f"the gold patch does not apply: {said}"
            raise TaskError(msg, mend="rebuild the task with `regreen tasks validate`")
        return "submitted"
