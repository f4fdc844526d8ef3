"""A foreign row with an environment of ours: its gold patch wins here, nothing does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_history import bug_row, classic_row, make_history, write_files

from regreen.core.errors import RegreenError, TaskError, UsageError
from regreen.core.task import Task
from regreen.core.verdict import Verdict
from regreen.grading.workshop import Workshop
from regreen.sandbox.base import Mount, SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.repaired import healthy_checkout
from regreen.tasks.build.repository import Repository, make_ready
from regreen.tasks.exchange.attach import attach, clone_of
from regreen.tasks.exchange.evaluation import GRADER, harbor_script, solve_script
from regreen.tasks.exchange.kinds import read_row
from regreen.tasks.repo.sources import Checkout


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clones")
    make_history(folder)
    return folder


def read(row: dict[str, Any]) -> Task:
    task = read_row(row, where="here").task
    assert task is not None
    return task


async def attached(task: Task, clones: Path, store: LayerStore, boxes: SandboxProvider) -> Task:
    async def ready(checkout: Checkout) -> Repository:
        return await make_ready(
            checkout.spec, store=store, provider=boxes, checkout=checkout, installed=True
        )

    return await attach(task, store=store, ready=ready, clones=clones)


def test_a_pull_request_runs_here(
    clones: Path, workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    task = read(classic_row(clones / "me" / "calc"))

    async def work(boxes: SandboxProvider) -> tuple[Task, list[Verdict], str]:
        made = await attached(task, clones, workroom.store, boxes)
        workshop = Workshop(boxes, workroom.store)
        verdicts = [await workshop.verify_patch(made, patch) for patch in (made.patch, "")]
        box = await workshop.act_box(made)
        shown = await box.exec(["sh", "-c", "git status --porcelain; cat calc.py; ls tests"])
        return made, verdicts, shown.stdout.decode()

    made, (gold, nothing), shown = with_boxes(work)

    assert gold.resolved, gold.reason
    assert not nothing.resolved
    assert made.base_commit == task.base_commit
    assert made.environment is not None
    assert made.environment.patched
    assert "a - b" in shown
    assert "test_both.py" not in shown


def test_a_lost_layer_of_it_is_made_again(
    clones: Path, tmp_path: Path, workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    task = read(classic_row(clones / "me" / "calc"))

    made: Task = with_boxes(lambda boxes: attached(task, clones, workroom.store, boxes))

    assert made.environment is not None
    tree = healthy_checkout(made, store=LayerStore(tmp_path / "store")).tree
    assert tree.digest == made.environment.repo_layer


@pytest.mark.slow
def test_a_bug_of_swe_smith_runs_here(
    clones: Path, workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    task = read(bug_row(clones / "me" / "calc"))

    async def work(boxes: SandboxProvider) -> tuple[Task, list[Verdict], str]:
        made = await attached(task, clones, workroom.store, boxes)
        workshop = Workshop(boxes, workroom.store)
        verdicts = [await workshop.verify_patch(made, patch) for patch in (made.patch, "")]
        box = await workshop.act_box(made)
        shown = await box.exec(["sh", "-c", "git rev-parse HEAD; ls tests; cat calc.py"])
        return made, verdicts, shown.stdout.decode()

    made, (gold, nothing), shown = with_boxes(work)

    assert gold.resolved, gold.reason
    assert not nothing.resolved
    assert shown.splitlines()[0] == made.base_commit
    assert "test_both.py" not in shown
    assert "a - b" in shown


@pytest.mark.slow
def test_harbors_scripts_reward_the_gold_patch_and_nothing_else(
    clones: Path, tmp_path: Path, workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    task = read(classic_row(clones / "me" / "calc"))
    solve = "bash /solution/solve.sh"
    tamper = "echo 'def test_add(): pass' >tests/test_calc.py; git add -A; git commit -qm x; "
    tamper += "mkdir -p /logs/verifier; echo 1 >/logs/verifier/reward.txt"

    async def work(boxes: SandboxProvider) -> list[str]:
        made = await attached(task, clones, workroom.store, boxes)
        workshop = Workshop(boxes, workroom.store)
        lists = made.model_dump_json(include={"FAIL_TO_PASS", "PASS_TO_PASS"})
        files = {
            "tests/test.sh": harbor_script(made),
            "tests/grade.py": GRADER,
            "tests/tests.json": lists,
            "tests/test.patch": made.test_patch,
            "solution/solve.sh": solve_script(),
            "solution/gold.patch": made.patch,
            "logs/empty": "",
        }
        write_files(tmp_path, files)
        mounts = tuple(
            Mount(target=f"/{name}", lowers=(tmp_path / name,))
            for name in ("tests", "solution", "logs")
        )
        rewards = []
        for before in (solve, ":", tamper, f"{solve}; {tamper}"):
            box = await workshop.act_box(
                made, wall=lambda spec: replace(spec, mounts=spec.mounts + mounts)
            )
            done = await box.exec(["sh", "-c", f"{before}; bash /tests/test.sh"])
            rewards.append((await box.read("/logs/verifier/reward.txt")).decode().strip())
            assert done.exit_code == 0, done.stderr.decode()
            await box.close()
        return rewards

    assert with_boxes(work) == ["1", "0", "0", "1"]


def test_clones_are_found_however_they_lie(tmp_path: Path) -> None:
    for name in ("a/b/.git", "c+d/repo/objects", "e__f.git/objects"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "c+d" / "repo" / "HEAD").write_text("")
    (tmp_path / "e__f.git" / "HEAD").write_text("")

    assert clone_of("a/b", tmp_path) == tmp_path / "a" / "b"
    assert clone_of("c/d", tmp_path) == tmp_path / "c+d" / "repo"
    assert clone_of("e/f", tmp_path) == tmp_path / "e__f.git"
    assert clone_of("g/h", tmp_path) is None


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"language": "go"}, TaskError, "only Python"),
        ({"FAIL_TO_PASS": ["test_add (tests.Calc)"]}, TaskError, "not named as pytest"),
        ({"test_patch": "{patch}"}, TaskError, "change one file"),
        ({"base_commit": "f" * 40}, UsageError, "no commit"),
        ({"base_commit": "--help"}, UsageError, "no commit"),
        ({"patch": "{elsewhere}"}, TaskError, "does not apply"),
    ],
)
def test_what_cannot_run_here_is_refused(
    clones: Path,
    tmp_path: Path,
    with_boxes: Callable[..., Any],
    changed: dict[str, Any],
    kind: type[RegreenError],
    words: str,
) -> None:
    row = classic_row(clones / "me" / "calc")
    texts = {"{patch}": row["patch"]}
    texts["{elsewhere}"] = row["patch"].replace("a - b", "a * b")
    row |= {key: texts.get(str(value), value) for key, value in changed.items()}

    with pytest.raises(kind, match=words):
        with_boxes(lambda boxes: attached(read(row), clones, LayerStore(tmp_path), boxes))


def test_a_bug_whose_tests_are_not_there_is_refused(
    clones: Path, tmp_path: Path, with_boxes: Callable[..., Any]
) -> None:
    row = bug_row(clones / "me" / "calc") | {"FAIL_TO_PASS": ["tests/test_gone.py::test_x"]}

    with pytest.raises(TaskError, match="not in the repository"):
        with_boxes(lambda boxes: attached(read(row), clones, LayerStore(tmp_path), boxes))
