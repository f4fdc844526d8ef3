"""A change proved by execution: red before, green after, on both sides three times over.

The repaired state runs first. It shows whether the environment carries the suite at all, and how
long a healthy test takes, so that a state before which hangs is a failure and not a long wait.
Repeats differ in hash seed, test order and clock; what does not agree in all of them is named and
left out.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from regreen.core.verdict import Outcome
from regreen.grading.protect import Protection
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.tasks.mine.chance import depends_on_hash, draws_lots
from regreen.tasks.mine.ground import Ground
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.split import Split
from regreen.tasks.mine.states import States
from regreen.tasks.prove.bench import PERTURBATIONS, Perturbation

__all__ = ["Patience", "Proof", "examine"]

MIN_COLLECTED = 0.9
"""Share of the expected test functions that an environment must collect (KAT-Coder's rule)."""
_FAILING = frozenset(
    (Outcome.FAILED, Outcome.ERROR, Outcome.TIMEOUT, Outcome.CRASHED, Outcome.MISSING)
)
_FATAL = frozenset((Outcome.TIMEOUT, Outcome.CRASHED))
_MOST_WORKERS = 8
_MIN_SECONDS = 5.0
_CHANCES = 7
_CASES = 20
"""Of a parametrized function that the change does not touch."""
_MOST_CASES = 500
"""Of a parametrized function; a row has no room for more."""
_COSTLY = 1.0
"""CPU seconds."""
_STATUS = {
    2: "pytest was interrupted while it collected",
    3: "pytest failed by itself while it collected",
    4: "pytest refuses its options, its settings or a conftest",
}
"""What pytest's exit status says where it gives no other reason."""
_MESSAGES = 6
_NO_MODULE = re.compile(r"(?:ModuleNotFound|Import)Error: No module named '?(\w+)")
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
            cases=_CASES if tests is None else 0,
            whole=_touched(self.split) if tests is None else (),
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
            max_workers=_MOST_WORKERS,
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
    _check_collection(after, trial.split)
    trial.spared += _costly(after, trial.split)
    spared = frozenset(trial.spared)
    passed = [test for test in after.collected if after.outcome(test).passed and _told(test)]
    passed = [test for test in passed if test.partition("[")[0] not in spared]
    trial.slowest = max((after.tests[test].seconds for test in passed), default=0.0)
    before = await trial.run("before", plain, paths=paths, messages=_MESSAGES)
    _check_packages(after, before, trial)
    failing = _bearable(before, [test for test in passed if _red(before, test)])
    if not failing:
        plain, before, failing = await _other_seeds(trial, passed, before)
    if not failing:
        await _refuse_luck(trial, after)
        _blame(after, trial.split)
    passing = [test for test in passed if before.outcome(test).passed]
    passing = _nearest(passing, trial.split)[: trial.patience.pass_to_pass]
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


def _touched(split: Split) -> tuple[str, ...]:
    """Test functions that the change writes, and files of which nobody knows them."""
    return tuple(
        name
        for path, names in split.touched.items()
        for name in ([path] if names is None else [f"{path}::{one}" for one in names])
    )


def _nearest(tests: Sequence[str], split: Split) -> list[str]:
    """Tests of changed files first; of one function no more than some cases before all others."""
    seen: Counter[str] = Counter()
    places = {}
    for test in tests:
        path, _, _ = test.partition("::")
        function, _, _ = test.partition("[")
        places[test] = (seen[function] >= _CASES, path not in split.test_files)
        seen[function] += 1
    return sorted(tests, key=places.__getitem__)


def _told(test: str) -> bool:
    """Whether a row can hold the name of a test: half characters are no text."""
    return test.isascii() or test.encode("utf-8", "replace").decode() == test


def _red(before: SuiteRun, test: str) -> bool:
    """Whether a test failed before; one that was collected and never had its turn did not."""
    waiting = test in before.collected and test not in before.tests
    return not waiting and before.outcome(test) in _FAILING


def _bearable(before: SuiteRun, failing: Sequence[str]) -> list[str]:
    """Failing tests without most of those that end their process.

    Each takes a worker along. Were there more of them than a run has workers, the repeats would end
    before they came to the others.
    """
    fatal = [test for test in failing if before.outcome(test) in _FATAL]
    return [test for test in failing if test not in fatal[_MOST_WORKERS - 2 :]]


def _check_collection(run: SuiteRun, split: Split) -> None:
    """Whether the environment carries the tests of the change.

    Raises:
        Rejected: it does not.
    """
    if "time limit of the run" in run.problem:
        raise Rejected(Reason.TOO_SLOW, f"{len(run.tests)} of {len(run.collected)} tests had ended")
    errors = [run.collect_errors[path] for path in split.test_files if path in run.collect_errors]
    errors += run.collect_errors.values()
    own = [test for test in run.collected if test.partition("::")[0] in split.test_files]
    if not own:
        words = next(iter(errors), run.problem) or _STATUS.get(run.status or 0, "no test is there")
        raise Rejected(Reason.ENVIRONMENT_COLLECT, _last_line(words))
    if run.problem and not any(run.outcome(test).passed for test in own):
        raise Rejected(Reason.ENVIRONMENT_COLLECT, _last_line(run.problem))
    expected = {f"{path}::{name}" for path, names in split.touched.items() for name in names or ()}
    there = len(expected & {test.partition("[")[0] for test in own})
    if expected and there < MIN_COLLECTED * len(expected) and errors:
        detail = f"{there} of {len(expected)}: {_last_line(errors[0])}"
        raise Rejected(Reason.ENVIRONMENT_COLLECT, detail)


def _check_packages(after: SuiteRun, before: SuiteRun, trial: _Trial) -> None:
    """Whether the environment, made for a state after, has what the state before imports.

    Raises:
        Rejected: a package is missing, so tests would be red that the repair does not cure.
    """
    missing = {
        name
        for path, text in before.collect_errors.items()
        if path not in after.collect_errors
        for name in _NO_MODULE.findall(text)
    }
    if missing:
        paths = (*trial.ground.anchor, *trial.split.source, *trial.split.tests)
        own = {part.partition(".")[0] for path in paths for part in path.split("/")}
        if foreign := sorted(missing - own - sys.stdlib_module_names):
            detail = f"No module named {foreign[0]!r} before the change"
            raise Rejected(Reason.ENVIRONMENT_COLLECT, detail)


def _costly(run: SuiteRun, split: Split) -> tuple[str, ...]:
    """Functions that the change does not touch and that every judge would wait for.

    Where they are most of the suite there is nothing else, and none is left out.
    """
    spent: dict[str, float] = {}
    for test, record in run.tests.items():
        function = test.partition("[")[0]
        spent[function] = spent.get(function, 0.0) + record.cpu
    own = {f"{path}::{name}" for path, names in split.touched.items() for name in names or ()}
    whole = {path for path, names in split.touched.items() if names is None}
    found = sorted(
        name
        for name, seconds in spent.items()
        if seconds > _COSTLY and name not in own and name.partition("::")[0] not in whole
    )
    return tuple(found) if 2 * len(found) < len(spent) else ()


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()] or [""]
    own = [line[1:] for line in lines if line.startswith("E  ")]
    return " ".join((own or lines)[-1].split())[:300]


