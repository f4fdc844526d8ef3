"""What the model-driven agents tell their model.

The words promise nothing about tests: hidden ones may check behaviour the statement only implies,
and a promise that visible ones exist sends a model looking for what is not there.
"""

from __future__ import annotations

from regreen.agents.base import TaskView
from regreen.inference.messages import Message

__all__ = ["BASH_ONLY", "WITH_TOOLS", "prompt"]

BASH_ONLY = """\
You repair software from a shell. Call exactly one tool in each answer: bash, or submit when the \
work is done. Every command starts in a fresh shell in the repository: directory changes and \
variables are forgotten, files stay. Nobody can answer questions, and there is no network."""

WITH_TOOLS = """\
You repair software with the tools given. Calls that do not depend on each other may go into one \
answer. Every bash command starts in a fresh shell in the repository: directory changes and \
variables are forgotten, files stay. Nobody can answer questions, and there is no network. Call \
submit when the work is done."""

_TASK = """\
In {workdir} lies the source code of {repo}. This was reported:

<report>
{statement}
</report>

Change the source code so that the report no longer holds.

1. Read the code concerned, and see the fault happen with a small script of your own.
2. Mend the cause and not only the case that was reported; leave unrelated code as it is.
3. Run your script again, look for neighbouring cases, and delete files you no longer need.
4. Call submit. What stands in {workdir} then is your answer; text you print is not looked at."""


def prompt(system: str, task: TaskView) -> list[Message]:
    """The opening messages of a conversation."""
    text = _TASK.format(
        workdir=task.workdir,
        repo=task.repo or "a project",
        statement=task.problem_statement.strip(),
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]
