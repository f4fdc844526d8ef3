"""A change proved by execution: red before, green after, on both sides three times over.

The repaired state runs first. It shows whether the environment carries the suite at all, and how
long a healthy test takes, so that a state before which hangs is a failure and not a long wait.
Repeats differ in hash seed, test order and clock; what does not agree in all of them is named and
left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from regreen.grading.protect import Protection
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.tasks.mine.chance import depends_on_hash, draws_lots
from regreen.tasks.mine.ground import Ground
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.shown import (
    CASES,
    MOST_WORKERS,
    bearable,
    blame,
    can_be_told,
    check_collection,
    check_packages,
    costly,
    is_red,
    lost_tests,
    nearest,
    touched_tests,
)
from regreen.tasks.mine.split import Split
from regreen.tasks.mine.states import States
from regreen.tasks.prove.bench import PERTURBATIONS, Perturbation

__all__ = ["Patience", "Proof", "examine"]

_MIN_SECONDS = 5.0
_CHANCES = 7
_MOST_CASES = 500
"""Of a parametrized function; a row has no room for more."""
_MESSAGES = 6
_PRINT = b'\nprint("\\n1000 passed in 0.01s")\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how much is run."""

    test_seconds: float = 60.0
    """Wall seconds of one test of the repaired state."""
    run_seconds: float = 600.0
    """Wall seconds of one run."""
    pass_to_pass: int = 250
    """Most tests that must stay green; the nearest to the change are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What running showed of a change that holds."""

    fail_to_pass: tuple[str, ...]
    """Failed in every run before, passed in every run after."""
    pass_to_pass: tuple[str, ...]
    """Passed in all runs."""
    flaky: tuple[str, ...]
    """Tests whose repeats disagreed."""
    import_errors: tuple[str, ...]
    """Test files that cannot be imported before the change."""
    messages: Mapping[str, str]
    """Failure texts of the first run before, by test."""
    lines: Mapping[str, tuple[int, ...]]
    """Lines of its file that a test's failure went through."""
    slowest: float
    """Wall seconds of the slowest test of the repaired state."""
    hash_seed: int
    """Seed under which the tests fail before; 0 unless only some seeds show the fault."""
    controls: tuple[tuple[str, float, float], ...]
    """Name, expected score and score of each patch with a known right score."""


@dataclass(slots=True)
class _Trial:
    """Runs of one change on one ground."""

    ground: Ground
    states: States
    split: Split
    patience: Patience
    spared: tuple[str, ...] = ()
    cpu: float = 0.0
    slowest: float = 0.0
    runs: dict[str, list[SuiteRun]] = field(default_factory=lambda: {"before": [], "after": []})

    async def run(
        self,
        side: str,
        perturbation: Perturbation,
        *,
        paths: Sequence[str] = (),
        tests: Sequence[str] | None = None,
        files: Mapping[str, bytes | None] | None = None,
        messages: int = 0,
    ) -> SuiteRun:
        """One run of one side."""
        own = self.states.before if side == "before" else self.states.after
        limit = self.patience.test_seconds
        if self.slowest:
            limit = min(limit, max(_MIN_SECONDS, 10 * self.slowest))
        request = TestRequest(
            tests=None if tests is None else tuple(tests),
            exclude=self.spared if tests is None else (),
            cases=CASES if tests is None else 0,
            whole=touched_tests(self.split) if tests is None else (),
            cases_of_whole=_MOST_CASES if tests is None else 0,
            paths=tuple(paths),
            args=self.ground.place.args,
            files=own if files is None else files,
            modes=self.states.modes[side],
            order_seed=perturbation.order_seed,
            clock_offset=perturbation.clock_offset,
            test_timeout=limit,
            collect_timeout=60.0,
            total_timeout=self.patience.run_seconds,
            max_workers=MOST_WORKERS,
            messages=messages,
        )
        made = await self.ground.bench.run(request, hash_seed=perturbation.hash_seed)
        self.cpu += made.cpu
        self.runs[side].append(made)
        return made


async def examine(
    ground: Ground,
    states: States,
    split: Split,
    others: Sequence[str],
    *,
    patience: Patience,
    spent: list[float],
    spared: Sequence[str] = (),
) -> Proof:
    """Prove a change on a ground.

    Args:
        ground: environment and runners.
        states: the change's two states there.
        split: the change, divided.
        others: test files of the repaired state that the change does not touch, nearest first.
        patience: how long and how much is run.
        spared: test functions that are not worth their cost.
        spent: receives the CPU seconds of the runs, also when the change is rejected.

    Raises:
        Rejected: with the reason; those that begin with ``environment`` speak of the ground.
        InfrastructureError: the boxes failed.
    """
    trial = _Trial(ground, states, split, patience, tuple(spared))
    try:
        return await _examined(trial, others)
    finally:
        spent.append(trial.cpu)


