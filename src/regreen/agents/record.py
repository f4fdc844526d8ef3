"""The record of one rollout while it grows: messages, turns and a live log.

The log gets one appended line per message, in one write, so a step costs the same at turn 250 as
at turn 1 and a killed process leaves whole lines. A second attempt appends a new header to the
same file; readers take what follows the last one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import InfrastructureError, boundary
from regreen.core.trajectory import Incident, Observation, Turn, Usage
from regreen.inference.completion import Completion
from regreen.inference.messages import Message, MessageList, encode

__all__ = ["LOG_SCHEMA", "Conversation"]

LOG_SCHEMA = {"schema_name": "regreen.log", "schema_version": 1}
"""First keys of a live log's header line."""


class Conversation:
    """Messages, each once, with the turns that point into them.

    Args:
        path: the live log to append to; None keeps the record in memory only.
        rollout_id: named in the log's header.
        clock: tells the time of each message.
    """

    def __init__(
        self, path: Path | None = None, *, rollout_id: str = "", clock: Clock | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._begin = self._clock.monotonic()
        self._file = -1
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.started_at = self._clock.now().isoformat(timespec="seconds")
        self._write(encode(LOG_SCHEMA | {"rollout_id": rollout_id, "started_at": self.started_at}))
        self.news: Callable[[], Sequence[str]] = tuple
        """Asked at every observation for what the model should know, such as a refused request."""
        self.messages = MessageList()
        self.tools: tuple[Message, ...] = ()
        self.usage = Usage()
        self.cost = 0.0
        self._turns: list[Turn] = []
        self._incidents: list[Incident] = []
        self._said: list[Incident] = []
        self._answer: Completion | None = None
        self._start = 0
        self._observations: list[Observation] = []

    def __enter__(self) -> Conversation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def elapsed(self) -> float:
        """Wall seconds since the record began."""
        return self._clock.monotonic() - self._begin

    def offer(self, tools: Sequence[Message]) -> None:
        """Keep what the model may call, in OpenAI shape: without it no call can be retold."""
        self.tools = tuple(tools)

    def add(self, message: Message) -> None:
        """Append a message that is neither an answer nor an observation."""
        self._append(message, {})

    def answer(self, completion: Completion) -> None:
        """Append the model's message and open a turn with it."""
        self._close_turn()
        self._answer = completion
        self._start = len(self.messages)
        used = completion.usage
        self.usage = Usage(
            prompt_tokens=self.usage.prompt_tokens + used.prompt_tokens,
            completion_tokens=self.usage.completion_tokens + used.completion_tokens,
        )
        self.cost += completion.cost
        self._append(
            completion.message,
            {
                "finish_reason": completion.finish_reason,
                "usage": used.model_dump(),
                "seconds": round(completion.seconds, 6),
            },
        )

    def observe(self, observation: Observation, text: str) -> None:
        """Append what a call of the open turn returned, and what there is to be told beside."""
        for line in self.news():
            text += f"\n[{line}]"
        self._observations.append(observation)
        message = {"role": "tool", "tool_call_id": observation.call_id, "content": text}
        beside = observation.model_dump(exclude={"call_id"}, exclude_defaults=True)
        said = [each for each in self._said if each.call_id == observation.call_id]
        if said:
            beside["incidents"] = [each.model_dump(exclude_defaults=True) for each in said]
            self._said = [each for each in self._said if each not in said]
        self._append(message, beside)

    def incident(self, incident: Incident) -> None:
        """Keep what the guard saw; it goes to the live log beside its call's observation."""
        self._incidents.append(incident)
        self._said.append(incident)

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """What the guard saw so far."""
        return tuple(self._incidents)

    def turns(self) -> tuple[Turn, ...]:
        """All turns so far, the open one closed."""
        self._close_turn()
        return tuple(self._turns)

    @property
    def num_turns(self) -> int:
        """Answers so far."""
        return len(self._turns) + (self._answer is not None)

    def _close_turn(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        self._turns.append(
            Turn(
                start=self._start,
                end=len(self.messages),
                finish_reason=answer.finish_reason,
                usage=answer.usage,
                model_seconds=answer.seconds,
                tool_seconds=sum(o.seconds for o in self._observations),
                observations=tuple(self._observations),
                prompt_len=answer.prompt_len,
                completion_ids=answer.completion_ids,
                logprobs=answer.logprobs,
            )
        )
        self._observations = []

    def _append(self, message: Message, beside: Message) -> None:
        encoded = self.messages.append(message)
        head = encode({"at": round(self.elapsed(), 6)} | beside)
        self._write(head[:-1] + b',"message":' + encoded + b"}")

    def _write(self, line: bytes) -> None:
        if self._file >= 0:
            with boundary(InfrastructureError, "the live log cannot be written"):
                os.write(self._file, line + b"\n")
