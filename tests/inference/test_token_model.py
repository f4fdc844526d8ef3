"""What an engine holds is what the conversation says, in every format, whatever is sampled."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from regreen.core.errors import ModelError, UsageError
from regreen.inference.engine.base import Sampled, Stops, TokenStream
from regreen.inference.engine.lockstep import LockStep
from regreen.inference.engine.token_model import TokenModel
from regreen.inference.errors import ContextOverflow
from regreen.inference.messages import MessageList
from regreen.model import Decoder
from regreen.templates import FORMATS, ByteTokenizer, Dialogue, Renderer, tool_format


def _drift() -> ModuleType:
    """``benchmarks/drift.py``, which is no part of a package."""
    path = Path(__file__).parents[2] / "benchmarks" / "drift.py"
    spec = importlib.util.spec_from_file_location("drift_of_rollouts", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # its dataclasses look themselves up
    spec.loader.exec_module(found)
    return found


drift = _drift()
USER = {"role": "user", "content": "Go."}


# -- drift ---------------------------------------------------------------------------------------


class Damaged:
    """An engine whose policy says calls, and errs in every way: cut, doubled, other bytes."""

    version = 0

    def __init__(self, renderer: Renderer, vocabulary: int) -> None:
        self.renderer = renderer
        self.vocabulary = vocabulary

    def open(self, *, seed: int, stops: Stops) -> TokenStream:
        return DamagedStream(self, random.Random(seed), stops)

    async def load(self, checkpoint: Path, *, version: int) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class DamagedStream:
    def __init__(self, engine: Damaged, rng: random.Random, stops: Stops) -> None:
        self.engine = engine
        self.rng = rng
        self.stops = stops

    async def extend(self, forced: Sequence[int], *, max_tokens: int) -> Sampled:
        rng, renderer = self.rng, self.engine.renderer
        calls = [
            {
                "id": rng.choice(["", "call_0", "functions.bash:0", "abcdefghi"]),
                "type": "function",
                "function": {
                    "name": rng.choice(["bash", "look", "none"]),
                    "arguments": {"command": drift.hostile(renderer.form, rng)},
                },
            }
            for _ in range(rng.randrange(3))
        ]
        message = {"role": "assistant", "content": drift.hostile(renderer.form, rng)}
        message |= {"tool_calls": calls} if calls else {}
        tools = [tool.schema() for tool in drift.tools_of(renderer.form, rng)]
        ids = renderer.completion(message, tools)
        for _ in range(rng.choice((0, 0, 1, 3))):
            place = rng.randrange(len(ids) + 1)
            ids[place : place + rng.randrange(3)] = [
                rng.randrange(self.engine.vocabulary) for _ in range(rng.randrange(3))
            ]
        ids = ids[: rng.randrange(1, 200)] if rng.random() < 0.3 else ids
        ends = [place for place, token in enumerate(ids) if token in self.stops.ids]
        ids = ids[: ends[0] + 1] if ends else ids
        ids = ids or [rng.randrange(self.engine.vocabulary)]
        reason = "stop" if ids[-1] in self.stops.ids or rng.random() < 0.2 else "length"
        logprobs = tuple(-rng.random() for _ in ids)
        return Sampled(ids=tuple(ids), logprobs=logprobs, finish_reason=reason)  # type: ignore[arg-type]

    def experts(self) -> None:
        return None

    async def close(self) -> None:
        pass


class Saying(Damaged):
    """An engine that says one thing."""

    def __init__(self, renderer: Renderer, ids: Sequence[int]) -> None:
        super().__init__(renderer, 256)
        self.ids = tuple(ids)

    def open(self, *, seed: int, stops: Stops) -> TokenStream:
        return SayingStream(self, random.Random(seed), stops)


class SayingStream(DamagedStream):
    async def extend(self, forced: Sequence[int], *, max_tokens: int) -> Sampled:
        assert isinstance(self.engine, Saying)
        said = self.engine.ids
        return Sampled(ids=said, logprobs=(0.0,) * len(said), finish_reason="stop")


def fine(found: Counter[str], rollouts: int) -> bool:
    assert found["rollouts"] == rollouts
    return not found["drifted"]


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_drifts_where_a_model_samples(name):
    form = tool_format(name)
    make = drift.maker(form, ByteTokenizer(form.chat.specials), 0, 1.5)
    found = asyncio.run(drift.play(make, range(8)))
    assert fine(found, 8), found
    assert found["text"] > 0  # random bytes are no text: who encodes again loses them


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_drifts_where_calls_are_said_and_damaged(name):
    form = tool_format(name)
    tokenizer = ByteTokenizer(form.chat.specials)
    renderer = Renderer(form, tokenizer)
    engine: Any = Damaged(renderer, tokenizer.size)
    make = drift.Maker(renderer, engine, show_tools=True, again=drift.encoder(tokenizer))
    found = asyncio.run(drift.play(make, range(24)))
    assert fine(found, 24), found
    assert found["calling"] > 3 or form.name in {"aider_diff", "apply_patch"}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_nothing_drifts_in_ten_thousand_rollouts(name):
    found = drift.measure(name, 10_000, 1.5)
    assert fine(found, 10_000), found


@pytest.mark.slow
def test_nothing_drifts_in_a_large_vocabulary():
    found = drift.qwen(tuple(FORMATS), 4, 1.5)
    assert fine(found, 4 * len(FORMATS)), found


def test_ids_of_calls_that_were_sampled_survive_a_replay():
    """Results answer the ids that the model wrote, not those that the format would have."""
    form = tool_format("kimik2")
    renderer = Renderer(form, ByteTokenizer(form.chat.specials))
    function = {"name": "bash", "arguments": {"command": "ls"}}
    call = {"id": "functions.bash:7", "type": "function", "function": function}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    ids = renderer.completion(said, None)
    text = renderer.tokenizer.decode(ids).replace("bash:0", "bash:7")
    ids = (
        [*renderer.tokenizer.encode(text)]
        if "bash:7" not in text
        else drift.encoder(renderer.tokenizer)(renderer.tokenizer.encode(text))
    )
    dialogue = Dialogue(renderer, None, [USER])
    parsed = dialogue.sampled(ids)
    assert [one.id for one in parsed.tool_calls] == ["functions.bash:7"]
    dialogue.append({"role": "tool", "tool_call_id": "functions.bash:7", "content": "a"})
    again = Dialogue.replay(renderer, None, dialogue.messages, dialogue.turns())
    assert again.prompt_ids == dialogue.prompt_ids
    assert "bash:7" in renderer.tokenizer.decode(again.new_ids)


# -- the model of an agent -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    form = tool_format("hermes")
    return Renderer(form, ByteTokenizer(form.chat.specials))


@pytest.fixture(scope="module")
def policy(renderer: Renderer) -> Decoder:
    torch.manual_seed(0)
    return Decoder(drift.shape(renderer.tokenizer.size))


def engine_of(policy: Decoder, max_context: int = 2000) -> LockStep:
    return LockStep(policy, max_context=max_context, temperature=1.5, patience=0.0)


def test_a_conversation_goes_on_where_it_stood(renderer, policy):
    async def work() -> None:
        model = TokenModel(engine_of(policy), renderer, seed=0, max_tokens=6)
        messages = MessageList([USER])
        sizes = []
        for turn in range(3):
            answer = await model.complete(messages, [], max_tokens=4 if turn else None)
            assert answer.prompt_len == answer.usage.prompt_tokens
            sizes.append(len(answer.completion_ids or ()))
            messages.append(answer.message)
            messages.append({"role": "user", "content": f"more {turn}"})
        assert model.dialogue is not None
        assert [sample.ids for sample in model.dialogue.samples] == [s.ids for s in model.sampled]
        assert sizes[0] <= 6
        assert max(sizes[1:]) <= 4
        await model.close()

    asyncio.run(work())


def test_a_history_that_was_rewritten_is_refused(renderer, policy):
    async def work() -> None:
        model = TokenModel(engine_of(policy), renderer, seed=0, max_tokens=6)
        answer = await model.complete(MessageList([USER]), [])
        for wrong in (
            [],
            [USER],
            [{"role": "user", "content": "Other."}, answer.message],
            [USER, {"role": "user", "content": "The answer is missing."}],
        ):
            with pytest.raises(UsageError):
                await model.complete(MessageList(wrong), [])
            model = TokenModel(engine_of(policy), renderer, seed=0, max_tokens=6)
            answer = await model.complete(MessageList([USER]), [])
        await model.close()

    asyncio.run(work())


def test_answers_of_the_prompt_are_not_taken_for_its_own(renderer, policy):
    async def work() -> None:
        model = TokenModel(engine_of(policy), renderer, seed=0, max_tokens=6)
        shown = [USER, {"role": "assistant", "content": "An example."}, USER]
        messages = MessageList(shown)
        answer = await model.complete(messages, [])
        messages.append(answer.message)
        messages.append(USER)
        await model.complete(messages, [])
        assert model.dialogue is not None
        assert [one["content"] for one in model.dialogue.messages[:3]] == [
            "Go.", "An example.", "Go.",
        ]  # fmt: skip
        assert len(model.dialogue.samples) == 2
        await model.close()

    asyncio.run(work())


def test_a_cancelled_question_can_be_asked_again(renderer, policy):
    async def ask(*, cancel: bool) -> tuple[list[int], list[int]]:
        model = TokenModel(engine_of(policy), renderer, seed=5, max_tokens=30)
        messages = MessageList([USER])
        answer = await model.complete(messages, [])
        messages.append(answer.message)
        messages.append({"role": "user", "content": "And?"})
        if cancel:
            asked = asyncio.ensure_future(model.complete(messages, []))
            await asyncio.sleep(0.01)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
        await model.complete(messages, [])
        assert model.dialogue is not None
        held = list(model._stream.ids)  # type: ignore[attr-defined]
        await model.close()
        return model.dialogue.ids, held

    said, held = asyncio.run(ask(cancel=True))
    assert said == held
    assert (said, held) == asyncio.run(ask(cancel=False))


def test_a_full_context_is_named_and_changes_nothing(renderer, policy):
    async def work() -> None:
        model = TokenModel(engine_of(policy, 120), renderer, seed=0, max_tokens=30)
        messages = MessageList([USER])
        answer = await model.complete(messages, [])
        messages.append(answer.message)
        assert model.dialogue is not None
        before = model.dialogue.ids
        messages.append({"role": "user", "content": "x" * 200})
        with pytest.raises(ContextOverflow):
            await model.complete(messages, [])
        assert model.dialogue.ids == before == model._stream.ids  # type: ignore[attr-defined]
        await model.close()

    asyncio.run(work())


def test_a_failure_of_the_engine_passes_through(renderer, policy):
    async def work() -> None:
        engine = engine_of(policy)
        model = TokenModel(engine, renderer, seed=0, max_tokens=500)
        asked = asyncio.ensure_future(model.complete(MessageList([USER]), []))
        await asyncio.sleep(0.01)
        await engine.close()
        with pytest.raises(ModelError):
            await asked
        assert not model.sampled

    asyncio.run(work())


def test_arguments_without_end_are_still_an_answer(renderer):
    """Nested as deep as a model likes; the loop gets JSON text or no call, never an exception."""
    tokenizer = renderer.tokenizer
    for depth in (100, 900, 5000, 100_000):
        text = '<tool_call>\n{"name": "bash", "arguments": {"command": '
        text += "[" * depth + "]" * depth + "}}\n</tool_call>"
        ids = drift.encoder(tokenizer)(tokenizer.encode(text))

        engine: Any = Saying(renderer, ids)
        model = TokenModel(engine, renderer, seed=0, max_tokens=9)
        answer = asyncio.run(model.complete(MessageList([USER]), []))
        assert answer.message["role"] == "assistant"