def _blame(after: SuiteRun, split: Split) -> None:
    """No test turned green: is the change to blame, or the ground?

    Raises:
        Rejected: always.
    """
    lost = _lost(after, split)
    errors = [after.collect_errors[one] for one in split.test_files if one in after.collect_errors]
    if lost or errors:
        if lost and all(after.outcome(test) is Outcome.TIMEOUT for test in lost):
            raise Rejected(Reason.TOO_SLOW, f"{lost[0]} does not end with the fix in place")
        text = after.tests[lost[0]].message if lost and lost[0] in after.tests else ""
        text = text or next(iter(errors), "")
        raise Rejected(Reason.ENVIRONMENT_FAILS, f"{lost[:1]}: {_last_line(text)}")
    raise Rejected(Reason.NO_FAIL_TO_PASS)


def _lost(after: SuiteRun, split: Split) -> list[str]:
    """New and changed tests that fail with the fix in place; all that fail where none is named."""
    touched = {f"{path}::{name}" for path, names in split.touched.items() for name in names or ()}
    return [
        test
        for test in after.collected
        if after.outcome(test) in _FAILING and (not touched or test.partition("[")[0] in touched)
    ]


async def _other_seeds(
    trial: _Trial, passed: Sequence[str], first: SuiteRun
) -> tuple[Perturbation, SuiteRun, list[str]]:
    """A repair of non-determinism is red under some hash seeds only: look for one."""
    if trial.split.touched and not depends_on_hash(trial.split):
        return PERTURBATIONS[0], first, []
    for other in PERTURBATIONS[1:]:
        plain = replace(PERTURBATIONS[0], hash_seed=other.hash_seed)
        run = await trial.run("before", plain, tests=passed, messages=_MESSAGES)
        failing = _bearable(run, [test for test in passed if _red(run, test)])
        if failing:
            return plain, run, failing
    return PERTURBATIONS[0], first, []


async def _refuse_luck(trial: _Trial, after: SuiteRun) -> None:
    """A repair that is green under some hash seeds only is no fault of its environment.

    Raises:
        Rejected: some test that failed after the change passes under another seed.
    """
    lost = _lost(after, trial.split)
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
        red = {test for test in red if _red(before, test)}
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
    lots = [test for test in tests if draws_lots(trial.split, test)]
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
