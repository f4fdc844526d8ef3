"""The client against a real socket: what it sends, what it retries, and the errors it raises."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time

import pytest

from regreen.core.errors import ModelError
from regreen.core.trajectory import Sampling
from regreen.inference import (
    ChatClient,
    Completion,
    ContextOverflow,
    Endpoint,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    MalformedAnswer,
    Message,
    MessageList,
    Reply,
    ScriptedEndpoint,
    call,
    say,
)

HELLO = [{"role": "user", "content": "hello"}]


def ask(script, *, messages=HELLO, tools=(), sampling=None, **options) -> Completion:
    """One completion from a scripted endpoint."""

    async def go() -> Completion:
        async with ScriptedEndpoint(script) as server:
            endpoint = Endpoint(base_url=server.base_url, model="m", **options)
            async with ChatClient(endpoint, sampling) as client:
                return await client.complete(messages, tools)

    return asyncio.run(go())


def test_an_answer_with_a_call():
    completion = ask([call("bash", command="ls")])
    assert completion.message["tool_calls"][0]["function"] == {
        "name": "bash",
        "arguments": '{"command": "ls"}',
    }
    assert completion.finish_reason == "tool_calls"
    assert completion.usage.completion_tokens > 0
    assert completion.seconds > 0


def test_the_reply_follows_the_number_of_answers_so_far():
    history = [*HELLO, {"role": "assistant", "content": 'say "role":"assistant" twice'}]
    assert ask([say("first"), say("second")], messages=history).message["content"] == "second"


def test_the_request_holds_messages_tools_and_sampling():
    seen: list[Message] = []

    def script(messages: list[Message]) -> Reply:
        seen.extend(messages)
        return say("ok")

    nasty = {"role": "user", "content": 'quotes " and \\ and \u2028 and \U0001f600'}
    ask(script, messages=MessageList([nasty]), sampling=Sampling(temperature=0.5))
    assert seen == [nasty]


def test_token_ids_are_read_where_vllm_puts_them():
    body = {
        "prompt_token_ids": [1, 2, 3],
        "choices": [
            {
                "message": {"content": "hi"},
                "token_ids": [7, 8],
                "logprobs": {"content": [{"logprob": -0.5}, {"logprob": -1.5}]},
            }
        ],
    }
    completion = ask([Reply(body=json.dumps(body).encode())], token_ids=True)
    assert completion.prompt_len == 3
    assert completion.completion_ids == (7, 8)
    assert completion.logprobs == (-0.5, -1.5)
    assert completion.usage.completion_tokens > 0  # estimated: none was reported


@pytest.mark.parametrize("status", [429, 500, 503])
def test_overload_is_retried(status):
    replies = iter([Reply(status=status, content="busy"), say("at last")])
    assert ask(lambda _: next(replies)).message["content"] == "at last"


def test_retry_after_is_honoured():
    replies = iter([Reply(status=429, headers={"Retry-After": "1.2"}), say("ok")])
    begin = time.monotonic()
    ask(lambda _: next(replies))
    assert time.monotonic() - begin >= 1.2


def test_retry_after_beyond_the_budget_gives_up_at_once():
    begin = time.monotonic()
    with pytest.raises(EndpointUnreachable):
        ask([Reply(status=429, content="busy", headers={"Retry-After": "3600"})])
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=401, content="who are you"), EndpointRefused),
        (Reply(status=404, content="no such model"), EndpointRefused),
        (Reply(status=400, content="temperature is odd"), EndpointRefused),
        (Reply(status=500, content="broken"), EndpointUnreachable),
        (Reply(status=400, content="This model's maximum context length is 9"), ContextOverflow),
        (Reply(status=400, content="exceeds the available context size"), ContextOverflow),
        (Reply(body=b"<html>oops</html>"), MalformedAnswer),
        (Reply(body=b'{"choices": []}'), MalformedAnswer),
        (Reply(body=b'{"choices": [{"message": "hi"}]}'), MalformedAnswer),
        (Reply(body=b"[1]"), MalformedAnswer),
        (Reply(body=b"\xff\xfe"), MalformedAnswer),
        (Reply(body=b'{"choices": [{"message": {"tool_calls": [{}]}}]}'), MalformedAnswer),
    ],
)
def test_each_failure_has_its_type_and_its_mend(reply, error):
    with pytest.raises(error) as caught:
        ask([reply], retry_seconds=0)
    assert caught.value.boundary == "model"
    if error is not ContextOverflow:
        assert len(caught.value.lines()) == 3


def test_a_dead_endpoint():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def go() -> None:
        endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m", retry_seconds=0)
        async with ChatClient(endpoint) as client:
            with pytest.raises(EndpointUnreachable):
                await client.check()
            with pytest.raises(EndpointUnreachable):
                await client.complete(HELLO)

    asyncio.run(go())


def test_an_endpoint_that_comes_up_late_is_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def go() -> Completion:
        endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m")
        async with ChatClient(endpoint) as client:
            asked = asyncio.ensure_future(client.complete(HELLO))
            await asyncio.sleep(0.2)
            async with ScriptedEndpoint([say("late")], port=port):
                return await asked

    assert asyncio.run(go()).message["content"] == "late"


def test_a_slow_answer_times_out():
    with pytest.raises(EndpointTimeout):
        ask([Reply(content="late", delay=5)], timeout=0.2)


def test_a_connection_closed_in_the_middle_is_unreachable():
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        writer.close()

    async def go() -> None:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m", retry_seconds=0)
        async with ChatClient(endpoint) as client:
            with pytest.raises(EndpointUnreachable):
                await client.complete(HELLO)
        server.close()

    asyncio.run(go())


def test_the_key_appears_nowhere(caplog):
    key = "sk-very-secret"
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ModelError) as caught:
        ask([Reply(status=401, content=f"bad key {key}")], api_key=key)
    assert key not in "\n".join(caught.value.lines())
    assert key not in repr(Endpoint(base_url="http://x/v1", model="m", api_key=key))
    assert key not in caplog.text


def test_a_url_that_is_none():
    async def go() -> None:
        async with ChatClient(Endpoint(base_url="localhost:80/v1", model="m")) as client:
            with pytest.raises(EndpointRefused):
                await client.check()

    asyncio.run(go())


def test_many_calls_share_one_client():
    async def go() -> list[Completion]:
        async with (
            ScriptedEndpoint([Reply(content="x", delay=0.05)]) as server,
            ChatClient(Endpoint(base_url=server.base_url, model="m")) as client,
        ):
            return await asyncio.gather(*(client.complete(HELLO) for _ in range(50)))

    assert len(asyncio.run(go())) == 50
