"""The loop of every agent that is driven by a model: ask, carry out the calls, repeat.

Limits stand here and not in the box, where an agent could reach them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby

from regreen.agents import outcomes
from regreen.agents.base import Model, Setting, TaskView
from regreen.agents.blocking import refusal
from regreen.agents.outcomes import (
    Finished,
    RepeatedErrors,
    Submitted,
    TimeLimit,
    TokenLimit,
    TurnLimit,
)
from regreen.agents.prompted import PromptedModel
from regreen.agents.record import Conversation
from regreen.agents.tools import Context, Result, Tool, Toolbox
from regreen.core.errors import AgentError
from regreen.core.trajectory import Observation
from regreen.inference.completion import Completion
from regreen.inference.errors import ContextOverflow
from regreen.inference.messages import Message
from regreen.sandbox.base import Sandbox
from regreen.templates import tool_format

__all__ = ["ModelLoop"]

_REMINDER = "Your answer called no tool. Go on with a tool call; call submit when you are done."
_CUT = "Your answer was cut off at its length limit before a tool call. Answer more briefly."
_ONE_CALL = "Refused: one call per answer. Only the first call was carried out."
_AFTER_SUBMIT = "Refused: the work was already submitted by an earlier call of this answer."


class ModelLoop:
    """Drives a model through a toolbox until something ends it.

    Args:
        setting: limits, seed and, unless given apart, the model.
        tools: what the model may call.
        parallel: whether one answer may hold several calls.
        model: who answers in place of the setting's client.
    """

    def __init__(
        self,
        setting: Setting,
        tools: Sequence[Tool],
        *,
        parallel: bool,
        model: Model | None = None,
    ) -> None:
        chosen = model or setting.client
        if chosen is None:
            msg = "this agent needs a model"
            raise AgentError(msg, mend="give --base-url and --model")
        if setting.tool_format and model is None:
            chosen = PromptedModel(chosen, tool_format(setting.tool_format))
        self._model = chosen
        self._setting = setting
        self._toolbox = Toolbox(tools)
        self._parallel = parallel
        self._errors = 0

    async def run(
        self, prompt: Sequence[Message], task: TaskView, box: Sandbox, log: Conversation
    ) -> str:
        """Work until an outcome, and return it.

        Raises:
            ModelError: the endpoint failed.
            InfrastructureError: the box did.
        """
        log.offer(self._toolbox.schemas)
        for message in prompt:
            log.add(message)
        limits = self._setting.limits
        deadline = log.elapsed() + limits.seconds
        context = Context(
            box=box,
            limits=limits,
            workdir=task.workdir,
            remaining=lambda: deadline - log.elapsed(),
        )
        try:
            while True:
                await self._step(context, log)
        except Finished as outcome:
            return outcome.status

    async def _step(self, context: Context, log: Conversation) -> None:
        self._check_limits(context, log)
        completion = await self._ask(context, log)
        calls = completion.message.get("tool_calls", [])
        results = await self._carry_out(context, calls, log)
        if any(result.submitted for result in results):
            raise Submitted
        if not calls:
            cut = completion.finish_reason == "length"
            log.add({"role": "user", "content": _CUT if cut else _REMINDER})
        tried = [result for result in results if not result.refused]
        if tried or not results:
            self._errors = self._errors + 1 if all(result.error for result in tried) else 0
        if self._errors >= context.limits.repeated_errors:
            raise RepeatedErrors

    def _check_limits(self, context: Context, log: Conversation) -> None:
        limits = context.limits
        if context.remaining() <= 0:
            raise TimeLimit
        if log.num_turns >= limits.turns:
            raise TurnLimit
        tokens = limits.completion_tokens
        if tokens is not None and log.usage.completion_tokens >= tokens:
            raise TokenLimit

    async def _ask(self, context: Context, log: Conversation) -> Completion:
        tokens = context.limits.completion_tokens
        left = None if tokens is None else tokens - log.usage.completion_tokens
        # Not asyncio.timeout: a TimeoutError of the endpoint's own would be taken for ours.
        ask = asyncio.ensure_future(
            self._model.complete(
                log.messages, self._toolbox.schemas, seed=self._setting.seed, max_tokens=left
            )
        )
        try:
            done, _ = await asyncio.wait([ask], timeout=max(0.0, context.remaining()))
            if not done:
                raise TimeLimit
            completion = ask.result()
        except ContextOverflow as exc:
            raise outcomes.ContextOverflow from exc
        finally:
            ask.cancel()
        log.answer(completion)
        return completion

    async def _carry_out(
        self, context: Context, calls: list[Message], log: Conversation
    ) -> list[Result]:
        """Run an answer's calls in order; neighbours that only read run at the same time."""
        results: list[Result] = []
        for reads_only, group in groupby(calls, key=self._toolbox.reads_only):
            members = list(group)
            width = len(members) if reads_only else 1
            for i in range(0, len(members), width):
                part = members[i : i + width]
                refusal = self._refusal(results)
                if refusal:
                    done = [_refused(call, refusal) for call in part]
                else:
                    done = await asyncio.gather(*(self._run(context, call, log) for call in part))
                for result, observation in done:
                    log.observe(observation, result.text)
                    results.append(result)
        return results

    async def _run(
        self, context: Context, call: Message, log: Conversation
    ) -> tuple[Result, Observation]:
        """Carry out one call, unless the blocker refuses it."""
        refused = await refusal(self._setting.blocker, context, call, log)
        return refused or await self._toolbox.run(context, call)

    def _refusal(self, results: list[Result]) -> str:
        if any(result.submitted for result in results):
            return _AFTER_SUBMIT
        return "" if self._parallel or not results else _ONE_CALL


def _refused(call: Message, why: str) -> tuple[Result, Observation]:
    observation = Observation(call_id=call["id"], tool=call["function"]["name"], error=True)
    return Result(text=why, error=True), observation