async def _examined(trial: _Trial, others: Sequence[str]) -> Proof:
    plain = PERTURBATIONS[0]
    paths = (*trial.split.test_files, *others)
    after = await trial.run("after", plain, paths=paths, messages=1)
    check_collection(after, trial.split)
    dear, own = costly(after), set(touched_tests(trial.split))
    trial.spared += tuple(
        sorted(name for name in dear if not {name, name.partition("::")[0]} & own)
    )
    spared = frozenset(trial.spared)
    passed = [test for test in after.collected if after.outcome(test).passed and can_be_told(test)]
    passed = [test for test in passed if test.partition("[")[0] not in spared]
    trial.slowest = max((after.tests[test].seconds for test in passed), default=0.0)
    before = await trial.run("before", plain, paths=paths, messages=_MESSAGES)
    check_packages(after, before, trial.ground.anchor, trial.split)
    failing = bearable(before, [test for test in passed if is_red(before, test)])
    if not failing:
        plain, before, failing = await _other_seeds(trial, passed, before)
    if not failing:
        await _refuse_luck(trial, after)
        blame(after, trial.split)
    passing = [test for test in passed if before.outcome(test).passed]
    passing = [test for test in passing if test.partition("[")[0] not in dear] or passing
    passing = nearest(passing, trial.split)[: trial.patience.pass_to_pass]
    fail_to_pass, pass_to_pass, flaky = await _repeated(trial, plain, failing, passing)
    if not fail_to_pass:
        told = _wavering(trial, failing[0])
        raise Rejected(Reason.UNSTABLE, f"{failing[0]} and {len(failing) - 1} more: {told}")
    if not pass_to_pass:
        raise Rejected(Reason.NO_PASS_TO_PASS)
    controls = await _controls(trial, plain, fail_to_pass, pass_to_pass)
    if any(expected != score for _, expected, score in controls):
        wrong = next(name for name, expected, score in controls if expected != score)
        raise Rejected(Reason.CONTROL, wrong)
    base = {path: old.data for path, (old, _) in trial.split.source.items() if old}
    if leaks := trial.ground.gate.leaks(trial.split.patch, base):
        raise Rejected(Reason.LEAKED, leaks[0])
    records = {test: before.tests[test] for test in fail_to_pass if test in before.tests}
    return Proof(
        fail_to_pass=tuple(fail_to_pass),
        pass_to_pass=tuple(pass_to_pass),
        flaky=tuple(flaky),
        import_errors=tuple(sorted(before.collect_errors)),
        messages={test: one.message for test, one in records.items() if one.message}
        | {f"{path}::": text for path, text in before.collect_errors.items()},
        lines={test: one.lines for test, one in records.items()},
        slowest=trial.slowest,
        hash_seed=plain.hash_seed,
        controls=controls,
    )


async def _other_seeds(
    trial: _Trial, passed: Sequence[str], first: SuiteRun
) -> tuple[Perturbation, SuiteRun, list[str]]:
    """A repair of non-determinism is red under some hash seeds only: look for one."""
    if trial.split.touched and not depends_on_hash(trial.split):
        return PERTURBATIONS[0], first, []
    near = nearest(passed, trial.split)[: trial.patience.pass_to_pass]
    for other in PERTURBATIONS[1:]:
        plain = replace(PERTURBATIONS[0], hash_seed=other.hash_seed)
        run = await trial.run("before", plain, tests=near, messages=_MESSAGES)
        failing = bearable(run, [test for test in near if is_red(run, test)])
        if failing:
            return plain, run, failing
    return PERTURBATIONS[0], first, []


async def _refuse_luck(trial: _Trial, after: SuiteRun) -> None:
    """A repair that is green under some hash seeds only is no fault of its environment.

    Raises:
        Rejected: some test that failed after the change passes under another seed.
    """
    lost = lost_tests(after, trial.split)
    if not lost or not depends_on_hash(trial.split):
        return
    for other in PERTURBATIONS[1:]:
        plain = replace(PERTURBATIONS[0], hash_seed=other.hash_seed)
        run = await trial.run("after", plain, tests=lost)
        lucky = [test for test in lost if run.outcome(test).passed]
        if lucky:
            raise Rejected(Reason.UNSTABLE, f"{lucky[0]} passes under some hash seeds only")


