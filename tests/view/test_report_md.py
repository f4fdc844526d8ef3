from __future__ import annotations

from regreen.store import RunDirectory
from regreen.view.facts import RunFacts
from regreen.view.report_md import render_markdown

FACTS = RunFacts("nightly", config={"agent": "mini"}, lock={"seeds": [0], "schema_name": "x"})


def test_the_report_holds_every_table(trajectories, tasks, funnel):
    text = render_markdown(
        title="mini | oracle",
        run=FACTS,
        trajectories=iter(trajectories),
        tasks=tasks,
        funnel=funnel,
    )
    assert text.startswith("# mini \\| oracle\n")
    for heading in ("## Agents", "### Several attempts", "## By kind of task", "## What was run"):
        assert heading in text
    assert "| oracle | 4 | 4 | 4 | 100.0 % (51.0 to 100.0) | none |" in text
    assert "| candidates | 40 |" in text
    assert "| oracle | 100.0 % (51.0 to 100.0) | 100.0 % (51.0 to 100.0) | 0.0 %" in text
    assert "| seeds | \\[0\\] |" in text
    assert "| agent | mini |" in text
    assert "schema_name" not in text


def test_every_table_row_has_the_cells_of_its_head(trajectories, tasks, funnel):
    text = render_markdown(
        title="t", run=FACTS, trajectories=trajectories, tasks=tasks, funnel=funnel
    )
    width = None
    for line in text.splitlines():
        cells = line.replace("\\|", "").count("|")
        assert width is None or not line.startswith("|") or cells == width
        width = cells if line.startswith("|") else None


def test_content_cannot_be_markup(hostile):
    from regreen.core.trajectory import Trajectory

    odd = Trajectory(rollout_id="a", task="t", agent=hostile)
    text = render_markdown(title=hostile, run=FACTS, trajectories=[odd])
    assert "<script" not in text.replace("\\<", "")
    assert "\x1b" not in text


def test_a_run_without_rollouts_says_so():
    text = render_markdown(title="empty", run=RunFacts("x"), trajectories=[])
    assert text == "# empty\n\nNo rollout has finished.\n"


def test_facts_come_from_the_run_on_disk(tmp_path):
    with RunDirectory.create(
        tmp_path / "nightly", config={"sampling": {"top_p": 0.9}}, lock={"seeds": [1]}
    ) as run:
        facts = RunFacts.of(run)
    assert facts.name == "nightly"
    assert ("sampling.top_p", "0.9") in facts.rows()
    assert ("seeds", "[1]") in facts.rows()
