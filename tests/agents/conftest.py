"""A real box over a tiny project, and one way to run an agent in it against a real socket."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from regreen.agents import Limits, Setting, TaskView, agent_class
from regreen.agents.record import Conversation
from regreen.inference import ChatClient, Endpoint, ScriptedEndpoint
from regreen.sandbox import provider
from regreen.sandbox.base import BoxSpec, Mount

CALC = """\
def add(a, b):
    return a - b


def total(values):
    result = 0
    for value in values:
        result = add(result, value)
    return result
"""


@dataclass
class Acted:
    """What is left when an agent is done."""

    status: str
    log: Conversation
    files: dict[str, str]

    @property
    def observations(self) -> list[str]:
        return [m["content"] for m in self.log.messages if m["role"] == "tool"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "calc.py").write_text(CALC)
    (root / "README.md").write_text("# calc\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    return root


@pytest.fixture
def run_agent(project: Path, tmp_path: Path):
    """``run_agent(name, script, ...)``: one act, its record and the files it left."""

    def run(name, script=None, *, statement="add is wrong", read=("calc.py",), **options) -> Acted:
        limits = Limits(**options.pop("limits", {}))

        async def go() -> Acted:
            boxes = provider("namespace")
            box = await boxes.create(BoxSpec(mounts=(Mount(target="/testbed", lowers=(project,)),)))
            server = ScriptedEndpoint(script or [])
            async with server:
                endpoint = Endpoint(base_url=server.base_url, model="scripted", retry_seconds=0)
                client = ChatClient(endpoint)
                setting = Setting(limits=limits, client=client, **options)
                agent = agent_class(name)(setting)
                with Conversation(tmp_path / "log.jsonl", rollout_id="r") as log:
                    try:
                        view = TaskView(problem_statement=statement, repo="calc")
                        status = await agent.act(view, box, log)
                        files = {p: (await box.read(f"/testbed/{p}")).decode() for p in read}
                        return Acted(status, log, files)
                    finally:
                        await client.close()
                        await boxes.close()

        return asyncio.run(go())

    return run