async def _repeated(
    trial: _Trial, plain: Perturbation, failing: Sequence[str], passing: Sequence[str]
) -> tuple[list[str], list[str], list[str]]:
    """What holds in two more perturbed repeats of each side, and what does not."""
    tests = (*failing, *passing)
    red, green, after_green = set(failing), set(passing), set(tests)
    for other in PERTURBATIONS[1:]:
        seeded = other if plain.hash_seed == 0 else replace(other, hash_seed=plain.hash_seed)
        before = await trial.run("before", seeded, tests=tests)
        after = await trial.run("after", other, tests=tests)
        red = {test for test in red if is_red(before, test)}
        green = {test for test in green if before.outcome(test).passed}
        after_green = {test for test in after_green if after.outcome(test).passed}
    await _draw_again(trial, [test for test in failing if test in red & after_green], after_green)
    kept = [test for test in failing if test in red & after_green]
    stay = [test for test in passing if test in green & after_green]
    return kept, stay, sorted(set(tests) - {*kept, *stay})


def _wavering(trial: _Trial, test: str) -> str:
    """What became of a test in every run of each side, and of the runs that ended early."""
    told = []
    for side, runs in trial.runs.items():
        ends = (f"{run.outcome(test).value} ({run.problem})" if run.problem else
                run.outcome(test).value for run in runs)  # fmt: skip
        told.append(f"{side} {', '.join(ends)}")
    return "; ".join(told)


async def _draw_again(trial: _Trial, tests: Sequence[str], green: set[str]) -> None:
    """Take tests away that luck alone had made green: what draws lots is run ten times in all."""
    lots = draws_lots(trial.split, tests)
    for number in range(_CHANCES if lots else 0):
        run = await trial.run("after", PERTURBATIONS[number % len(PERTURBATIONS)], tests=lots)
        green -= {test for test in lots if not run.outcome(test).passed}


async def _controls(
    trial: _Trial, plain: Perturbation, failing: Sequence[str], passing: Sequence[str]
) -> tuple[tuple[str, float, float], ...]:
    """Scores of patches with a known right score.

    The grader drops what a patch does to tests and runner settings, so deleting or skipping the
    tests leaves the state before, which was seen to fail. What changes the graded files is run.
    """
    tests = frozenset(name.partition("::")[0] for name in (*failing, *passing))
    protection = Protection(tests)
    removed = all(protection.covers(name) for name in tests)
    skipping = removed and protection.covers("conftest.py")
    scores = [("no_op", 0.0, 0.0), ("gold", 1.0, 1.0)]
    scores += [("delete_tests", 0.0, float(not removed)), ("skip_tests", 0.0, float(not skipping))]
    additions = _additions(trial.split)
    # what leaves the tests red together leaves them red alone: one prints, the other is a comment
    both = {
        path: b"".join(one[path] for one in additions.values()) for path in additions["key_string"]
    }
    green = dict.fromkeys(additions, False)
    if await _turns_green(trial, plain, failing[0], both):
        for name, added in additions.items():
            green[name] = await _turns_green(trial, plain, failing[0], added)
    return (*scores, *((name, 0.0, float(passed)) for name, passed in green.items()))


async def _turns_green(
    trial: _Trial, plain: Perturbation, test: str, added: Mapping[str, bytes]
) -> bool:
    """Whether a test passes on the state before with text added to the ends of its files."""
    old = {path: pair[0].data for path, pair in trial.split.source.items() if pair[0]}
    files = {**trial.states.before, **{path: old[path] + text for path, text in added.items()}}
    run = await trial.run("before", plain, tests=(test,), files=files)
    return run.outcome(test).passed


def _additions(split: Split) -> dict[str, dict[str, bytes]]:
    """A printed success, and the repair's own lines as text only; by file."""
    printed, keyed = {}, {}
    for path, (old, new) in split.source.items():
        if old is None or not path.endswith(".py"):
            continue
        before = set(old.data.splitlines())
        added = [line for line in (new.data if new else b"").splitlines() if line not in before]
        printed[path] = _PRINT
        keyed[path] = b"".join(b"\n# " + line.strip() for line in added) + b"\n"
    return {"print_passed": printed, "key_string": keyed}
