"""The verb over a real endpoint, in a process of its own as a user runs it."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.packing.corpus import write_jsonl
from tests.train.data.test_pairwise import by_length
from tests.train.data.test_simulated_user import BAD, GOOD, candidate, trier

from regreen.cli.main import main
from regreen.inference.scripted import Reply, Script, ScriptedEndpoint


def select(script: Script, *arguments: str | Path) -> tuple[int, str, str, int]:
    """Exit code, output, errors and requests."""

    async def work() -> tuple[int, str, str, int]:
        async with ScriptedEndpoint(script) as server:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "regreen", "train", "select", *map(str, arguments)),
                *("--base-url", server.base_url, "--model", "judge"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
            return process.returncode or 0, out.decode(), err.decode(), server.requests

    return asyncio.run(work())


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_simulated_user_sifts_rows(tmp_path: Path) -> None:
    rows = [candidate(n, command, n=n).row for n, command in enumerate([GOOD, BAD])]
    source = write_jsonl(tmp_path / "rows.jsonl", [*rows, {"messages": []}])
    out = tmp_path / "kept.jsonl"
    code, told, err, asked = select(trier, source, "-o", out, "-j", "2", "--json")
    assert code == 0, err
    assert rows_of(out) == rows[:1]
    found = json.loads(told)
    assert found["rows"] == {"helped": 1, "did not help": 1}
    assert found["not_judged"] == {"a row does not end with an answer": 1}
    assert (found["asked"], asked) == (2, 4)
    assert found["prompt_tokens"] > found["completion_tokens"] > 0
    out.unlink()
    code, told, err, asked = select(trier, source, "-o", out, "--resume", "--json")
    assert (code, asked) == (0, 0), err
    assert json.loads(told)["asked_before"] == 2
    assert rows_of(out) == rows[:1]


def test_pairs_keep_the_best_and_write_preferences(tmp_path: Path) -> None:
    ask = {"role": "user", "content": "q"}
    rows = [{"messages": [ask, {"role": "assistant", "content": "x" * size}]} for size in (2, 5, 3)]
    source, out = write_jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "kept.jsonl"
    beside = tmp_path / "preferences.jsonl"
    flags = ("--by", "pairs", "--top", "2", "--preferences", beside)
    code, told, err, asked = select(by_length, source, "-o", out, *flags)
    assert code == 0, err
    assert asked == 6
    assert rows_of(out) == rows[1:]
    assert "3 pairs, 3 decided" in told
    pairs = rows_of(beside)
    assert len(pairs) == 3
    assert all(
        len(row["chosen"][0]["content"]) > len(row["rejected"][0]["content"]) for row in pairs
    )
    (ranking,) = rows_of(tmp_path / "kept.rankings.jsonl")
    assert [row["row"] for row in ranking["candidates"]] == [
        "rows.jsonl:2",
        "rows.jsonl:3",
        "rows.jsonl:1",
    ]


def test_a_dry_run_reaches_the_endpoint_and_asks_nothing(tmp_path: Path) -> None:
    source, out = write_jsonl(tmp_path / "rows.jsonl", [{"messages": []}]), tmp_path / "k.jsonl"
    code, _, err, asked = select(trier, source, "-o", out, "--dry-run")
    assert (code, asked) == (0, 0), err
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.slow
def test_a_killed_job_goes_on_where_it_was(tmp_path: Path) -> None:
    ask = {"role": "user", "content": "q"}
    rows = [{"messages": [ask, {"role": "assistant", "content": "x" * n}]} for n in range(1, 5)]
    source, out = write_jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "k.jsonl"
    judged = tmp_path / "k.judgements.jsonl"

    async def killed() -> None:
        def slowly(messages: list[dict[str, Any]]) -> Reply:
            return replace(by_length(messages), delay=0.1)

        async with ScriptedEndpoint(slowly) as server:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "regreen", "train", "select", str(source), "-o", str(out)),
                *("--by", "pairs", "-j", "1", "--base-url", server.base_url, "--model", "judge"),
                stderr=asyncio.subprocess.DEVNULL,
            )
            while not judged.exists() or judged.read_bytes().count(b"\n") < 3:
                await asyncio.sleep(0.01)
            process.kill()
            await process.wait()

    asyncio.run(killed())
    before = judged.read_bytes().count(b"\n")
    assert 3 <= before < 12
    assert not out.exists()
    flags = ("--by", "pairs", "--resume", "--json")
    code, told, err, asked = select(by_length, source, "-o", out, *flags)
    assert code == 0, err
    assert asked == 12 - before
    assert json.loads(told)["asked_before"] == before
    assert rows_of(out) == rows[3:]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.jsonl", "-o", "k.jsonl"), "no such file"),
        (("rows.jsonl", "-o", "rows.jsonl"), "file of their own"),
        (("rows.jsonl", "-o", "k.txt"), "file of their own"),
        (("rows.jsonl", "-o", "k.jsonl"), "a judge is needed"),
        (("rows.jsonl", "-o", "k.jsonl", "--model", "m"), "both"),
        (("rows.jsonl", "-o", "k.jsonl", "--top", "2"), "compares nothing"),
        (("rows.jsonl", "-o", "k.jsonl", "--unsafe-no-isolation"), "only in boxes"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "rows.jsonl", [{"messages": []}])
    with pytest.raises(SystemExit) as stop:
        main(["train", "select", *arguments])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
