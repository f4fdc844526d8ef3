"""The engine in this process: what it computes, and that nobody's trouble is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import ModelError, UsageError
from regreen.inference.engine.base import Sampled, Stops
from regreen.inference.engine.lockstep import LockStep, LockStepStream
from regreen.inference.errors import ContextOverflow
from regreen.model import SHAPES, Decoder, ModelConfig, save_checkpoint
from regreen.templates import ByteTokenizer
from regreen.train.compute.forward import flatten, score

T = TypeVar("T")
VOCABULARY = 64
NO_STOPS = Stops()
TINY = SHAPES["1m"].model_copy(
    update={
        "vocab_size": VOCABULARY, "num_hidden_layers": 2, "full_attention_interval": 2,
        "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
        "linear_num_key_heads": 1, "linear_num_value_heads": 2, "linear_key_head_dim": 16,
        "linear_value_head_dim": 16, "num_experts": 4, "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16, "intermediate_size": 64,
    }
)  # fmt: skip


def made(seed: int = 0, config: ModelConfig = TINY, spread: float = 4.0) -> Decoder:
    """A model whose distributions are far from flat."""
    torch.manual_seed(seed)
    model = Decoder(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(spread)
    return model


@pytest.fixture(scope="module")
def model() -> Decoder:
    return made()


def run(work: Coroutine[Any, Any, T], seconds: float = 60.0) -> T:
    """A hang is a failure."""
    return asyncio.run(asyncio.wait_for(work, seconds))


@dataclass
class Played:
    """What went into a stream and came out of it."""

    ids: list[int]
    sampled: list[bool]
    logprobs: list[float]
    experts: Any
    answers: list[Sampled]


async def play(
    engine: LockStep,
    seed: int,
    forced: Sequence[Sequence[int]],
    *,
    max_tokens: int = 5,
    stops: Stops = NO_STOPS,
    between: Callable[[int], Awaitable[object]] = lambda turn: asyncio.sleep(0),
) -> Played:
    """A rollout of several turns."""
    stream = engine.open(seed=seed, stops=stops)
    found = Played([], [], [], None, [])
    for turn, given_ids in enumerate(forced):
        answer = await stream.extend(given_ids, max_tokens=max_tokens)
        found.ids += [*given_ids, *answer.ids]
        found.sampled += [False] * len(given_ids) + [True] * len(answer.ids)
        found.logprobs += [0.0] * len(given_ids) + list(answer.logprobs)
        found.answers.append(answer)
        await between(turn)
    assert stream.ids == found.ids
    found.experts = stream.experts()
    await stream.close()
    return found


async def all_of(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    return list(await asyncio.gather(*works))


def turns(seed: int, count: int = 4, longest: int = 30) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, longest, count)
    return [rng.integers(0, VOCABULARY, size).tolist() for size in sizes]


def difference(
    model: Decoder, played: Sequence[Played], temperature: float, *, replay: bool = False
) -> float:
    """Largest between the engine's log-probabilities and the trainer's."""
    flat = flatten(
        [np.array(one.ids) for one in played],
        [np.array(one.sampled) for one in played],
        [one.experts for one in played] if replay else None,
    )
    with torch.no_grad():
        trainer_M = score(model, flat, temperature=temperature).logprob_M.numpy()
    engine_M = np.concatenate([np.array(p.logprobs)[1:][np.array(p.sampled)[1:]] for p in played])
    return float(np.abs(trainer_M - engine_M).max())


# -- what is computed ----------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("patience", [None, 0.0])
@pytest.mark.parametrize("read_at_once", [2, 10_000])
def test_engine_and_trainer_agree(model, temperature, patience, read_at_once):
    async def work() -> list[Played]:
        engine = LockStep(
            model, max_context=400, temperature=temperature, patience=patience,
            read_at_once=read_at_once, experts=True,
        )  # fmt: skip

        async def tool(turn: int) -> None:
            for _ in range(turn * 3):
                await asyncio.sleep(0)

        # Equal prompts, prompts of one token, long and short ones, and some that come later.
        rollouts = [play(engine, seed, turns(seed % 7), between=tool) for seed in range(12)]
        rollouts += [play(engine, 50, [[3], [], [4, 5]], max_tokens=9)]
        return await all_of(rollouts)

    played = run(work())
    assert difference(model, played, temperature) < 1e-4
    assert difference(model, played, temperature, replay=True) < 1e-4
    assert all(one.experts.shape == (2, len(one.ids) - 1, 2) for one in played)


def test_in_float64_they_are_the_same():
    exact = made(1).double()

    async def work() -> list[Played]:
        engine = LockStep(exact, max_context=300, patience=0.0, experts=True)
        return await all_of([play(engine, seed, turns(seed)) for seed in range(6)])

    played = run(work())
    assert difference(exact, played, 1.0) < 1e-12
    assert difference(exact, played, 1.0, replay=True) < 1e-12


def test_a_model_that_also_guesses_the_token_after_the_next():
    guessing = made(2, TINY.model_copy(update={"num_nextn_predict_layers": 1}))

    async def work() -> list[Played]:
        engine = LockStep(guessing, max_context=300, experts=True)
        return await all_of([play(engine, seed, turns(seed)) for seed in range(3)])

    assert difference(guessing, run(work()), 1.0, replay=True) < 1e-4


def test_a_model_without_experts_records_none():
    dense = made(3, TINY.model_copy(update={"num_experts": 0}))

    async def work() -> Played:
        return await play(LockStep(dense, max_context=99, experts=True), 0, [[1], [2]])

    played = run(work())
    assert played.experts is None
    assert difference(dense, [played], 1.0) < 1e-4


def test_replayed_experts_are_those_that_the_engine_chose():
    """A trainer with other weights would route otherwise; the record wins."""
    model = made(4)

    async def work() -> Played:
        return await play(LockStep(model, max_context=300, experts=True), 0, turns(0))

    played = run(work())
    flat = flatten([np.array(played.ids)], [np.array(played.sampled)], [played.experts])
    with torch.no_grad():
        own = score(model, flat)
        other = score(made(5), flat)
    for layer, (mine, theirs) in enumerate(zip(own.routings, other.routings, strict=True)):
        assert np.array_equal(mine.index_NK.numpy(), played.experts[layer])
        assert np.array_equal(theirs.index_NK.numpy(), played.experts[layer])


@settings(max_examples=10)
@given(
    sizes=st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=4), min_size=1, max_size=9),
    delays=st.lists(st.integers(0, 6), min_size=1, max_size=9),
    read_at_once=st.sampled_from([1, 3, 12]),
)
def test_any_pattern_of_coming_and_going(sizes, delays, read_at_once):
    model = made(6)
    rng = np.random.default_rng(len(sizes))

    async def work() -> list[Played]:
        engine = LockStep(
            model, max_context=999, patience=0.0, read_at_once=read_at_once, experts=True
        )

        async def one(place: int, row: Sequence[int]) -> Played:
            async def tool(turn: int) -> None:
                for _ in range(delays[(place + turn) % len(delays)]):
                    await asyncio.sleep(0)

            await tool(place)
            forced = [rng.integers(0, VOCABULARY, size).tolist() for size in row]
            forced[0] = forced[0] or [0]
            return await play(engine, place, forced, max_tokens=1 + place, between=tool)

        return await all_of([one(place, row) for place, row in enumerate(sizes)])

    played = run(work())
    assert difference(model, played, 1.0, replay=True) < 1e-4


# -- draws ---------------------------------------------------------------------------------------


def test_two_runs_are_identical(model):
    async def work() -> list[Played]:
        engine = LockStep(model, max_context=400)
        return await all_of([play(engine, seed, turns(seed)) for seed in range(8)])

    one, two = run(work()), run(work())
    assert [p.answers for p in one] == [p.answers for p in two]


def test_draws_do_not_depend_on_other_streams(model):
    async def work(others: Sequence[int]) -> Played:
        engine = LockStep(model, max_context=400)
        works = [play(engine, 7, turns(0))]
        works += [play(engine, seed, turns(seed)) for seed in others]
        return (await all_of(works))[0]

    alone = run(work([]))
    for others in ([1, 2, 3], [9, 8], list(range(20, 40))):
        found = run(work(others))
        assert found.ids == alone.ids
        assert np.allclose(found.logprobs, alone.logprobs, atol=1e-4)


def test_what_is_drawn_follows_the_distribution(model):
    """4000 streams with one prompt: shares of the first id beside the model's probabilities."""

    async def work() -> tuple[list[Played], int]:
        engine = LockStep(model, max_context=40, temperature=1.5)
        prompts = [[5, 6, 7]]
        found = await all_of([play(engine, seed, prompts, max_tokens=1) for seed in range(4000)])
        return found, engine.read_tokens

    played, read = run(work())
    assert read == 2 + 4000  # the prompt once, its last token by everybody
    with torch.no_grad():
        wide_V = model(torch.tensor([[5, 6, 7]])).logits[0, -1] / 1.5
    expected_V = wide_V.softmax(-1).numpy()
    counts_V = np.bincount([one.ids[3] for one in played], minlength=VOCABULARY)
    error_V = np.sqrt(expected_V * (1 - expected_V) / 4000) + 1e-4
    assert (np.abs(counts_V / 4000 - expected_V) < 5 * error_V).all()


