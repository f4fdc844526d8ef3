"""Tools: what a model may call, and how a call becomes an observation.

A call that cannot be carried out is answered with what was wrong and how to call rightly; it
never raises. Only the box itself failing does.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import InfrastructureError
from regreen.core.trajectory import Observation
from regreen.inference.messages import Message

if TYPE_CHECKING:
    from regreen.agents.base import Limits
    from regreen.sandbox.base import Sandbox

__all__ = ["BASH", "SUBMIT", "Context", "Result", "Tool", "Toolbox", "cut", "run_bash"]

_QUIET = {"PAGER": "cat", "GIT_PAGER": "cat", "TERM": "dumb", "PIP_PROGRESS_BAR": "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a tool works with."""

    box: Sandbox
    """The box of this rollout."""
    limits: Limits
    """What a call may use."""
    workdir: str
    """Where relative paths begin."""
    remaining: Callable[[], float] = lambda: float("inf")
    """Wall seconds left to the rollout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one call returned."""

    text: str
    """What the model is shown."""
    exit_code: int | None = None
    """Exit status, for tools that run a command."""
    error: bool = False
    """True when the call could not be carried out."""
    submitted: bool = False
    """True when the call ends the rollout."""
    refused: bool = False
    """True when the blocker kept the call from running."""


Run = Callable[[Context, Mapping[str, Any]], Awaitable[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One function the model may call."""

    name: str
    """As the model calls it."""
    description: str
    """What the model is told about it."""
    parameters: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Name to ``(JSON type, description)``."""
    required: tuple[str, ...] = ()
    """Parameters that must be given."""
    run: Run
    """Carries out a call whose arguments fit ``parameters``."""
    reads_only: bool = False
    """True lets neighbours of its kind run at the same time."""

    def schema(self) -> Message:
        """The function in OpenAI's shape."""
        properties = {
            name: {"type": kind, "description": text}
            for name, (kind, text) in self.parameters.items()
        }
        parameters = {
            "type": "object",
            "properties": properties,
            "required": list(self.required),
            "additionalProperties": False,
        }
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}

    def usage(self) -> str:
        """The call in one line, for an answer to a malformed one."""
        given = [n if n in self.required else f"[{n}]" for n in self.parameters]
        return f"{self.name}({', '.join(given)})"


def cut(text: str, limit: int, *, dropped: int = 0) -> str:
    """Keep the head and the tail of a text of more than ``limit`` characters.

    Args:
        text: what to shorten.
        limit: characters to keep.
        dropped: bytes that were already cut out of its middle.
    """
    if len(text) <= limit and not dropped:
        return text
    half = limit // 2
    gone = max(0, len(text) - 2 * half) + dropped
    return f"{text[:half]}\n[… {gone} characters left out …]\n{text[-half:]}"


async def run_bash(context: Context, arguments: Mapping[str, Any]) -> Result:
    """Run one command in a fresh shell, its two streams in the order they were written."""
    limits = context.limits
    allowed = max(0.01, min(limits.command_seconds, context.remaining()))
    ran = await context.box.exec(
        ["bash", "-c", f"exec 2>&1\n{arguments['command']}"],
        cwd=context.workdir,
        env=_QUIET,
        timeout=allowed,
        output_limit=4 * limits.output_characters,  # bytes: four hold any character
    )
    output = (ran.stdout + ran.stderr).decode("utf-8", "replace")
    head = f"[exit code {ran.exit_code}]"
    if ran.timed_out:
        head = f"[killed after {allowed:g} s, with everything it had started]"
    elif ran.out_of_memory:
        head += " [the memory limit was hit]"
    text = f"{head}\n{cut(output, limits.output_characters, dropped=ran.dropped)}"
    return Result(text=text, exit_code=ran.exit_code, error=ran.timed_out)


async def _submit(context: Context, arguments: Mapping[str, Any]) -> Result:
    return Result(text="Submitted.", submitted=True)


BASH = Tool(
    name="bash",
    description=(
        "Run a command with bash, in a fresh shell that starts in the repository. Directory changes"
        " and variables do not carry over to the next call; files do."
    ),
    parameters={"command": ("string", "What to run; several lines are allowed.")},
    required=("command",),
    run=run_bash,
)
SUBMIT = Tool(
    name="submit",
    description="Hand in the repository as it stands now. This ends the work.",
    parameters={"message": ("string", "What was changed and why, in a sentence or two.")},
    run=_submit,
)

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "number": (int, float),
}


class Toolbox:
    """The tools of one agent."""

    def __init__(self, tools: Sequence[Tool], *, clock: Clock | None = None) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._clock = clock or SystemClock()
        self.schemas = tuple(tool.schema() for tool in tools)
        """What the model is told."""

    def reads_only(self, call: Message) -> bool:
        """Whether a call leaves the box as it is."""
        tool = self._tools.get(call["function"]["name"])
        return tool is not None and tool.reads_only

    async def run(self, context: Context, call: Message) -> tuple[Result, Observation]:
        """Carry out one call of an assistant message."""
        name, text = call["function"]["name"], call["function"]["arguments"]
        begin = self._clock.monotonic()
        result = await self._result(context, name, text)
        observation = Observation(
            call_id=call["id"],
            tool=name,
            exit_code=result.exit_code,
            seconds=self._clock.monotonic() - begin,
            error=result.error,
        )
        return result, observation

    async def _result(self, context: Context, name: str, text: str) -> Result:
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(self._tools)
            return Result(text=f"There is no tool {name!r}. The tools are: {known}.", error=True)
        arguments = _arguments(tool, text)
        if isinstance(arguments, str):
            return Result(text=f"{arguments} Call it as {tool.usage()}.", error=True)
        try:
            return await tool.run(context, arguments)
        except InfrastructureError as exc:
            # A box that still answers has not failed: the agent has filled its disk, for example.
            if (await context.box.exec(["true"])).exit_code != 0:
                raise
            return Result(text=f"{tool.name} failed: {exc}.", error=True)


def _arguments(tool: Tool, text: str) -> dict[str, Any] | str:
    """The decoded arguments, or the sentence that says what is wrong with them."""
    try:
        arguments = json.loads(text or "{}")
    except ValueError as exc:
        return f"The arguments of {tool.name} are not JSON: {exc}."
    if not isinstance(arguments, dict):
        return f"The arguments of {tool.name} are not a JSON object."
    missing = [name for name in tool.required if name not in arguments]
    unknown = [name for name in arguments if name not in tool.parameters]
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has no parameter {', '.join(unknown)}"] if unknown else []
        return f"{tool.name} {' and '.join(parts)}."
    for name, value in arguments.items():
        kind = tool.parameters[name][0]
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            return f"The argument {name} of {tool.name} is not of type {kind}."
    return arguments
