"""Bugs by a scripted model: verified as others are, counted, resumed without asking again."""

from __future__ import annotations

import asyncio
import re

import pytest
from small_sums import CALC

from regreen.core.errors import ModelError, UsageError
from regreen.inference import Reply, say
from regreen.sandbox import provider
from regreen.tasks.language.python import Python
from regreen.tasks.written.job import WrittenSettings, usable_functions, write
from regreen.tasks.written.mirror import Past

PYTHON = Python()
FUNCTIONS = {one.name: one for one in PYTHON.functions("calc.py", CALC)}
MISTAKES = {
    "clamp": ("return high", "return low"),
    "mean": ("return 0", "return 1"),
    "largest": ("value > best", "value < best"),
}


def source(name: str) -> str:
    return CALC[FUNCTIONS[name].start : FUNCTIONS[name].end]


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def name_in(messages) -> str:
    found = re.search(r"(?:body of|The function) `(\w+)`", messages[1]["content"])
    assert found is not None
    return found[1]


def kind_in(messages) -> str:
    found = re.search(r"^- (\w+):", messages[1]["content"], re.MULTILINE)
    assert found is not None
    return found[1]


def honest(messages) -> Reply:
    """One mistake in each function, of the first kind offered."""
    name = name_in(messages)
    return say(f"Kind: {kind_in(messages)}\n{fenced(source(name).replace(*MISTAKES[name]))}")


def written(calc, workroom, asking, script, *, answers=None, findings=None, past=(), **options):
    """What a job made, and how often the model was asked."""
    resume = options.pop("resume", False)
    settings = WrittenSettings(**{"by": "modify", "limit": 3, "attempts": 1, **options})

    async def go():
        boxes = provider()
        try:
            async with asking(script, answers) as model:
                made = await write(
                    calc.repository,
                    calc.baseline,
                    provider=boxes,
                    store=workroom.store,
                    settings=settings,
                    answers=model.answers,
                    past=past,
                    findings=findings,
                    resume=resume,
                )
                return made, model.server.requests
        finally:
            await boxes.close()

    return asyncio.run(go())


@pytest.fixture(scope="module")
def modified(calc, workroom, asking, tmp_path_factory):
    root = tmp_path_factory.mktemp("job")
    made, requests = written(
        calc, workroom, asking, honest, answers=root / "a", findings=root / "f"
    )
    return made, requests, root


def test_mistakes_of_a_model_become_tasks_like_any_other(modified):
    made, requests, _ = modified
    assert requests == 3
    assert len(made.tasks) == 3
    for task in made.tasks:
        assert re.fullmatch(r"lm_modify:\w+", task.operators[0])
        assert re.fullmatch(r"calc-\w{7}\.lm_modify-\w+\.\w{10}", task.instance_id)
        assert task.source == "injected"
        assert task.validation is not None
        assert all(one.score == one.expected for one in task.validation.controls)
        assert task.twins is not None
        assert task.twins.proved
        assert task.PASS_TO_PASS
    failing = {name for task in made.tasks for name in task.FAIL_TO_PASS}
    ids = ("clamp_high", "mean_of_nothing", "largest")
    assert failing == {f"tests/test_calc.py::test_{name}" for name in ids}
    (row,) = made.funnel.by_operator
    assert (row.operator, row.candidates, row.verified) == ("lm_modify", 3, 3)


def test_a_killed_job_goes_on_without_asking_or_running_again(
    modified, calc, workroom, asking, tmp_path
):
    made, _, root = modified
    for name in ("a", "f"):
        lines = (root / name).read_bytes().splitlines(keepends=True)
        (tmp_path / name).write_bytes(b"".join(lines[:3]) + lines[3][:20])
    again, requests = written(
        calc,
        workroom,
        asking,
        honest,
        answers=tmp_path / "a",
        findings=tmp_path / "f",
        resume=True,
    )
    assert again.tasks == made.tasks
    assert requests == 1  # of three, the one whose answer was cut off


def test_who_rewrites_well_leaves_nothing_to_find(calc, workroom, asking):
    made, requests = written(
        calc,
        workroom,
        asking,
        lambda messages: say(fenced(source(name_in(messages)))),
        by="rewrite",
    )
    assert made.tasks == ()
    assert requests == 3  # a right answer is not sent back
    assert made.funnel.rejected == {"unchanged": 3}
    assert dict(made.funnel.steps)["candidates"] == 3


def test_a_natural_mistake_in_a_rewrite_is_a_task(calc, workroom, asking):
    natural = (
        'def largest(values):\n    """The largest value, or None."""\n    return max(values[1:])'
    )

    def script(messages):
        name = name_in(messages)
        return say(fenced(natural.replace("[1:]", "[2:]") if name == "largest" else source(name)))

    made, _ = written(calc, workroom, asking, script, by="rewrite")
    (task,) = made.tasks
    assert task.operators == ("lm_rewrite",)
    assert task.FAIL_TO_PASS == ("tests/test_calc.py::test_largest",)
    assert made.funnel.rejected == {"unchanged": 2}


@pytest.fixture
def found(modified, tmp_path) -> dict[str, object]:
    """What the job found already, so that only what is asked is new."""
    (tmp_path / "found").write_bytes((modified[2] / "f").read_bytes())
    return {"findings": tmp_path / "found", "resume": True}