def test_equal_beginnings_are_read_once(model):
    async def work() -> LockStep:
        engine = LockStep(model, max_context=200)
        same = [play(engine, seed, [list(range(40))], max_tokens=1) for seed in range(300)]
        single = [play(engine, seed, [[9]], max_tokens=1) for seed in range(5)]
        await all_of([*same, *single])
        return engine

    engine = run(work())
    assert engine.read_tokens == 39 + 305
    assert engine.sampled_tokens == 305


# -- ends ----------------------------------------------------------------------------------------


def test_a_stop_id_belongs_to_the_completion(model):
    async def work() -> list[Played]:
        engine = LockStep(model, max_context=400, temperature=5.0)
        stops = Stops(ids=(1, 2, 3, 4, 5, 6, 7, 8))
        return await all_of([play(engine, s, [[s]], max_tokens=30, stops=stops) for s in range(20)])

    reasons = set()
    for played in run(work()):
        (answer,) = played.answers
        reasons.add(answer.finish_reason)
        ends = [token in range(1, 9) for token in answer.ids]
        assert not any(ends[:-1])
        assert ends[-1] == (answer.finish_reason == "stop")
    assert "stop" in reasons


def test_a_stop_on_the_last_allowed_token_is_a_stop(model):
    async def work() -> Played:
        engine = LockStep(model, max_context=400)
        return await play(engine, 0, [[1]], max_tokens=1, stops=Stops(ids=tuple(range(VOCABULARY))))

    (answer,) = run(work()).answers
    assert (len(answer.ids), answer.finish_reason) == (1, "stop")


