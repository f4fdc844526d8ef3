"""The scripted endpoint, seen from its socket."""

from __future__ import annotations

import asyncio

import httpx2

from regreen.inference import Reply, ScriptedEndpoint, calls, say


def get(path: str, *, script=(), body=None) -> httpx2.Response:
    async def go() -> httpx2.Response:
        async with (
            ScriptedEndpoint(script) as server,
            httpx2.AsyncClient(trust_env=False) as client,
        ):
            url = server.base_url + path
            return await (client.get(url) if body is None else client.post(url, json=body))

    return asyncio.run(go())


def test_models_and_unknown_paths():
    assert get("/models").json()["data"][0]["id"] == "scripted"
    assert get("/embeddings", body={}).status_code == 404


def test_a_script_that_ends_says_so():
    body = {"messages": [{"role": "assistant", "content": "x"}]}
    answer = get("/chat/completions", script=[say("one")], body=body)
    assert answer.status_code == 400
    assert "ends after 1" in answer.text


def test_several_calls_have_distinct_ids():
    script = [calls(("a", {}), ("b", {"x": 1}), content="both")]
    answer = get("/chat/completions", script=script, body={"messages": []}).json()
    message = answer["choices"][0]["message"]
    assert [c["id"] for c in message["tool_calls"]] == ["call_0_0", "call_0_1"]
    assert message["content"] == "both"
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


def test_usage_and_extras_are_scriptable():
    script = [Reply(content="x", completion_tokens=1234, extra={"token_ids": [1]})]
    answer = get("/chat/completions", script=script, body={"messages": []}).json()
    assert answer["usage"]["completion_tokens"] == 1234
    assert answer["choices"][0]["token_ids"] == [1]


def test_closing_does_not_wait_for_answers():
    async def go() -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            async with ScriptedEndpoint([Reply(delay=60)]) as server:
                url = server.base_url + "/chat/completions"
                asked = asyncio.ensure_future(client.post(url, json={"messages": []}))
                await asyncio.sleep(0.1)
            results = await asyncio.gather(asked, return_exceptions=True)
            assert isinstance(results[0], httpx2.TransportError)

    asyncio.run(asyncio.wait_for(go(), 10))