def test_a_fault_is_sent_back_once_with_its_reason(calc, workroom, asking, found):
    seen: list[str] = []

    def script(messages):
        if len(messages) == 2:
            return say(fenced(source(name_in(messages))))
        seen.append(messages[-1]["content"])
        return honest(messages)

    made, requests = written(calc, workroom, asking, script, **found)
    assert (len(made.tasks), requests) == (3, 6)
    assert all("Kind: " in said and "comments, docs or layout" in said for said in seen)


@pytest.mark.parametrize(
    ("reply", "reason", "requests"),
    [
        (say("no idea"), "kind", 6),
        (Reply(content="```python\n", finish_reason="length"), "cut_off", 6),
        (Reply(body=b"<html>"), "no_answer", 3),
    ],
)
def test_what_stays_unusable_is_refused_with_its_reason(
    calc, workroom, asking, reply, reason, requests
):
    made, asked = written(calc, workroom, asking, lambda _: reply)
    assert made.funnel.rejected == {reason: 3}
    assert made.funnel.by_operator[0].operator == "lm_modify"
    assert asked >= requests


def test_the_same_change_is_not_made_twice(calc, workroom, asking, found):
    made, requests = written(calc, workroom, asking, honest, limit=9, attempts=2, **found)
    assert len(made.tasks) == 3
    assert made.funnel.rejected == {"repeated": 3}
    assert requests == 3 + 2 * 3


def test_questions_end_the_job(calc, workroom, asking, found):
    made, requests = written(
        calc, workroom, asking, honest, limit=9, attempts=9, questions=3, **found
    )
    assert (len(made.tasks), requests) == (3, 3)


def test_a_dead_endpoint_ends_the_job_and_keeps_what_was_answered(
    calc, workroom, asking, found, tmp_path
):
    left = [2]

    def script(messages):
        left[0] -= 1
        return honest(messages) if left[0] >= 0 else Reply(status=401, content="the key expired")

    with pytest.raises(ModelError):
        written(calc, workroom, asking, script, answers=tmp_path / "a", **found)
    made, requests = written(calc, workroom, asking, honest, answers=tmp_path / "a", **found)
    assert (len(made.tasks), requests) == (3, 1)


def test_functions_are_chosen_by_coverage_and_size(calc):
    texts = {"calc.py": CALC + "\n\ndef unreached(a):\n    return a if a > 1 and a < 3 else 2\n"}

    def names(**options):
        settings = WrittenSettings(**options)
        return [t.function.name for t in usable_functions(texts, calc.baseline, settings, PYTHON)]

    assert sorted(names()) == ["clamp", "largest", "mean"]
    assert names(min_complexity=6) == ["largest"]
    assert names(max_lines=4) == []
    assert len({tuple(names(seed=seed)) for seed in range(9)}) > 1


CHECK = "    if not values:\n        return 0\n"


@pytest.fixture(scope="module")
def mirrored(calc, workroom, asking, tmp_path_factory):
    path = tmp_path_factory.mktemp("mirror") / "f"
    after = CALC.replace('"""Small sums."""\n', "")  # today's text has moved on since
    past = [Past(commit="0" * 40, files={"calc.py": (after.replace(CHECK, ""), after)})]
    options = {"by": "mirror", "past": past, "findings": path}
    return (*written(calc, workroom, asking, [], **options), path)


def test_a_change_is_undone_by_a_merge_without_a_model(mirrored):
    made, requests, _ = mirrored
    (task,) = made.tasks
    assert (task.operators, requests) == (("pr_mirror",), 0)
    assert task.FAIL_TO_PASS == ("tests/test_calc.py::test_mean_of_nothing",)
    assert "+    if not values:" in task.patch
    assert made.funnel.by_operator[0].operator == "pr_mirror"


def test_a_conflict_is_for_the_model(mirrored, calc, workroom, asking):
    after = CALC.replace(CHECK, "    if not values: return 0\n")
    before = after.replace("    if not values: return 0\n", "")
    past = [Past(commit="0" * 40, files={"calc.py": (before, after)})]
    undone = fenced(CALC.replace(CHECK, "").rstrip())
    options = {"by": "mirror", "past": past, "findings": mirrored[2], "resume": True}
    made, requests = written(calc, workroom, asking, lambda _: say(undone), **options)
    assert (made.tasks, requests) == (mirrored[0].tasks, 1)


def test_changes_that_leave_nothing_are_refused(calc, workroom, asking):
    gone = Past(commit="0" * 40, files={"calc.py": (CALC, CALC + "# end\n")})
    docs = Past(commit="1" * 40, files={"calc.py": (CALC.replace("Small", "Some"), CALC)})
    made, _ = written(calc, workroom, asking, [], by="mirror", past=[gone, docs])
    assert made.tasks == ()
    assert made.funnel.rejected["unchanged"] >= 1


def test_functions_need_a_model(calc, workroom):
    async def go():
        boxes = provider()
        try:
            await write(
                calc.repository,
                calc.baseline,
                provider=boxes,
                store=workroom.store,
                settings=WrittenSettings(by="rewrite"),
                answers=None,
            )
        finally:
            await boxes.close()

    with pytest.raises(UsageError, match="written by a model") as caught:
        asyncio.run(go())
    assert "--base-url" in caught.value.mend


def test_findings_of_other_settings_are_refused(modified, calc, workroom, asking, tmp_path):
    _, _, root = modified
    (tmp_path / "f").write_bytes((root / "f").read_bytes())
    with pytest.raises(UsageError, match="another job"):
        written(calc, workroom, asking, honest, findings=tmp_path / "f", resume=True, seed=5)