def test_marks_that_are_text():
    tokenizer = ByteTokenizer()
    wide = made(7, TINY.model_copy(update={"vocab_size": tokenizer.size}), spread=1.0)
    letters = [ord("a"), ord("b"), 0xC3, 0xA9]
    with torch.no_grad():  # of the bytes only these are likely
        mask_V = torch.full((tokenizer.size,), -1.0)
        mask_V[letters] = 1.0
        direction_D = torch.randn(wide.config.hidden_size)
        wide.embedding.weight.copy_(mask_V[:, None] * direction_D + 0.05 * wide.embedding.weight)

    async def work() -> list[Played]:
        engine = LockStep(wide, max_context=400, temperature=3.0, decode=tokenizer.decode)
        stops = Stops(texts=("aba", "éé"))
        return await all_of(
            [play(engine, s, [[97]], max_tokens=60, stops=stops) for s in range(24)]
        )

    ended = set()
    for played in run(work()):
        (answer,) = played.answers
        text = tokenizer.decode(answer.ids)
        marks = [mark for mark in ("aba", "éé") if mark in text]
        assert bool(marks) == (answer.finish_reason == "stop")
        before = tokenizer.decode(answer.ids[:-1])
        assert not any(mark in before for mark in ("aba", "éé"))
        ended |= set(marks)
    assert ended == {"aba", "éé"}


