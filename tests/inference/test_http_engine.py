"""The engine over HTTP against a real server that computes with our own model."""

from __future__ import annotations

import asyncio
import json
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import ModelError, UsageError
from regreen.inference import Endpoint
from regreen.inference.engine.base import Stops
from regreen.inference.engine.http import HttpEngine
from regreen.inference.engine.http_dialect import Ask
from regreen.inference.engine.http_sglang import Sglang
from regreen.inference.engine.http_vllm import Vllm
from regreen.inference.errors import ContextOverflow, EndpointUnreachable, MalformedAnswer
from regreen.model import save_checkpoint
from regreen.train.compute.forward import flatten, score

BOTH = pytest.mark.parametrize("kind", ["vllm", "sglang"])
NO_STOPS = Stops()


def engine(server, *, temperature=1.5, experts=False, retry=5.0, **options) -> HttpEngine:
    endpoint = Endpoint(base_url=server.base_url, model="policy", retry_seconds=retry, **options)
    shape = server.model.config if experts else None
    return HttpEngine(endpoint, temperature=temperature, policy=shape)


def run(server, play, **options):
    """What ``play`` does with a checked engine."""

    async def go():
        made = engine(server, **options)
        try:
            await made.check()
            return await play(made)
        finally:
            await made.close()

    return asyncio.run(go())


def rescored(model, ids, start, count, *, temperature=1.5, experts=None) -> np.ndarray:
    """What the trainer finds of ``count`` tokens from ``start`` on."""
    counted = np.zeros(len(ids), bool)
    counted[start : start + count] = True
    routes = None if experts is None else [experts]
    with torch.no_grad():
        flat = flatten([np.array(ids)], [counted], routes)
        return score(model, flat, temperature=temperature).logprob_M.numpy()


@BOTH
def test_ids_come_back_and_are_as_likely_as_the_trainer_finds_them(token_server, kind):
    server = token_server(kind)
    forced = [[1, 2, 3], [7], [60, 61, 62, 63]]

    async def play(made):
        stream = made.open(seed=3, stops=Stops(ids=(5, 9)))
        turns = [await stream.extend(ids, max_tokens=9) for ids in forced]
        return stream.ids, turns, stream.experts(), made.sampled_tokens, made.read_tokens

    ids, turns, experts, sampled, read = run(server, play, experts=True)
    assert ids == [token for f, t in zip(forced, turns, strict=True) for token in (*f, *t.ids)]
    at = 0
    for turn, given_ids in zip(turns, forced, strict=True):
        at += len(given_ids)
        found = rescored(server.model, ids, at, len(turn.ids))
        assert np.abs(found - turn.logprobs).max() < 1e-4
        assert (turn.finish_reason == "stop") == (turn.ids[-1] in {5, 9})
        assert not {5, 9} & set(turn.ids[:-1])
        at += len(turn.ids)
    assert sampled == sum(len(turn.ids) for turn in turns)
    assert read == len(ids)
    with torch.no_grad():
        routings = server.model(torch.tensor([ids[:-1]])).routings
    assert experts.dtype == np.int16
    assert np.array_equal(experts, np.stack([r.index_NK.numpy() for r in routings]))
    first = rescored(server.model, ids, 3, len(turns[0].ids), experts=experts)
    assert np.abs(first - turns[0].logprobs).max() < 1e-4


@BOTH
def test_draws_follow_the_seed_and_what_stands(token_server, kind):
    async def play(made):
        async def one(seed):
            stream = made.open(seed=seed, stops=NO_STOPS)
            return [(await stream.extend([4], max_tokens=8)).ids for _ in range(2)]

        return await asyncio.gather(one(1), one(1), one(2), one(-5))

    same, again, other, negative = run(token_server(kind), play)
    assert same == again
    assert len({str(same), str(other), str(negative)}) == 3
    assert same[0] != same[1]


@BOTH
def test_a_mark_that_is_no_token_ends_a_completion(token_server, kind):
    async def play(made):
        marks = tuple(f"{token}>" for token in range(8))
        return await made.open(seed=1, stops=Stops(texts=marks)).extend([1], max_tokens=150)

    found = run(token_server(kind), play)
    assert found.finish_reason == "stop"
    assert not any(token % 10 < 8 for token in found.ids[:-1])
    assert found.ids[-1] % 10 < 8


