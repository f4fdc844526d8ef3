"""A verified candidate as a task row."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from regreen.core.task import Control, Difficulty, Task, Twins, Validation, base_message
from regreen.grading.patch import FileState, patch_between
from regreen.grading.twins import GENERATOR
from regreen.tasks.build.repository import Repository, changed_blobs
from regreen.tasks.inject.candidate import Candidate, Finding
from regreen.tasks.inject.validate import gold_patch
from regreen.tasks.language.base import Language
from regreen.tasks.prove.bench import PERTURBATIONS
from regreen.tasks.repo.tree import commit_id
from regreen.tasks.tell.describe import safest, symptom
from regreen.tasks.tell.leaks import changed_lines, leaks

__all__ = ["Assembler"]


class Assembler:
    """Builds task rows of one repository; what they share is computed once."""

    def __init__(
        self, repository: Repository, seconds: Mapping[str, float], language: Language
    ) -> None:
        self.repository = repository
        self.language = language
        self._seconds = seconds
        self._blobs = repository.blobs()
        self._environment = repository.environment()
        self.tests = _test_texts(repository, language)
        """Text of every file that failing tests may stand in."""
        self._hidden: dict[tuple[str, ...], str] = {}

    def task(self, candidate: Candidate, finding: Finding) -> Task:
        """The row of one verified candidate."""
        checkout = self.repository.checkout
        triggering = (*finding.fail_to_pass, *finding.unrun)
        hidden = tuple(sorted({name.partition("::")[0] for name in triggering}))
        patch = gold_patch(candidate)
        broken = {path: text for path, (_, text) in candidate.files.items()}
        tree = changed_blobs(self._blobs, broken, hidden)
        operators = tuple(dict.fromkeys(candidate.operators))
        label = operators[0] if len(operators) == 1 else f"combined_{len(candidate.operators)}"
        label = re.sub(r"[^A-Za-z0-9_-]+", "-", label)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", checkout.name)
        return Task(
            instance_id=f"{name}-{checkout.commit[:7]}.{label}.{candidate.identity[:10]}",
            repo=checkout.repo,
            base_commit=commit_id(tree, date=checkout.date, message=base_message(checkout.repo)),
            patch=patch,
            test_patch=self._test_patch(hidden),
            problem_statement=self._statement(candidate, finding, hidden, patch),
            created_at=checkout.date.isoformat(),
            version=checkout.version,
            FAIL_TO_PASS=finding.fail_to_pass,
            PASS_TO_PASS=finding.pass_to_pass,
            environment_setup_commit=checkout.commit,
            environment=self._environment,
            eval_script=_eval_script(finding, self.language),
            language=self.language.name,
            source="injected",
            operators=operators,
            difficulty=_difficulty(candidate, finding, patch),
            validation=Validation(
                repeats_before=len(PERTURBATIONS),
                repeats_after=len(PERTURBATIONS) + 1,
                controls=tuple(
                    Control(name=n, expected=e, score=s) for n, e, s in finding.controls
                ),
                slowest_test=self._slowest(finding),
                flaky=finding.flaky,  # and no timing: the same job gives the same bytes
            ),
            license=checkout.license,
            twins=Twins(generator=GENERATOR, proved=finding.twins),
        )

    def _slowest(self, finding: Finding) -> float:
        """Rounded up to a power of two, so that the same job gives the same bytes."""
        tests = (*finding.fail_to_pass, *finding.pass_to_pass)
        seconds = max((self._seconds.get(test, 0.0) for test in tests), default=0.0)
        return 2.0 ** math.ceil(math.log2(max(1.0, seconds)))

    def _test_patch(self, hidden: tuple[str, ...]) -> str:
        if hidden not in self._hidden:
            root = self.repository.checkout.tree.path
            states = {name: FileState.read(root / name) for name in hidden}
            self._hidden[hidden] = patch_between({}, states)
        return self._hidden[hidden]

    def _statement(
        self, candidate: Candidate, finding: Finding, hidden: tuple[str, ...], patch: str
    ) -> str:
        """The fullest statement that gives nothing away."""
        seen = [symptom(message, self.tests) for message in finding.messages]
        rules = {
            "tests": finding.fail_to_pass,
            "paths": (*candidate.files, *hidden),
            "secrets": changed_lines(patch),
        }
        return safest(
            [item for item in seen if item],
            name=self.repository.checkout.name,
            key=candidate.identity,
            leaky=lambda text: bool(leaks(text, **rules)),
        )


def _test_texts(repository: Repository, language: Language) -> dict[str, str]:
    """Files that are not the library's: failing tests stand in these."""
    root = repository.checkout.tree.path
    names = language.sources(root, where=repository.checkout.spec).tests
    return {name: (root / name).read_bytes().decode("utf-8", "replace") for name in names}


def _difficulty(candidate: Candidate, finding: Finding, patch: str) -> Difficulty:
    lines = sum(1 for line in patch.splitlines() if re.match(r"^(\+(?!\+\+)|-(?!--))", line))
    return Difficulty(
        files=len(candidate.files),
        lines=lines,
        fail_to_pass=len(finding.fail_to_pass),
        covering_tests=len(candidate.covering),
    )


def _eval_script(finding: Finding, language: Language) -> str:
    """For other harnesses; ours names tests to its own runner and reads no output."""
    files = sorted({t.partition("::")[0] for t in (*finding.fail_to_pass, *finding.pass_to_pass)})
    quoted = " ".join("'" + name.replace("'", "'\"'\"'") + "'" for name in files)
    return f"#!/bin/sh\ncd /testbed && {language.command.format(files=quoted)}\n"