def test_marks_that_are_text_need_a_decoder(model):
    with pytest.raises(UsageError, match="no token"):
        LockStep(model, max_context=9).open(seed=0, stops=Stops(texts=("x",)))


def test_a_full_context_cuts_and_then_refuses_and_the_stream_stays(model):
    async def work() -> None:
        engine = LockStep(model, max_context=20)
        stream = engine.open(seed=0, stops=NO_STOPS)
        with pytest.raises(ContextOverflow):
            await stream.extend(list(range(20)), max_tokens=5)
        first = await stream.extend([1, 2, 3], max_tokens=5)
        assert (len(first.ids), first.finish_reason) == (5, "length")
        with pytest.raises(ContextOverflow):
            await stream.extend(range(12), max_tokens=5)
        assert stream.ids == [1, 2, 3, *first.ids]
        second = await stream.extend([4], max_tokens=50)
        assert (len(stream.ids), second.finish_reason) == (20, "length")
        with pytest.raises(ContextOverflow):
            await stream.extend([], max_tokens=1)
        assert stream.ids == [1, 2, 3, *first.ids, 4, *second.ids]
        await stream.close()

    run(work())


@pytest.mark.parametrize("forced", [[VOCABULARY], [-1], [3, 10**9]])
def test_ids_of_another_vocabulary_are_refused_and_hurt_nobody(model, forced):
    async def work() -> Played:
        engine = LockStep(model, max_context=99)
        other = asyncio.ensure_future(play(engine, 1, turns(1)))
        stream = engine.open(seed=0, stops=NO_STOPS)
        with pytest.raises(UsageError, match="vocabulary"):
            await stream.extend(forced, max_tokens=1)
        assert stream.ids == []
        await stream.close()
        return await other

    assert run(work()).ids


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"forced": []}])
def test_what_cannot_be_asked(model, wrong):
    async def work() -> None:
        stream = LockStep(model, max_context=99).open(seed=0, stops=NO_STOPS)
        with pytest.raises(UsageError):
            await stream.extend(wrong.get("forced", [1]), max_tokens=wrong.get("max_tokens", 1))
        found = await stream.extend([1], max_tokens=1)
        assert len(found.ids) == 1
        await stream.close()
        with pytest.raises(UsageError):
            await stream.extend([1], max_tokens=1)

    run(work())


# -- trouble -------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(0, 12, 2))
@pytest.mark.parametrize("patience", [None, 0.0])
def test_a_cancelled_completion_leaves_nothing_behind(model, steps, patience):
    """Asked again, the stream answers what it would have answered at once."""

    async def rollout(engine: LockStep, *, cancel: bool) -> Played:
        async def between(turn: int) -> None:
            await asyncio.sleep(0)

        stream = engine.open(seed=3, stops=NO_STOPS)
        first = await stream.extend([1, 2, 3], max_tokens=4)
        if cancel:
            asked = asyncio.ensure_future(stream.extend([7] * 4, max_tokens=30))
            for _ in range(2 + steps):
                await asyncio.sleep(0)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert stream.ids == [1, 2, 3, *first.ids]
        second = await stream.extend([8, 9], max_tokens=6)
        ids = [1, 2, 3, *first.ids, 8, 9, *second.ids]
        assert stream.ids == ids
        experts = stream.experts()
        await stream.close()
        sampled = [False] * 3 + [True] * 4 + [False] * 2 + [True] * 6
        logprobs = [0.0] * 3 + [*first.logprobs, 0.0, 0.0, *second.logprobs]
        return Played(ids, sampled, logprobs, experts, [first, second])

    async def work(*, cancel: bool) -> list[Played]:
        engine = LockStep(model, max_context=99, patience=patience, experts=True)
        beside = play(engine, 1, turns(1))
        return await all_of([rollout(engine, cancel=cancel), beside])

    disturbed, beside = run(work(cancel=True))
    quiet, _ = run(work(cancel=False))
    assert disturbed.ids == quiet.ids
    assert difference(model, [disturbed, beside], 1.0, replay=True) < 1e-4


