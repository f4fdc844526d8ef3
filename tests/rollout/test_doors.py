"""A rollout with an index: what the agent's box may install, and what is told and kept."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path
from typing import Any, ClassVar

from regreen.agents.base import Need, Setting, TaskView
from regreen.agents.loop import ModelLoop
from regreen.agents.policy import Policy, PolicyModel
from regreen.agents.prompts import WITH_TOOLS, prompt
from regreen.agents.record import Conversation
from regreen.agents.tools import BASH, SUBMIT
from regreen.core.task import Environment, Task
from regreen.core.trajectory import Trajectory
from regreen.grading.patch import FileState, patch_between, text_patch
from regreen.grading.workshop import Workshop
from regreen.guard.index.proxy import IndexProxy
from regreen.guard.index.settings import IndexSettings
from regreen.rollout.doors import Doors
from regreen.rollout.plan import Assignment
from regreen.rollout.runner import Runner
from regreen.sandbox import provider
from regreen.sandbox.base import Sandbox
from regreen.store.run import RunDirectory

BROKEN, HEALTHY = "def one():\n    return 2\n", "def one():\n    return 1\n"
TESTS = "import calc\n\n\ndef test_one():\n    assert calc.one() == 1\n"
_ASK = "import os, urllib.request as u, base64; " + (
    "url = os.environ['PIP_INDEX_URL']; host = url.split('@')[1]; "
    "r = u.Request('http://' + host + '{0}/'); "
    "r.add_header('Authorization', 'Basic ' + base64.b64encode("
    "url.split('//')[1].split('@')[0].encode()).decode()); "
    "print(u.urlopen(r).read().decode())"
)


class Shopper:
    """Asks the index for a package and for the project itself."""

    name = "shopper"
    needs: ClassVar[frozenset[Need]] = frozenset()

    def __init__(self, setting: Setting) -> None:
        def policy(_statement: str) -> Policy:
            yield [("bash", {"command": f'python3 -c "{_ASK.format("helper")}"'})]
            yield [("bash", {"command": f'python3 -c "{_ASK.format("calc")}" 2>&1 | tail -1'})]
            yield [("bash", {"command": "env | grep -c TOKEN; ls /run"})]

        self._loop = ModelLoop(setting, (BASH, SUBMIT), parallel=False, model=PolicyModel(policy))

    async def act(self, task: TaskView, box: Sandbox, log: Conversation) -> str:
        return await self._loop.run(prompt(WITH_TOOLS, task), task, box, log)


def wheel(path: Path, name: str) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path / f"{name}-1.0-py3-none-any.whl", "w") as made:
        made.writestr(f"{name}.py", "x = 1\n")
        made.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        made.writestr(f"{info}/RECORD", "")


def test_an_index_serves_packages_and_not_the_project(workroom: Any, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "helper")
    wheel(wheels, "calc")
    files = {"calc.py": HEALTHY, "tests/test_calc.py": TESTS}
    task = Task(
        instance_id="calc-3",
        repo="calc",
        base_commit="2" * 40,
        patch=text_patch("calc.py", BROKEN, HEALTHY),
        test_patch=patch_between({}, {"tests/test_calc.py": FileState(TESTS.encode())}),
        problem_statement="one() should be 1",
        FAIL_TO_PASS=("tests/test_calc.py::test_one",),
        PASS_TO_PASS=(),
        environment=Environment(
            source="pypi:calc==1.0",
            commit="0" * 40,
            repo_layer=workroom.place(files).tree[0].name,
            env_layer=workroom.built.env.digest,
        ),
    )

    async def work() -> Trajectory:
        boxes = provider()
        settings = IndexSettings(
            cache=tmp_path / "cache", upstream=str(wheels), log=tmp_path / "index.jsonl"
        )
        directory = RunDirectory.create(tmp_path / "run", config={}, lock={})
        try:
            with directory:
                async with IndexProxy(settings) as proxy:
                    runner = Runner(
                        run_directory=directory,
                        workshop=Workshop(boxes, workroom.store),
                        build=lambda one: Shopper(Setting(seed=one.seed)),
                        doors=Doors(index=proxy),
                    )
                    one = Assignment(task=task, agent="shopper", attempt=0, seed=0)
                    return await runner.rollout(one)
        finally:
            await boxes.close()

    made = asyncio.run(work())

    assert made.error is None, made.error
    said = [str(m["content"]) for m in made.messages if m["role"] == "tool"]
    assert "helper-1.0-py3-none-any.whl" in said[0]
    assert "calc-1.0" not in said[1]
    assert "HTTP Error 403" in said[1]
    assert "calc" in said[1].rpartition("[")[2]  # the reason, told beside the output
    assert [incident.layer for incident in made.incidents] == ["wall"]
    assert made.verdict is not None
    assert not made.verdict.resolved
    assert (tmp_path / "index.jsonl").read_text().count("\n") >= 2