def test_the_vendors_own_end_of_text_ends_nothing(token_server):
    server = token_server("sglang", eos=6)

    async def play(made):
        stream = made.open(seed=2, stops=Stops(ids=(5,)))
        return stream, await stream.extend([1, 2], max_tokens=120)

    stream, found = run(server, play, experts=True)
    assert 6 in found.ids[:-1]
    assert found.ids[-1] == 5 or len(found.ids) == 120
    assert (
        np.abs(rescored(server.model, stream.ids, 2, len(found.ids)) - found.logprobs).max() < 1e-4
    )
    assert stream.experts().shape == (2, len(stream.ids) - 1, 2)


@BOTH
def test_a_full_context_is_an_overflow_and_changes_nothing(token_server, kind):
    async def play(made):
        stream = made.open(seed=1, stops=NO_STOPS)
        with pytest.raises(ContextOverflow):
            await stream.extend([1] * 20, max_tokens=1)
        assert stream.ids == []
        found = await stream.extend([1] * 15, max_tokens=50)
        with pytest.raises(ContextOverflow):
            await stream.extend([], max_tokens=1)
        return stream, found

    stream, found = run(token_server(kind, max_len=20), play)
    assert len(found.ids) == 5
    assert found.finish_reason == "length"
    assert len(stream.ids) == 20


@BOTH
def test_overload_is_waited_for_and_counted_once(token_server, kind):
    server = token_server(kind)

    async def play(made):
        calm = await made.open(seed=1, stops=NO_STOPS).extend([1, 2], max_tokens=5)
        server.failures.append(429 if kind == "vllm" else 503)
        stream = made.open(seed=1, stops=NO_STOPS)
        busy = await stream.extend([1, 2], max_tokens=5)
        return calm, busy, stream.ids, made.sampled_tokens, made.read_tokens

    calm, busy, ids, sampled, read = run(server, play)
    assert busy == calm
    assert ids == [1, 2, *calm.ids]
    assert (sampled, read) == (10, 14)


@BOTH
def test_a_server_lost_in_the_middle_leaves_the_stream_as_it_was(token_server, kind):
    server = token_server(kind)

    async def play(made):
        stream = made.open(seed=1, stops=NO_STOPS)
        before = await stream.extend([1, 2], max_tokens=5)
        server.hang_up = 1
        with pytest.raises(ModelError) as caught:
            await stream.extend([3], max_tokens=5)
        assert len(caught.value.lines()) == 3
        assert stream.ids == [1, 2, *before.ids]
        assert made.sampled_tokens == 5
        after = await stream.extend([3], max_tokens=5)
        whole = made.open(seed=1, stops=NO_STOPS)
        await whole.extend([1, 2], max_tokens=5)
        return after, await whole.extend([3], max_tokens=5)

    after, undisturbed = run(server, play, retry=0.0)
    assert after == undisturbed