def test_weights_that_are_broken_are_named_and_end_nothing(model):
    """Only sequences that read the broken row of the embedding are concerned."""
    broken = made(0, TINY.model_copy(update={"tie_word_embeddings": False}))
    with torch.no_grad():
        broken.embedding.weight[40] = float("nan")
    prompts = [[1, 2, 3], [1, 40, 2], [40], [5], [40] * 20, [7] * 20]

    async def work(patience: float | None) -> list[Any]:
        engine = LockStep(broken, max_context=99, patience=patience, experts=True)

        async def one(seed: int, prompt: list[int]) -> Played | str:
            stream = engine.open(seed=seed, stops=NO_STOPS)
            ids = []
            try:
                for forced in (prompt, [6], [8]):
                    answer = await stream.extend(forced, max_tokens=3)
                    ids += [*forced, *answer.ids]
            except ModelError as error:
                assert stream.ids == ids
                return str(error)
            finally:
                await stream.close()
            return Played(ids, [], [], None, [])

        return await all_of([one(seed, prompt) for seed, prompt in enumerate(prompts)])

    for patience in (None, 0.0):
        found = run(work(patience))
        named = [place for place, one in enumerate(found) if isinstance(one, str)]
        assert set(named) >= {1, 2, 4}
        assert all("not numbers" in found[place] for place in named)
        # Only who drew the broken token itself may be concerned beside them.
        sound = [one for one in found if not isinstance(one, str)]
        assert sound
        assert all(40 not in one.ids[:-1] for one in sound)


def test_a_model_of_nothing_but_nan_ends_everybody():
    nothing = made(0)
    with torch.no_grad():
        nothing.norm.weight.fill_(float("nan"))

    async def work() -> list[Any]:
        engine = LockStep(nothing, max_context=99)
        streams = [engine.open(seed=seed, stops=NO_STOPS) for seed in range(5)]
        return await asyncio.gather(
            *(stream.extend([1, 2], max_tokens=50) for stream in streams), return_exceptions=True
        )

    assert all("not numbers" in str(one) for one in run(work()))


def test_an_exception_in_the_model_reaches_all_who_wait_and_the_engine_goes_on():
    class Failing(Decoder):
        fails = 0

        def forward(self, *args: Any, **named: Any) -> Any:
            found = super().forward(*args, **named)  # the cache has advanced
            if Failing.fails:
                Failing.fails -= 1
                what = "out of memory"
                raise RuntimeError(what)
            return found

    torch.manual_seed(0)
    failing = Failing(TINY)

    async def work() -> None:
        engine = LockStep(failing, max_context=99)
        streams = [engine.open(seed=seed, stops=NO_STOPS) for seed in range(3)]
        first = await all_of([s.extend([1, 2], max_tokens=3) for s in streams])
        Failing.fails = 1
        found = await asyncio.gather(
            *(s.extend([4], max_tokens=3) for s in streams), return_exceptions=True
        )
        assert all(isinstance(one, ModelError) for one in found)
        assert "out of memory" in str(found[0])
        assert [s.ids for s in streams] == [[1, 2, *answer.ids] for answer in first]
        second = await all_of([s.extend([4], max_tokens=3) for s in streams])
        for seed, (stream, one, two) in enumerate(zip(streams, first, second, strict=True)):
            await stream.close()
            quiet = await play(LockStep(failing, max_context=99), seed, [[1, 2], [4]], max_tokens=3)
            assert quiet.ids == [1, 2, *one.ids, 4, *two.ids]

    run(work())


def test_a_stream_that_is_closed_while_it_is_sampled_from(model):
    async def work() -> Played:
        engine = LockStep(model, max_context=99)
        other = asyncio.ensure_future(play(engine, 1, turns(1)))
        stream = engine.open(seed=0, stops=NO_STOPS)
        asked = asyncio.ensure_future(stream.extend([1], max_tokens=90))
        await asyncio.sleep(0.01)
        await stream.close()
        await stream.close()
        with pytest.raises(ModelError, match="closed"):
            await asked
        return await other

    assert run(work()).ids


