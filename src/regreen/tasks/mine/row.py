"""A change that holds, as a task row."""

from __future__ import annotations

import math
import re
import shlex

from regreen.core.task import Control, Difficulty, Environment, Task, Validation
from regreen.tasks.history.source import Origin
from regreen.tasks.mine.examine import Proof
from regreen.tasks.mine.ground import Ground
from regreen.tasks.mine.survey import Survey
from regreen.tasks.prove.bench import PERTURBATIONS

__all__ = ["instance_id", "row"]


def instance_id(repo: str, number: int | None, commit: str) -> str:
    """SWE-bench's form, ``owner__name-123``; without a pull request the commit's first digits."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", repo.replace("/", "__")).strip("-.")
    return f"{name}-{number if number is not None else commit[:10]}"


def row(
    survey: Survey,
    proof: Proof,
    ground: Ground,
    origin: Origin,
    *,
    repaired: str,
    version: str,
) -> Task:
    """Put a row together, all but its words and labels.

    Args:
        survey: the change, read.
        proof: what running it showed.
        ground: where that was.
        origin: the repository.
        repaired: digest of the repaired tree.
        version: release line at the base.
    """
    change, split = survey.change, survey.split
    return Task(
        instance_id=instance_id(origin.repo, change.number, change.commit),
        repo=origin.repo,
        base_commit=change.base,
        patch=split.patch,
        test_patch=split.test_patch,
        problem_statement="",
        created_at=change.date.isoformat(),
        version=version,
        FAIL_TO_PASS=proof.fail_to_pass,
        PASS_TO_PASS=proof.pass_to_pass,
        environment_setup_commit=ground.anchor_commit,
        environment=_environment(survey, ground, origin, repaired),
        eval_script=_eval_script(proof, ground),
        source="mined",
        difficulty=_difficulty(survey, proof),
        validation=Validation(
            repeats_before=len(PERTURBATIONS),
            repeats_after=len(PERTURBATIONS),
            perturbed=ground.place.python.perturbs,
            controls=tuple(Control(name=n, expected=e, score=s) for n, e, s in proof.controls),
            hash_seed=proof.hash_seed,
            slowest_test=_rounded(proof.slowest),
            flaky=proof.flaky,
        ),
        license=survey.outline.license,
    )


def _rounded(seconds: float) -> float:
    """2, 8, 32 …: so few steps that a busy machine rarely tells another than an idle one."""
    return 2.0 * 4.0 ** math.ceil(math.log(max(2.0, seconds) / 2.0, 4.0))


def _environment(survey: Survey, ground: Ground, origin: Origin, repaired: str) -> Environment:
    built = ground.built
    return Environment(
        source=origin.spec,
        commit=survey.change.base,
        repo_layer=repaired,
        patched=True,
        setup_commit=ground.anchor_commit,
        env_layer=built.env.digest,
        build_layer=built.build.digest if built.build else "",
        shim_layer=ground.shim.digest if ground.shim else "",
        python=built.python,
        as_of=built.as_of,
        requirements=built.requirements,
        install=built.install,
        test_command=survey.outline.suite.command.args,
        options=ground.place.args,
        rung=ground.rung,
    )


def _difficulty(survey: Survey, proof: Proof) -> Difficulty:
    lines = survey.split.patch.splitlines()
    return Difficulty(
        files=len(survey.split.source),
        lines=sum(bool(re.match(r"\+(?!\+\+)|-(?!--)", line)) for line in lines),
        fail_to_pass=len(proof.fail_to_pass),
        covering_tests=len(proof.fail_to_pass),
    )


def _eval_script(proof: Proof, ground: Ground) -> str:
    """For other harnesses; ours names tests to its own runner and reads no output."""
    files = sorted({t.partition("::")[0] for t in (*proof.fail_to_pass, *proof.pass_to_pass)})
    words = ["-p", "no:cacheprovider", "-rA", *ground.place.args, *(f"./{name}" for name in files)]
    return f"#!/bin/sh\ncd /testbed && exec python -m pytest {shlex.join(words)}\n"
