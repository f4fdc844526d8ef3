"""Solutions and inputs from a model: what the synthesis of tests votes with and on.

Any ``Model`` will do: an endpoint's client, or the policy itself. Samples differ by their seed
alone, so the same seed gives the same candidates wherever the model keeps its promise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from regreen.agents.base import Model
from regreen.inference.messages import Message, MessageList
from regreen.train.code.answer import fenced_blocks, read_answer
from regreen.train.code.problems import Problem

__all__ = ["Proposed", "propose_inputs", "sample_solutions"]

_ASK = (
    "Propose {count} inputs that would test a solution of this problem well: ordinary ones, small "
    "ones and edge cases that the statement allows. Give no outputs. "
)
_CALLS = (
    "Write one call per line, such as `{name}(1, [2, 3])`, with literal values only, in one "
    "fenced block."
)
_TEXTS = "Write each whole input in a fenced block of its own."


@dataclass(frozen=True, slots=True)
class Proposed:
    """What a model gave."""

    texts: tuple[str, ...]
    """Programs, or inputs."""
    faults: int = 0
    """Answers that held none."""


async def sample_solutions(
    problem: Problem,
    model: Model,
    messages: Callable[[Problem], Sequence[Message]],
    *,
    count: int,
    seed: int,
    max_tokens: int | None = None,
) -> Proposed:
    """Ask for a solution ``count`` times.

    Args:
        problem: what is asked.
        model: who answers.
        messages: how it is asked, for example ``CodeStage.messages``.
        count: how often.
        seed: of the first sample; the others count up from it.
        max_tokens: of each answer; a cut one is left out.

    Raises:
        ModelError: the model failed.
    """
    texts, faults = [], 0
    for number in range(count):
        asked = MessageList(messages(problem))
        completion = await model.complete(asked, (), seed=seed + number, max_tokens=max_tokens)
        answer = read_answer(str(completion.message.get("content") or ""))
        if completion.finish_reason == "length" or answer.fault:
            faults += 1
        else:
            texts.append(answer.program)
    return Proposed(tuple(texts), faults)


async def propose_inputs(
    problem: Problem, model: Model, *, count: int, seed: int, max_tokens: int | None = None
) -> Proposed:
    """Ask once for inputs; what is no input is found out by ``synthesise``.

    Raises:
        ModelError: the model failed.
    """
    how = _CALLS.format(name=problem.entry_point) if problem.kind == "function" else _TEXTS
    text = f"{_ASK.format(count=count)}{how}\n\n{problem.prompt}"
    asked = MessageList([{"role": "user", "content": text}])
    completion = await model.complete(asked, (), seed=seed, max_tokens=max_tokens)
    said = str(completion.message.get("content") or "")
    blocks = [block.content for block in fenced_blocks(said) if block.closed]
    if problem.kind == "function":
        found = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    else:
        found = blocks
    return Proposed(tuple(found[:count]), int(not found))