def test_an_engine_that_is_closed_tells_all_who_wait(model):
    async def work() -> None:
        engine = LockStep(model, max_context=999)
        idle = engine.open(seed=9, stops=NO_STOPS)  # patience never ends
        asked = [asyncio.ensure_future(play(engine, seed, turns(seed))) for seed in range(4)]
        await asyncio.sleep(0.01)
        await engine.close()
        for found in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(found, ModelError)
        with pytest.raises(UsageError):
            await idle.extend([1], max_tokens=1)
        assert (await play(engine, 0, [[1]])).ids  # another may be opened
        await engine.close()

    run(work())


def test_one_engine_in_several_event_loops(model):
    engine = LockStep(model, max_context=99)
    first = run(play(engine, 0, turns(0)))

    async def abandoned() -> None:
        engine.open(seed=1, stops=NO_STOPS)
        asyncio.ensure_future(play(engine, 2, turns(2)))  # noqa: RUF006 - the loop ends with it
        await asyncio.sleep(0.01)

    run(abandoned())
    run(engine.close())
    assert run(play(engine, 0, turns(0))).ids == first.ids


def test_patience_ends(model):
    """A tool that never returns does not hold the others up."""

    async def work() -> list[Played]:
        engine = LockStep(model, max_context=99, patience=0.001)
        stuck = engine.open(seed=9, stops=NO_STOPS)
        await stuck.extend([1], max_tokens=1)
        found = await all_of([play(engine, seed, turns(seed, 2)) for seed in range(3)])
        again = await stuck.extend([2], max_tokens=1)
        assert stuck.ids[2:] == [2, *again.ids]
        await stuck.close()
        return found

    assert len(run(work())) == 3


def test_without_patience_everybody_waits_for_the_slowest(model):
    async def work() -> bool:
        engine = LockStep(model, max_context=99)
        slow = engine.open(seed=9, stops=NO_STOPS)
        asked = asyncio.ensure_future(play(engine, 0, [[1]]))
        done, _ = await asyncio.wait([asked], timeout=0.05)
        assert not done
        await slow.close()
        return bool((await asked).ids)

    assert run(work())


# -- new weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("by_folder", [False, True])
def test_new_weights_while_rollouts_run(tmp_path: Path, by_folder):
    """What is drawn after the update is what the new weights say of everything before it."""
    model, new = made(0), made(9)
    save_checkpoint(new, tmp_path)

    async def work() -> list[tuple[Played, int]]:
        engine = LockStep(model, max_context=300, patience=0.0, experts=True)
        passed: list[int] = []

        async def one(seed: int) -> Played:
            async def tool(turn: int) -> None:
                if seed == 0 and turn == 1:
                    await change()

            return await play(engine, seed, turns(seed), max_tokens=11, between=tool)

        async def change() -> None:
            passed.extend(len(stream.ids) for stream in engine._open)
            if by_folder:
                await engine.load(tmp_path, version=5)
            else:
                model.load_state_dict(new.state_dict())
                engine.updated(5)

        found = await all_of([one(seed) for seed in range(5)])
        assert engine.version == 5
        return list(zip(found, passed, strict=True))

    seen = set()
    for played, passed in run(work()):
        seen |= {answer.versions for answer in played.answers}
        after = Played(
            played.ids, [s and at >= passed for at, s in enumerate(played.sampled)],
            played.logprobs, played.experts, played.answers,
        )  # fmt: skip
        assert difference(new, [after], 1.0, replay=True) < 1e-4
    assert {(0, 0), (5, 5)} <= seen
    assert (0, 5) in seen


