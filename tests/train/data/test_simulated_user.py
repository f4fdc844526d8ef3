"""A scripted model plays the user over real HTTP and in a real box."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from regreen.core.errors import ModelError, UsageError
from regreen.inference import ChatClient, Endpoint
from regreen.inference.scripted import Reply, Script, ScriptedEndpoint, call, say
from regreen.sandbox.base import SandboxProvider
from regreen.store.judgements import Judgement, Judgements
from regreen.train.data.candidates import Candidate
from regreen.train.data.selection import Selection, by_user
from regreen.train.data.simulated_user import SimulatedUser, UserConfig

Boxes = Callable[[Callable[[SandboxProvider], Coroutine[Any, Any, Any]]], Any]
GOOD, BAD = "echo $((6 * 7)) > answer.txt", "frobnicate --answer > answer.txt"


def candidate(number: int, command: str, **more: Any) -> Candidate:
    said = f"Run this:\n```\n{command}\n```"
    messages = [
        {"role": "user", "content": "Write 42 into answer.txt."},
        {"role": "assistant", "content": said},
    ]
    return Candidate(f"r:{number}", {"messages": messages, **more})


def trier(messages: list[dict[str, Any]]) -> Reply:
    """Runs what stands in the fence, looks at the file, and believes what it sees."""
    results = [one["content"] for one in messages if one["role"] == "tool"]
    if not results:
        command = messages[1]["content"].split("```\n")[1]
        return call("bash", command=f"{command}cat answer.txt")
    worked = "\n42\n" in results[-1] and "not found" not in results[-1]
    return call("verdict", helped=worked, reason=results[-1][-80:])


def tried(
    boxes: Boxes,
    rows: list[Candidate],
    script: Script,
    path: Path,
    *,
    resume: bool = False,
    **config: Any,
) -> tuple[Selection, int]:
    async def work(provider: SandboxProvider) -> tuple[Selection, int]:
        async with ScriptedEndpoint(script) as server:
            endpoint = Endpoint(base_url=server.base_url, model="user", retry_seconds=0.1)
            async with ChatClient(endpoint) as client:
                with Judgements(path, resume=resume) as judgements:
                    user = SimulatedUser(client, provider, UserConfig(**config), judgements)
                    found = await by_user(rows, user, workers=2, tell=lambda *_: None)
            return found, server.requests

    made: tuple[Selection, int] = boxes(work)
    return made


def recorded(path: Path) -> list[Judgement]:
    return [Judgement.model_validate(json.loads(line)) for line in path.read_text().splitlines()]


def test_what_works_in_a_box_is_kept(with_boxes: Boxes, tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    rows = [candidate(1, GOOD), candidate(2, BAD), candidate(3, GOOD), candidate(4, "true # 42")]
    found, asked = tried(with_boxes, rows, trier, path)
    assert [one.name for one in found.kept] == ["r:1", "r:3"]
    assert dict(found.counts) == {"helped": 2, "did not help": 2}
    lines = recorded(path)
    assert len(lines) == 3  # rows that ask and say the same are tried once
    assert asked == 6
    bad = next(line for line in lines if line.rows == ("r:2",))
    assert "not found" in bad.reason
    assert any("frobnicate" in str(one) for one in bad.messages[2:])
    assert bad.usage.completion_tokens > 0
    again, more = tried(with_boxes, rows, trier, path, resume=True)
    assert (again, more) == (found, 0)


def test_the_box_holds_the_files_of_the_row(with_boxes: Boxes, tmp_path: Path) -> None:
    rows = [
        candidate(1, "cp data/a.txt answer.txt", files={"data/a.txt": "42\n"}),
        candidate(2, "cp data/a.txt answer.txt"),
    ]
    found, _ = tried(with_boxes, rows, trier, tmp_path / "j.jsonl")
    assert [one.name for one in found.kept] == ["r:1"]


@pytest.mark.parametrize(
    "script",
    [
        lambda messages: say("I think it helped."),
        lambda messages: call("verdict", helped="yes", reason="it ran"),
        lambda messages: call("bash", command="true"),
    ],
    ids=["prose", "no boolean", "no verdict"],
)
def test_a_user_without_a_verdict_decides_nothing(
    with_boxes: Boxes, tmp_path: Path, script: Script
) -> None:
    path = tmp_path / "j.jsonl"
    found, _ = tried(with_boxes, [candidate(1, GOOD)], script, path, turns=4)
    assert not found.kept
    assert dict(found.counts) == {"undecided: no verdict": 1}
    (line,) = recorded(path)
    assert line.verdict == "unreadable"
    assert line.reason.startswith("no verdict: ")


def test_a_failed_call_is_not_recorded_and_asked_again(with_boxes: Boxes, tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    rows = [candidate(1, GOOD), candidate(2, BAD)]

    def broken(messages: list[dict[str, Any]]) -> Reply:
        return Reply(body=b"no json") if "frobnicate" in str(messages) else trier(messages)

    found, _ = tried(with_boxes, rows, broken, path)
    assert found.counts["undecided: the endpoint or a box failed"] == 1
    assert len(recorded(path)) == 1
    found, _ = tried(with_boxes, rows, trier, path, resume=True)
    assert dict(found.counts) == {"helped": 1, "did not help": 1}


def test_an_endpoint_that_refuses_ends_the_job(with_boxes: Boxes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="refuses the key"):
        tried(with_boxes, [candidate(1, GOOD)], lambda _: Reply(status=401), tmp_path / "j.jsonl")


def test_another_question_model_or_patience_is_another_key(
    with_boxes: Boxes, tmp_path: Path
) -> None:
    path = tmp_path / "j.jsonl"
    _, first = tried(with_boxes, [candidate(1, GOOD)], trier, path)
    _, second = tried(with_boxes, [candidate(1, GOOD)], trier, path, resume=True, seed=5)
    assert first == second == 2
    with pytest.raises(UsageError, match="earlier job"):
        Judgements(path, resume=False)


def test_judgements_survive_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"

    async def held(judgements: Judgements) -> bool:
        return judgements.alone("k") is judgements.alone("k")

    with Judgements(path, resume=False) as judgements:
        assert asyncio.run(held(judgements))
        row = Judgement(
            key="k", kind="pair", rows=("a", "b"), model="m", seed=0, messages=(), verdict="tie"
        )
        judgements.put(row)
    with path.open("ab") as file:
        file.write(b'{"key": "half')
    with Judgements(path, resume=True) as judgements:
        assert judgements.get("k") == row
        assert judgements.used == {"k"}
        assert not judgements.asked
