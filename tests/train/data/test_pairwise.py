"""Comparison in both orders, the order that follows, and what is never guessed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.inference import ChatClient, Endpoint
from regreen.inference.scripted import Reply, Script, ScriptedEndpoint, say
from regreen.store.judgements import Judgements
from regreen.train.data.candidates import Candidate
from regreen.train.data.checklist import read_answer
from regreen.train.data.pairwise import PairJudge
from regreen.train.data.ranking import Pairing, groups, pairs, rank
from regreen.train.data.selection import PairConfig, Selection, by_pairs

Messages = list[dict[str, Any]]


def candidate(number: int, answer: str, question: str = "sort a list?") -> Candidate:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Candidate(f"r:{number}", {"messages": messages, "license": "MIT"})


def choice(better: str) -> str:
    rest = dict.fromkeys(("accuracy", "usefulness", "style"), better)
    return f"Let me see.\n{json.dumps({**rest, 'better': better})}"


def shown(messages: Messages) -> tuple[str, str]:
    text = messages[1]["content"]
    first = text.split("<answer_a>\n")[1].split("\n</answer_a>")[0]
    return first, text.split("<answer_b>\n")[1].split("\n</answer_b>")[0]


def by_length(messages: Messages) -> Reply:
    first, second = map(len, shown(messages))
    return say(choice("A" if first > second else "B" if second > first else "tie"))


def compared(
    rows: list[Candidate], script: Script, path: Path, *, top: int = 1, resume: bool = False
) -> tuple[Selection, int]:
    async def work() -> tuple[Selection, int]:
        async with ScriptedEndpoint(script) as endpoint:
            async with ChatClient(Endpoint(base_url=endpoint.base_url, model="judge")) as client:
                with Judgements(path, resume=resume) as judgements:
                    judge = PairJudge(client, judgements, seed=3)
                    config = PairConfig(top=top)
                    found = await by_pairs(rows, judge, config, workers=4, tell=lambda *_: None)
            return found, endpoint.requests

    return asyncio.run(work())


def test_all_pairs_in_both_orders_and_the_best_kept(tmp_path: Path) -> None:
    rows = [candidate(n, "x" * size) for n, size in enumerate([3, 9, 5, 7])]
    found, asked = compared(rows, by_length, tmp_path / "j.jsonl", top=2)
    assert asked == 4 * 3
    assert [one.name for one in found.kept] == ["r:1", "r:3"]
    (ranking,) = found.rankings
    assert [(each.candidate, each.rank, each.score) for each in ranking.standings] == [
        (1, 1, 1.0),
        (3, 2, pytest.approx(2 / 3)),
        (2, 3, pytest.approx(1 / 3)),
        (0, 4, 0.0),
    ]
    chosen = {(row["rows"][0], row["rows"][1]) for row in ranking.preferences()}
    assert chosen == {
        ("r:1", "r:0"),
        ("r:1", "r:2"),
        ("r:1", "r:3"),
        ("r:3", "r:0"),
        ("r:3", "r:2"),
        ("r:2", "r:0"),
    }


def test_a_judge_that_prefers_a_place_decides_nothing(tmp_path: Path) -> None:
    rows = [candidate(n, "x" * size) for n, size in enumerate([3, 9])]
    found, _ = compared(rows, lambda _: say(choice("A")), tmp_path / "j.jsonl")
    (ranking,) = found.rankings
    assert all(each.tied and each.rank == 1 and each.score == 0.5 for each in ranking.standings)
    assert ranking.told()["swayed"] == 1
    assert [one.name for one in found.kept] == ["r:0"]
    assert found.counts["kept before an equal, by the order of the file"] == 1
    assert not ranking.preferences()


def test_even_in_one_order_leaves_the_other_to_decide(tmp_path: Path) -> None:
    def script(messages: Messages) -> Reply:
        return say(choice("tie" if shown(messages)[0] == "long" else "B"))

    rows = [candidate(0, "no"), candidate(1, "long")]
    found, _ = compared(rows, script, tmp_path / "j.jsonl")
    assert [one.name for one in found.kept] == ["r:1"]


def test_what_cannot_be_read_is_counted_and_not_guessed(tmp_path: Path) -> None:
    rows = [candidate(n, "x" * size) for n, size in enumerate([3, 9])]
    found, _ = compared(rows, lambda _: say("The first is better."), tmp_path / "j.jsonl")
    assert not found.kept
    assert found.counts["undecided: no pair could be read"] == 2
    lines = [json.loads(line) for line in (tmp_path / "j.jsonl").read_text().splitlines()]
    assert {line["verdict"] for line in lines} == {"unreadable"}
    assert all(line["messages"][2]["content"] == "The first is better." for line in lines)


def test_questions_are_not_mixed_and_equal_answers_are_one(tmp_path: Path) -> None:
    rows = [
        candidate(0, "xx", "q1"),
        candidate(1, "yyy", "q2"),
        candidate(2, "xx", "q1"),
        candidate(3, "xxxx", "q1"),
    ]
    assert [[one.name for one in group] for group in groups(rows)] == [["r:0", "r:3"], ["r:1"]]
    found, asked = compared(rows, by_length, tmp_path / "j.jsonl")
    assert asked == 2
    assert [one.name for one in found.kept] == ["r:1", "r:3"]
    assert found.counts["alone: nothing to compare with"] == 1
    assert found.counts["the same answer as another row"] == 1
    assert sum(found.counts.values()) == len(rows)


def test_a_resumed_job_asks_nothing_twice(tmp_path: Path) -> None:
    rows = [candidate(n, "x" * size) for n, size in enumerate([3, 9, 5])]
    path = tmp_path / "j.jsonl"
    first, asked = compared(rows, by_length, path)
    lines = path.read_text().splitlines(keepends=True)
    assert asked == len(lines) == 6
    path.write_text("".join(lines[:4]) + lines[4][:40])
    second, again = compared(rows, by_length, path, resume=True)
    assert again == 2
    assert second == first
    assert compared(rows, lambda _: say("never asked"), path, resume=True) == (first, 0)


def test_an_answer_that_never_comes_leaves_its_pair_undecided(tmp_path: Path) -> None:
    def script(messages: Messages) -> Reply:
        if "x" * 9 in shown(messages):
            return Reply(body=b"<html>")
        return by_length(messages)

    rows = [candidate(n, "x" * size) for n, size in enumerate([3, 9, 5])]
    found, _ = compared(rows, script, tmp_path / "j.jsonl")
    assert [one.name for one in found.kept] == ["r:2"]
    assert found.counts["undecided: no pair could be read"] == 1
    assert len((tmp_path / "j.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "better"),
    [
        (choice("A"), "first"),
        (f"```json\n{choice('b')}\n```\n", "second"),
        (choice("Tie") + "\n", "tie"),
        ('{"better": "A"}\n' + choice("B"), "second"),
        ('{"better": "A"}', None),
        (choice("A") + "\nbut I am not sure", None),
        (choice("C"), None),
        ("", None),
        ("{" * 3000, None),
        (choice("A") + choice("B"), "second"),
    ],
)
def test_reading_a_judges_answer(text: str, better: str | None) -> None:
    found = read_answer(text)
    assert (found["better"] if found else None) == better


@given(st.data())
def test_the_order_is_copelands(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 6))
    found = []
    for one, other in pairs(count):
        decided = data.draw(st.booleans())
        winner = data.draw(st.sampled_from([one, other, None])) if decided else None
        found.append(Pairing(one, other, winner, decided, swayed=False))
    standings = rank(count, found)
    assert sorted(each.candidate for each in standings) == list(range(count))

    def scored(one: int) -> list[float]:
        return [
            1.0 if pairing.winner == one else 0.5 if pairing.winner is None else 0.0
            for pairing in found
            if pairing.decided and one in (pairing.one, pairing.other)
        ]

    for each in standings:
        points = scored(each.candidate)
        assert each.wins + each.ties + each.losses == len(points)
        assert bool(each.rank) is bool(points)
        if points:
            assert each.score == pytest.approx(sum(points) / len(points))
            better = [one for one in standings if one.rank and one.score > each.score]
            assert each.rank == 1 + len(better)
            same = [one for one in standings if one.rank and one.score == each.score]
            assert each.tied is (len(same) > 1)