@pytest.mark.parametrize("update", [{"hidden_size": 64}, {"rope_theta": 77.0}])
def test_weights_of_another_model_are_refused_whole(model, tmp_path: Path, update):
    save_checkpoint(made(1, TINY.model_copy(update=update)), tmp_path / "other")
    (tmp_path / "empty").mkdir()
    before = [parameter.clone() for parameter in model.parameters()]

    async def work() -> None:
        engine = LockStep(model, max_context=99)
        for folder in ("other", "empty", "missing"):
            with pytest.raises(ModelError, match="cannot load"):
                await engine.load(tmp_path / folder, version=1)
        assert engine.version == 0

    run(work())
    pairs = zip(before, model.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


def test_experts_of_a_finished_rollout_outlive_an_update(model):
    """Grading takes time; what was drawn was drawn by the old weights' experts."""

    async def work() -> None:
        engine = LockStep(model, max_context=99, experts=True)
        stream = engine.open(seed=0, stops=NO_STOPS)
        await stream.extend([1, 2, 3], max_tokens=4)
        before = stream.experts()
        engine.updated(1)
        assert before is not None
        assert np.array_equal(before, stream.experts())
        await stream.close()

    run(work())


# -- room ----------------------------------------------------------------------------------------


def test_nothing_stays_of_streams_that_are_closed(model):
    async def work() -> LockStep:
        engine = LockStep(model, max_context=400, patience=0.0, experts=True)
        for _ in range(3):
            await all_of([play(engine, seed, turns(seed, 3)) for seed in range(20)])
        await asyncio.sleep(0.01)
        return engine

    engine = run(work())
    assert (engine._open, engine._batch, engine._parked) == ([], None, [])


def test_parked_states_are_packed(model):
    """One slow tool does not keep the states of all that were parked with it."""

    async def work() -> int:
        engine = LockStep(model, max_context=400, patience=0.0)
        streams: list[LockStepStream] = [engine.open(seed=s, stops=NO_STOPS) for s in range(32)]
        driver = engine.open(seed=99, stops=NO_STOPS)
        await all_of([s.extend([1, 2], max_tokens=2) for s in [*streams, driver]])
        await driver.extend([1] * 3, max_tokens=3)  # all others are parked
        for stream in streams[1:]:
            await stream.close()
        await driver.extend([1] * 3, max_tokens=3)
        rows = sum(len(parked.streams) for parked in engine._parked)
        again = await streams[0].extend([4], max_tokens=2)
        assert streams[0].ids[-3:] == [4, *again.ids]
        await engine.close()
        return rows

    assert run(work()) == 1


def test_experts_take_what_they_are_and_little_more(model):
    async def work() -> int:
        engine = LockStep(model, max_context=3000, experts=True)
        stream = engine.open(seed=0, stops=NO_STOPS)
        await stream.extend([1], max_tokens=300)
        held = stream._routes_TLK
        assert held is not None
        found = stream.experts()
        assert found is not None
        assert found.shape == (2, 300, 2)
        await stream.close()
        return held.nbytes

    assert run(work()) <= 2 * (300 * 2 * 2 * 2) + 4096


def test_tokens_are_counted_once(model):
    async def work() -> tuple[LockStep, list[Played]]:
        engine = LockStep(model, max_context=400, patience=0.0)
        found = await all_of([play(engine, seed, turns(seed)) for seed in range(9)])
        return engine, found

    engine, played = run(work())
    assert engine.sampled_tokens == sum(sum(one.sampled) for one in played)
    assert engine.read_tokens == sum(len(one.ids) - 1 for one in played)  # the last is never read


def test_prompts_beyond_one_call(model, monkeypatch):
    """More tokens than one call reads are read in several."""
    monkeypatch.setattr("regreen.inference.engine.lockstep._AT_ONCE", 50)

    async def work() -> list[Played]:
        engine = LockStep(model, max_context=400, experts=True)
        return await all_of([play(engine, s, turns(s, 3, 60)) for s in range(9)])

    assert difference(model, run(work()), 1.0, replay=True) < 1e-4


def test_temperatures_that_are_none(model):
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UsageError, match="temperature"):
            LockStep(model, max_context=9, temperature=wrong)


def test_a_long_run_of_steps_keeps_agreeing(model):
    async def work() -> list[Played]:
        engine = LockStep(model, max_context=2000, experts=True)
        return await all_of([play(engine, s, [[s], [1] * 40], max_tokens=300) for s in range(3)])

    assert difference(model, run(work()), 1.0, replay=True) < 1e-4


def test_versions_never_fall(model):
    async def work() -> list[Played]:
        engine = LockStep(model, max_context=300, patience=0.0)

        async def tool(turn: int) -> None:
            engine.updated(engine.version + 1)

        return await all_of([play(engine, s, turns(s), between=tool) for s in range(3)])

    for played in run(work()):
        flat = [version for answer in played.answers for version in answer.versions]
        assert all(one <= two for one, two in pairwise(flat))
