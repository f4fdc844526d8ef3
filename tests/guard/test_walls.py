"""Which walls a stage has, and what no configuration may say."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from regreen.core.errors import UsageError
from regreen.guard.gateway import CompletionGateway, GatewaySettings
from regreen.guard.index.proxy import IndexProxy
from regreen.guard.index.settings import IndexSettings
from regreen.guard.walls import DEFAULT_POLICIES, Stage, WallPolicy, completions_only, spec_for
from regreen.sandbox.base import BoxSpec

POLICIES = st.builds(
    WallPolicy,
    network=st.sampled_from(["none", "host"]),
    index=st.sampled_from(["none", "proxy"]),
    gateway=st.sampled_from(["none", "completions"]),
)
SPEC = BoxSpec(network="host", env={"A": "1"})


@given(st.sampled_from(["act", "verify"]), POLICIES)
def test_no_policy_gives_an_agent_or_its_patch_a_network(stage: Stage, policy: WallPolicy) -> None:
    if policy == WallPolicy():
        assert spec_for(stage, SPEC, policy).network == "none"
        return
    with pytest.raises(UsageError) as caught:
        spec_for(stage, SPEC, policy)
    assert len(caught.value.lines()) == 3


def test_the_defaults() -> None:
    assert spec_for("build", SPEC).network == "host"
    assert spec_for("act", SPEC).network == "none"
    assert spec_for("verify", SPEC).network == "none"
    assert spec_for("act", SPEC).env == {"A": "1"}
    with pytest.raises(ValidationError):
        DEFAULT_POLICIES["act"].network = "host"


@pytest.mark.parametrize("stage", ["act", "verify"])
def test_what_the_host_has_stays_out(stage: Stage, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(tmp_path / "service"))
        with pytest.raises(UsageError) as caught:
            spec_for(stage, BoxSpec(binds=((tmp_path / "service", "/run/service"),)))
    assert str(tmp_path) in caught.value.what
    with pytest.raises(UsageError):
        spec_for(stage, BoxSpec(writable_binds=((tmp_path, "/data"),)))


def test_a_stage_that_is_none() -> None:
    with pytest.raises(UsageError):
        spec_for("train", SPEC)  # type: ignore[arg-type]


def with_grants(tmp_path: Path, story: Callable[..., Awaitable[Any]]) -> Any:
    async def main() -> Any:
        index = IndexSettings(upstream=str(tmp_path), cache=tmp_path / "cache")
        model = GatewaySettings(base_url="http://127.0.0.1:9/v1")
        async with IndexProxy(index) as proxy, CompletionGateway(model) as gateway:
            return await story(await proxy.grant("r", []), await gateway.grant("r"))

    return asyncio.run(main())


def test_doors_are_bound_and_named(tmp_path: Path) -> None:
    async def story(index: Any, model: Any) -> Any:
        both = WallPolicy(index="proxy", gateway="completions")
        made = spec_for("act", SPEC, both, index, model)
        again = spec_for("act", made.__class__(env={}), WallPolicy(index="proxy"), index)
        refused = []
        for stage, policy, grants in (
            ("act", both, (index,)),
            ("act", WallPolicy(), (index,)),
            ("act", WallPolicy(index="proxy"), ()),
            ("act", WallPolicy(index="proxy"), (model,)),
            ("act", WallPolicy(index="proxy"), (index, index)),
            ("verify", WallPolicy(index="proxy"), (index,)),
            ("verify", WallPolicy(gateway="completions"), (model,)),
        ):
            with pytest.raises(UsageError) as caught:
                spec_for(stage, SPEC, policy, *grants)
            refused.append(caught.value.what)
        return made, again, refused, index.token, model.token

    made, again, refused, token, other = with_grants(tmp_path, story)

    assert made.network == "none"
    assert [target for _, target in made.binds] == [
        "/run/regreen-doors",
        "/run/regreen-doors-index/socket",
        "/run/regreen-doors-gateway/socket",
    ]
    assert made.env["A"] == "1"
    assert f":{token}@127.0.0.1:" in made.env["PIP_INDEX_URL"]
    assert made.env["UV_DEFAULT_INDEX"] == made.env["PIP_INDEX_URL"]
    assert made.env["OPENAI_API_KEY"] == other != token
    assert "OPENAI_API_KEY" not in again.env
    assert len(refused) == 7


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/chat/completions", True),
        ("POST", "/v1/completions", True),
        ("POST", "/v1/messages", True),
        ("POST", "/v1/responses", True),
        ("GET", "/v1/models", True),
        ("GET", "/v1/chat/completions", False),
        ("POST", "/v1/models", False),
        ("post", "/v1/messages", False),
        ("POST", "/v1/embeddings", False),
        ("POST", "/v1/files", False),
        ("POST", "/v1/messages/batches", False),
        ("POST", "/v1/chat/completions/", False),
        ("POST", "/v1//chat/completions", False),
        ("POST", "/v1/x/../chat/completions", False),
        ("POST", "/v1/chat%2fcompletions", False),
        ("POST", "http://elsewhere/v1/completions", False),
        ("GET", "/", False),
        ("GET", "/metrics", False),
        ("POST", "/v1/load_lora_adapter", False),
        ("DELETE", "/v1/models", False),
    ],
)
def test_completions_and_nothing_else(method: str, path: str, expected: bool) -> None:
    assert completions_only(path, method) is expected