def test_a_cancelled_completion_leaves_the_stream_as_it_was(token_server):
    server = token_server()

    async def play(made):
        stream = made.open(seed=1, stops=NO_STOPS)
        server.hold = threading.Event()
        task = asyncio.ensure_future(stream.extend([1], max_tokens=3))
        await asyncio.sleep(0.1)
        with pytest.raises(UsageError):
            await stream.extend([2], max_tokens=3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.hold.set()
        return stream.ids, await stream.extend([1], max_tokens=3)

    ids, found = run(server, play)
    assert ids == []
    assert len(found.ids) == 3


def test_no_more_requests_than_connections(token_server):
    server = token_server()

    async def play(made):
        streams = [made.open(seed=seed, stops=NO_STOPS) for seed in range(12)]
        await asyncio.gather(*(stream.extend([1], max_tokens=4) for stream in streams))

    run(server, play, connections=3)
    assert 1 < server.busiest <= 3


WRONG = [
    ("vllm", {"token_ids": False}, "without token ids", "return_token_ids"),
    ("sglang", {"token_ids": False}, "without token ids", "output_ids"),
    ("vllm", {"logprobs": "none"}, "no log-probabilities", "--max-logprobs"),
    ("sglang", {"logprobs": "none"}, "no log-probabilities", "update SGLang"),
    ("vllm", {"logprobs": "raw"}, "temperature 1,", "--logprobs-mode processed_logprobs"),
    ("sglang", {"logprobs": "raw"}, "temperature 1,", "SGLANG_RETURN_ORIGINAL_LOGPROB"),
    ("vllm", {"logprobs": "logits"}, "logits", "--logprobs-mode processed_logprobs"),
    ("vllm", {"stops": "ignored"}, "was to stop behind", "stop_token_ids"),
    ("sglang", {"stops": "ignored"}, "was to stop behind", "stop_token_ids"),
    ("vllm", {"stops": "cut"}, "sampled nothing", "update vLLM"),
    ("vllm", {"routes": False}, "which experts", "--enable-return-routed-experts"),
    ("sglang", {"routes": False}, "which experts", "--enable-return-routed-experts"),
    ("vllm", {"added": 1}, "other ids", "gateway"),
    ("sglang", {"added": 1}, "4 ids, 3 were sent", "auto-truncate"),
    ("vllm", {"indifferent": True}, "equally likely", "untied"),
    ("vllm", {"owner": "llamacpp"}, "neither vLLM nor SGLang", "address"),
    ("vllm", {"max_len": None}, "how long", "max_context"),
]


@pytest.mark.parametrize(("kind", "options", "what", "mend"), WRONG)
def test_a_server_that_cannot_be_trained_on_is_refused_with_its_mend(
    token_server, kind, options, what, mend
):
    async def play(made):
        pytest.fail("the server was accepted")

    with pytest.raises(ModelError) as caught:
        run(token_server(kind, **options), play, experts=True)
    lines = caught.value.lines()
    assert len(lines) == 3
    assert what in lines[0]
    assert mend in lines[2]


@BOTH
def test_raw_log_probabilities_do_at_temperature_one(token_server, kind):
    async def play(made):
        assert made.server.reproducible
        return await made.open(seed=1, stops=NO_STOPS).extend([1], max_tokens=3)

    server = token_server(kind, logprobs="raw")
    found = run(server, play, temperature=1.0)
    scored = rescored(server.model, [1, *found.ids], 1, 3, temperature=1.0)
    assert np.abs(scored - found.logprobs).max() < 1e-4


def test_a_model_that_is_not_served(token_server):
    server = token_server()

    async def go():
        made = HttpEngine(Endpoint(base_url=server.base_url, model="other"))
        with pytest.raises(ModelError, match="no model 'other'") as caught:
            await made.check()
        assert "policy" in caught.value.mend
        with pytest.raises(UsageError, match="not been checked"):
            made.open(seed=1, stops=NO_STOPS)
        await made.close()
        only = HttpEngine(Endpoint(base_url=server.base_url, model=""), max_context=50)
        assert (await only.check()).model == "policy"
        assert only.server.max_context == 50
        await only.close()

    asyncio.run(go())


@BOTH
def test_new_weights_act_and_are_named(token_server, new_policy, tmp_path, kind):
    server = token_server(kind)
    other = new_policy(1)
    save_checkpoint(other, tmp_path / "b")
    if kind == "sglang":
        save_checkpoint(server.model, tmp_path / "a")
        server.checkpoint = str(tmp_path / "a")

    async def play(made):
        stream = made.open(seed=1, stops=NO_STOPS)
        old = await stream.extend([1], max_tokens=6)
        await made.load(tmp_path / "b", version=4)
        return stream.ids, old, await stream.extend([2], max_tokens=6), made.version

    ids, old, new, version = run(server, play)
    assert (old.versions, new.versions, version) == ((0, 0), (4, 4), 4)
    ids = [*ids, 2, *new.ids]
    assert np.abs(rescored(other, ids, 8, 6) - new.logprobs).max() < 1e-4


@pytest.mark.parametrize(
    ("kind", "hang_up"), [("vllm", 1), ("sglang", 1), ("sglang", 0), ("sglang", 3)]
)
def test_a_server_that_was_started_again_is_given_the_newest_weights_first(
    token_server, new_policy, tmp_path, kind, hang_up
):
    server = token_server(kind)
    first, other = server.model, new_policy(1)
    save_checkpoint(first, tmp_path / "a")
    save_checkpoint(other, tmp_path / "b")
    server.checkpoint = str(tmp_path / "a")

    async def play(made):
        await made.load(tmp_path / "b", version=4)
        stream = made.open(seed=1, stops=NO_STOPS)
        await stream.extend([1], max_tokens=6)
        server.model, server.checkpoint, server.version = first, "", "default"
        server.hang_up = hang_up
        return await stream.extend([2], max_tokens=6), stream.ids

    found, ids = run(server, play)
    assert server.checkpoint == str(tmp_path / "b")
    assert found.versions == (4, 4)
    assert np.abs(rescored(other, ids, 8, 6) - found.logprobs).max() < 1e-4


def test_a_server_that_others_load_weights_into_is_not_asked_for_ever(
    token_server, new_policy, tmp_path
):
    server = token_server("sglang")
    save_checkpoint(server.model, tmp_path)
    server.checkpoint = str(tmp_path)

    async def play(made):
        await made.load(tmp_path, version=1)
        stream = made.open(seed=1, stops=NO_STOPS)
        await stream.extend([1], max_tokens=2)
        server.stubborn = "7"
        with pytest.raises(ModelError, match="does not keep the weights") as caught:
            await stream.extend([2], max_tokens=2)
        return caught.value.lines()

    assert len(run(server, play)) == 3


def test_a_request_under_way_names_both_versions(token_server, new_policy, tmp_path):
    server = token_server()
    save_checkpoint(new_policy(1), tmp_path)

    async def play(made):
        await made.load(tmp_path, version=1)
        server.hold = threading.Event()
        task = asyncio.ensure_future(made.open(seed=1, stops=NO_STOPS).extend([1], max_tokens=3))
        await asyncio.sleep(0.1)
        await made.load(tmp_path, version=2)
        server.hold.set()
        return (await task).versions

    assert run(server, play) == (1, 2)


@BOTH
def test_a_load_that_fails_stops_every_stream_until_one_succeeds(token_server, tmp_path, kind):
    server = token_server(kind)
    save_checkpoint(server.model, tmp_path)
    server.checkpoint = str(tmp_path)

    async def play(made):
        stream = made.open(seed=1, stops=NO_STOPS)
        server.reloads = "fails"
        with pytest.raises(ModelError, match="no such folder"):
            await made.load(tmp_path, version=1)
        assert not server.paused
        asked = len(server.prompts)
        with pytest.raises(ModelError, match="unknown since a load failed"):
            await stream.extend([1], max_tokens=3)
        assert len(server.prompts) == asked
        server.reloads = "right"
        await made.load(tmp_path, version=2)
        return await stream.extend([1], max_tokens=3)

    assert run(server, play).versions == (2, 2)


@BOTH
def test_a_server_that_mistakes_its_own_weights_is_found_out(token_server, tmp_path, kind):
    server = token_server(kind, reloads="wrong")
    save_checkpoint(server.model, tmp_path)
    server.checkpoint = str(tmp_path)

    async def play(made):
        with pytest.raises(ModelError, match="another model once") as caught:
            await made.load(tmp_path, version=1)
        return caught.value.lines()

    lines = run(server, play)
    assert len(lines) == 3
    assert "restart" in lines[2]


@BOTH
def test_a_server_without_the_commands_goes_on_with_what_it_has(token_server, tmp_path, kind):
    async def play(made):
        with pytest.raises(ModelError) as caught:
            await made.load(tmp_path, version=1)
        found = await made.open(seed=1, stops=NO_STOPS).extend([1], max_tokens=3)
        return caught.value.lines(), found.versions

    lines, versions = run(token_server(kind, dev=False), play)
    assert len(lines) == 3
    assert "start vLLM with VLLM_SERVER_DEV_MODE=1" in lines[2] or "update SGLang" in lines[2]
    assert versions == (0, 0)


def test_a_dead_server_and_misuse(token_server):
    server = token_server()

    async def play(made):
        stream = made.open(seed=1, stops=NO_STOPS)
        for forced, limit in (([], 1), ([1], 0)):
            with pytest.raises(UsageError):
                await stream.extend(forced, max_tokens=limit)
        assert stream.experts() is None
        await stream.close()
        await stream.close()
        with pytest.raises(UsageError):
            await stream.extend([1], max_tokens=1)

    run(server, play)
    with pytest.raises(UsageError, match="temperature"):
        engine(server, temperature=0.0)

    async def dead():
        made = HttpEngine(Endpoint(base_url="http://127.0.0.1:9/v1", model="", retry_seconds=0))
        with pytest.raises(EndpointUnreachable):
            await made.check()
        await made.close()

    asyncio.run(dead())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "token_ids",
                    "logprobs",
                    "token_logprobs",
                    "finish_reason",
                    "meta_info",
                    "output_ids",
                    "output_token_logprobs",
                    "type",
                    "routed_experts",
                    "top_logprobs",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(json_values)
def test_whatever_is_answered_is_either_read_or_named_malformed(value):
    asked = Ask(model="m", ids=[1], max_tokens=2, temperature=1.0, seed=0, routes_from=0)
    for dialect in (Vllm(), Sglang()):
        with pytest.raises(MalformedAnswer) as caught:
            dialect.read(json.dumps(value).encode(), asked)
        assert len(caught.value.lines()) == 3
