"""A run over a tiny real workshop, with any agent and any endpoint."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tiny_workshop import TinyWorkshop, make_base

from regreen.agents import Limits
from regreen.inference import ChatClient, Endpoint, ScriptedEndpoint
from regreen.rollout import Runner, assignments, builder
from regreen.store.run import RunDirectory


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "base")


@pytest.fixture
def rollouts(base: Path, tmp_path: Path):
    """``rollouts(agent, tasks, ...)``: the rows of a run, by rollout id."""

    def run(agent, tasks, *, script=None, base_url="", attempts=1, make=TinyWorkshop, **options):
        async def go():
            workshop = make(base, tmp_path / "layers")
            server = ScriptedEndpoint(script or [])
            config = {"agent": agent}
            async with server:
                url = base_url or server.base_url
                client = ChatClient(Endpoint(base_url=url, model="m", retry_seconds=0))
                limits = options.pop("limits", Limits())
                with RunDirectory.create(tmp_path / "run", config=config, lock={}) as directory:
                    runner = Runner(
                        run_directory=directory,
                        workshop=workshop,
                        build=options.pop("build", None)
                        or builder(agent, client=client, limits=limits),
                        client=client if script or base_url else None,
                        **options,
                    )
                    try:
                        summary = await runner.run(assignments(tasks, agent, attempts=attempts))
                    finally:
                        await client.close()
                        await workshop.close()
                    rows = {row.rollout_id: row for row in directory.trajectories()}
                    assert len(rows) == summary.finished
                    return rows, summary

        return asyncio.run(go())

    return run
