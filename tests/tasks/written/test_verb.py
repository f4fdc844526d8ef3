"""``regreen tasks inject --by modify`` as a person runs it, killed in the middle and resumed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from small_sums import CALC, TESTS

from regreen.inference import Reply, ScriptedEndpoint, say
from regreen.tasks.language.python import Python

MISTAKES = {
    "clamp": ("return high", "return low"),
    "mean": ("return 0", "return 1"),
    "largest": ("value > best", "value < best"),
}
TOLD = "It gives a wrong result\n\nI called it the way the documentation says.\n"


def answer(messages) -> Reply:
    asked = messages[1]["content"]
    if messages[0]["content"].startswith("You write bug reports"):
        return say(TOLD)
    name = re.search(r"The function `(\w+)`", asked)
    kind = re.search(r"^- (\w+):", asked, re.MULTILINE)
    assert name is not None
    assert kind is not None
    function = next(one for one in Python().functions("calc.py", CALC) if one.name == name[1])
    code = CALC[function.start : function.end].replace(*MISTAKES[name[1]])
    return say(f"Kind: {kind[1]}\n```python\n{code}\n```")


async def started(home: Path, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "regreen", "tasks", "inject", *words),
        env={**os.environ, "REGREEN_HOME": str(home), "CI": "true"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.slow
def test_a_job_killed_twice_asks_each_question_once(tmp_path):
    root, out = tmp_path / "calc", tmp_path / "tasks.jsonl"
    (root / "tests").mkdir(parents=True)
    (root / "calc.py").write_text(CALC)
    (root / "tests" / "test_calc.py").write_text(TESTS)
    findings = Path(f"{out}.findings.jsonl")

    async def go() -> tuple[dict[str, object], int, str]:
        async with ScriptedEndpoint(answer) as server:
            words = ("--by", "modify", "-n", "3", "--attempts", "1", "--installed", "--json")
            model = ("--base-url", server.base_url, "--model", "m")
            job = (str(root), "-o", str(out), *words, *model, "-j", "1")
            for number in (1, 2):
                again = ("--resume",) if number == 2 else ()
                process = await started(tmp_path / "home", *job, *again)
                while not findings.exists() or findings.read_bytes().count(b"\n") < 1 + number:
                    await asyncio.sleep(0.02)
                    assert process.returncode is None, await process.communicate()
                process.send_signal(signal.SIGKILL)
                await process.communicate()
            process = await started(tmp_path / "home", *job, "--resume")
            stdout, stderr = await process.communicate()
            assert process.returncode == 0, stderr.decode()
            return json.loads(stdout), server.requests, stderr.decode()

    said, requests, notes = asyncio.run(go())
    assert said["tasks"] == 3
    assert requests == 3 + 3  # a bug and an issue each
    assert "6 questions to m" in notes
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    rows = [row for row in rows if "instance_id" in row]
    assert [row["problem_statement"] for row in rows] == [TOLD] * 3
    assert {row["operators"][0].partition(":")[0] for row in rows} == {"lm_modify"}
    assert not findings.exists()
