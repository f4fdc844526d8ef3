"""The part of ``regreen tasks inject`` that asks a model: bugs it writes, and issues about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.inference import ChatClient, Message
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.repository import Repository
from regreen.tasks.inject.prover import Progress
from regreen.tasks.prove.baseline import Baseline
from regreen.tasks.tell.retell import retell
from regreen.tasks.written.answers import Answers
from regreen.tasks.written.issue import Example, opening, read_examples
from regreen.tasks.written.job import Written, WrittenSettings, write
from regreen.tasks.written.mirror import Past
from regreen.tasks.written.past import past_changes

__all__ = ["By", "check_flags", "inject_written"]

By = Literal["rules", "rewrite", "modify", "mirror"]


def check_flags(
    by: By, *, rules: dict[str, object], model: dict[str, object], client: bool, issues: Path | None
) -> None:
    """Refuse flags of the other kind of job, before anything is fetched.

    Args:
        by: who makes the bugs.
        rules: flags for rules alone, by name; None or empty when not given.
        model: flags for a model alone, likewise.
        client: whether an endpoint is given.
        issues: file of issues to imitate.

    Raises:
        UsageError: a flag that has no effect, or no endpoint where one is needed.
    """
    idle = model if by == "rules" else rules
    given = [name for name, value in idle.items() if value]
    if given:
        kind = "a model's bugs" if by == "rules" else "bugs made by rule"
        msg = f"{given[0]} is for {kind}, and this job is --by {by}"
        raise UsageError(msg, where=given[0], mend="leave it out, or give another --by")
    if not client and (by in ("rewrite", "modify") or issues):
        msg = "this needs a model, and none is given"
        where = "--issues" if issues else f"--by {by}"
        raise UsageError(msg, where=where, mend="add --base-url URL/v1 --model NAME")
    read_examples(issues)


async def inject_written(
    source: str,
    repository: Repository,
    baseline: Baseline,
    client: ChatClient | None,
    *,
    provider: SandboxProvider,
    store: LayerStore,
    settings: WrittenSettings,
    workers: int,
    out: Path,
    findings: Path,
    resume: bool,
    issues: Path | None,
    console: Console,
    report: Callable[[Progress], None],
) -> Written:
    """Have a model write bugs and, with an endpoint, the issues about those that hold.

    Args:
        source: as given on the command line.
        repository: made ready.
        baseline: of its healthy suite.
        client: the model; None for merges alone.
        provider: makes the boxes.
        store: holds layers and clones.
        settings: what to make.
        workers: candidates, and questions, at once.
        out: the taskset; the model's answers are kept beside it.
        findings: file of findings.
        resume: go on with what it holds.
        issues: issues to imitate; ours when None.
        console: told what is going on.
        report: told after every candidate.
    """
    with ExitStack() as stack:
        answers = None
        if client:
            path = out.with_name(out.name + ".answers.jsonl")
            answers = stack.enter_context(Answers(client, path, workers=workers))
        past: Iterable[Past] = ()
        if settings.by == "mirror":
            texts = repository.texts()
            past = past_changes(repository.checkout, texts, url=source, store=store)
        made = await write(
            repository,
            baseline,
            provider=provider,
            store=store,
            settings=settings,
            answers=answers,
            past=past,
            workers=workers,
            findings=findings,
            resume=resume,
            report=report,
        )
        if answers is None:
            return made
        begin = partial(_opening, made, read_examples(issues))
        told = await retell(made.tasks, answers, workers=workers, note=console.note, opening=begin)
        cost = f" for {answers.cost:.4f}" if answers.cost else ""
        console.note(f"{answers.questions} questions to {answers.endpoint.model}{cost}")
        return replace(made, tasks=tuple(told))


def _opening(made: Written, examples: tuple[Example, ...], task: Task) -> list[Message]:
    return opening(task, made.evidence[task.instance_id], examples)
