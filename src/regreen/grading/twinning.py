"""Perturbed twins of a task's tests: which ones hold, and the files that run them.

A twin is its test with one expectation changed, where the base fails, so honest code fails it. Code
that fakes equality, reads what is expected, or talks to the runner instead of computing, passes it
as it passes the test, and is thereby told apart. Whether a twin holds is never reasoned about: it
is run under the gold patch and under the base, and must fail in both.

Tests and twins are asked for by position: pytest makes node ids of parameters, and an id that did
not change with its parameters would tell a twin from its test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from regreen.core.task import Twin, TwinKind, Twins
from regreen.core.verdict import Outcome
from regreen.grading.slicing import sliced
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.grading.twins import GENERATOR, make_twins, variants
from regreen.grading.twins.plain import strict as strict_form

__all__ = [
    "BROKEN",
    "Side",
    "Target",
    "Trial",
    "TwinFiles",
    "function_of",
    "prove_twins",
    "targets",
    "tests_to_twin",
    "twin_files",
]

Side = Literal["gold", "base"]
SIDES: tuple[Side, ...] = ("gold", "base")
Order = Mapping[str, tuple[str, ...]]
"""Test function to the node ids of its items, in the order of collection."""
PASSING_TWINS = 3
"""PASS_TO_PASS tests that get a twin: a sample is enough to notice who forges them all."""
BROKEN = frozenset((Outcome.FAILED, Outcome.ERROR))
"""What an honest twin ends with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A test that is to have a twin."""

    test: str
    """Node id."""
    position: int
    """Which of its function's items it is."""
    lines: tuple[int, ...] = ()
    """Lines of its file that its failure at the base went through."""


class Trial(Protocol):
    """Tries twins out on the two trees of a task."""

    async def failing(self, side: Side, made: TwinFiles) -> set[str]:
        """The tests whose twins fail on a side, run in a fresh box."""
        ...

    async def passing(self, made: TwinFiles) -> set[str]:
        """The tests that pass under gold as the repeats run them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinFiles:
    """Twins ready to be run in the place of their tests."""

    files: Mapping[str, bytes]
    """Path to the text with the twins, cut down to them."""
    repeats: Mapping[str, bytes]
    """Path to the text with their tests, cut down alike."""
    twins: tuple[Twin, ...]
    """What stands in them."""
    beside: tuple[Twin, ...] = ()
    """Tests that are run with them, unchanged."""

    @property
    def select(self) -> dict[str, tuple[int, ...]]:
        """The tests and their twins alike, by function and position."""
        found: dict[str, list[int]] = defaultdict(list)
        for twin in (*self.twins, *self.beside):
            found["::".join(function_of(twin.test))].append(twin.position)
        return {name: tuple(sorted(places)) for name, places in found.items()}

    def outcomes(self, run: SuiteRun) -> dict[str, Outcome]:
        """The outcome of each test, or twin, in a run of ``select``."""
        select = self.select
        found = {}
        for twin in (*self.twins, *self.beside):
            function = "::".join(function_of(twin.test))
            items = run.order.get(function, ())
            place = select[function].index(twin.position)
            known = len(items) == len(select[function])
            found[twin.test] = run.outcome(items[place]) if known else Outcome.MISSING
        return found

    def request(self, like: TestRequest, *, twins: bool) -> TestRequest:
        """The request that runs the twins, or the tests they are of, alike but for the files.

        Args:
            like: the run of all tests.
            twins: which of the two.
        """
        return replace(
            like,
            tests=None,
            select=self.select,
            files={**like.files, **(self.files if twins else self.repeats)},
            order_of=(),
            messages=0,
            max_workers=1,
        )

    def only(self, tests: set[str]) -> TwinFiles:
        """The same files, for some of the tests."""
        return replace(self, twins=tuple(twin for twin in self.twins if twin.test in tests))


def function_of(test: str) -> tuple[str, str]:
    """File and test function of a node id, its parameters cut off."""
    path, _, rest = test.partition("::")
    return path, rest.partition("[")[0]


def tests_to_twin(failing: Sequence[str], passing: Sequence[str]) -> tuple[str, ...]:
    """All of FAIL_TO_PASS, and a sample of PASS_TO_PASS from other files.

    They are run apart but proved together, which is the same only where they share no table.
    """
    files = {function_of(test)[0] for test in failing}
    beside = [test for test in passing if function_of(test)[0] not in files]
    return (*failing, *beside[:PASSING_TWINS])


def targets(
    tests: Sequence[str], *, order: Order, lines: Mapping[str, tuple[int, ...]]
) -> list[Target]:
    """Tests with their positions and the lines where they fail; those not collected are left out.

    Args:
        tests: node ids.
        order: node ids of their functions, as collected.
        lines: per test, where it fails at the base.
    """
    found = []
    for test in tests:
        items = order.get("::".join(function_of(test)), ())
        if test in items:
            place = items.index(test)
            found.append(Target(test=test, position=place, lines=lines.get(test, ())))
    return found


def twin_files(
    twins: Iterable[Twin], texts: Mapping[str, str], *, seed: str, beside: Iterable[Twin] = ()
) -> TwinFiles:
    """Make the files of some tests' twins.

    Args:
        twins: tests of one function share a kind and an attempt.
        texts: test files by path, as the tests themselves run.
        seed: decides the changed values.
        beside: tests to be run with them as they are.
    """
    wanted = tuple(twin for twin in twins if function_of(twin.test)[0] in texts)
    others = tuple(twin for twin in beside if function_of(twin.test)[0] in texts)
    kept: dict[str, dict[str, bool]] = defaultdict(dict)
    for twin in (*wanted, *others):
        path, function = function_of(twin.test)
        kept[path][function] = twin.strict
    kinds: dict[str, dict[str, TwinKind]] = defaultdict(dict)
    lines: dict[str, dict[str, frozenset[int]]] = defaultdict(dict)
    for twin in wanted:
        path, function = function_of(twin.test)
        kinds[path][function] = twin.kind
        known = lines[path].get(function, frozenset())
        lines[path][function] = known | frozenset(twin.lines)
    attempts: dict[str, dict[str, int]] = defaultdict(dict)
    for twin in wanted:
        path, function = function_of(twin.test)
        attempts[path][function] = twin.attempt
    files, repeats = {}, {}
    for path, functions in kept.items():
        changed = texts[path]
        if kinds[path]:
            changed = make_twins(
                texts[path],
                kinds[path],
                seed=f"{seed}:{path}",
                lines=lines[path],
                attempts=attempts[path],
            ).text
        pair = [sliced(text, functions) for text in (texts[path], changed)]
        firm: dict[str, frozenset[int]] = {
            name: frozenset() for name in sorted(functions) if functions[name]
        }
        strictly = [strict_form(text, firm, seed=f"{seed}:{path}") for text in pair] if firm else []
        forms = [form for form in strictly if form is not None]
        repeats[path], files[path] = (
            text.encode("utf-8", "surrogateescape")
            for text in (forms if len(forms) == len(pair) else pair)
        )
    return TwinFiles(files=files, repeats=repeats, twins=wanted, beside=others)


_Way = tuple[TwinKind, int]
"""A kind and which try it is."""
ATTEMPTS = 2
"""Tries of kind ``value``: its values may be those that the base gives by mistake."""


@dataclass(slots=True)
class _Function:
    """One test function on its way to a twin that holds for all of its items."""

    targets: list[Target]
    left: list[_Way]
    strict: bool
    held: dict[_Way, set[str]] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return not self.left or any(len(held) == len(self.targets) for held in self.held.values())

    def twins(self, way: _Way) -> Iterable[Twin]:
        kind, attempt = way
        for one in self.targets:
            yield Twin(
                test=one.test,
                kind=kind,
                position=one.position,
                lines=one.lines,
                strict=self.strict,
                attempt=attempt,
            )

    def best(self) -> Iterable[Twin]:
        """Twins of the way that holds for most of the items; the stronger one between equals."""
        way, held = max(
            self.held.items(), key=lambda item: len(item[1]), default=(("appended", 0), set())
        )
        return (twin for twin in self.twins(way) if twin.test in held)


async def prove_twins(
    wanted: Sequence[Target], texts: Mapping[str, str], *, seed: str, trial: Trial
) -> Twins:
    """Find for each test the strongest twin that fails under gold and under base.

    The strict form is tried first; where the tests themselves do not pass in it, or nothing holds,
    the plain one. What is returned was run as the judge will run it, all of it together.

    Args:
        wanted: the tests.
        texts: their files, by path.
        seed: decides the changed values.
        trial: runs twins.
    """
    found: list[Twin] = []
    left = list(wanted)
    for strict in (True, False):
        if left:
            twins = await _strongest(left, texts, strict=strict, seed=seed, trial=trial)
            passing = await _passing(twins, texts, seed=seed, trial=trial)
            held = {twin.test for twin in twins} & passing
            lost = {function_of(one.test) for one in left if one.test not in held}
            found += [twin for twin in twins if function_of(twin.test) not in lost]
            spare = [twin for twin in twins if twin.test in held and twin not in found]
            left = [one for one in left if function_of(one.test) in lost]
            if not strict:
                found += spare
    tried_together = len(found) == len(wanted) and len({twin.strict for twin in found}) == 1
    while found and not tried_together:
        held = await _held(found, texts, seed=seed, trial=trial)
        held &= await _passing(found, texts, seed=seed, trial=trial)
        tried_together = len(held) == len(found)
        found = [twin for twin in found if twin.test in held]
    order = {one.test: place for place, one in enumerate(wanted)}
    return Twins(generator=GENERATOR, proved=tuple(sorted(found, key=lambda t: order[t.test])))


async def _strongest(
    wanted: Sequence[Target], texts: Mapping[str, str], *, strict: bool, seed: str, trial: Trial
) -> list[Twin]:
    """Twins that fail on both sides, each function's of the strongest kind that does."""
    functions = _functions(wanted, texts, strict=strict)
    rounds = 0
    while asked := [
        twin
        for state in functions.values()
        if not state.done
        for twin in state.twins(state.left[0])
    ]:
        rounds += 1
        held = await _held(asked, texts, seed=seed, trial=trial)
        for state in functions.values():
            if not state.done:
                state.held[state.left.pop(0)] = held & {one.test for one in state.targets}
    best = [twin for state in functions.values() for twin in state.best()]
    # twins of several rounds share a file for the first time, and tables in it
    while rounds > 1 and best:
        held = await _held(best, texts, seed=seed, trial=trial)
        if len(held) == len(best):
            break
        best = [twin for twin in best if twin.test in held]
    return best


async def _passing(
    twins: Sequence[Twin], texts: Mapping[str, str], *, seed: str, trial: Trial
) -> set[str]:
    """The tests that pass under gold in the form their repeats have."""
    if not twins:
        return set()
    return await trial.passing(twin_files(twins, texts, seed=seed))


async def _held(
    twins: Sequence[Twin], texts: Mapping[str, str], *, seed: str, trial: Trial
) -> set[str]:
    """The tests whose twins, all in the files together, fail on both sides."""
    made = twin_files(twins, texts, seed=seed)
    held = {twin.test for twin in made.twins}
    for side in SIDES:
        held = await trial.failing(side, made.only(held)) if held else held
    return held


def _functions(
    wanted: Sequence[Target], texts: Mapping[str, str], *, strict: bool
) -> dict[str, _Function]:
    functions: dict[str, _Function] = {}
    for one in wanted:
        path, name = function_of(one.test)
        key = f"{path}::{name}"
        if key not in functions:
            functions[key] = _Function(
                targets=[], left=_ways(_kinds(texts.get(path), name)), strict=strict
            )
        functions[key].targets.append(one)
    for key, state in functions.items():
        path, name = function_of(key)
        lines = frozenset(line for one in state.targets for line in one.lines)
        if state.left and lines:
            state.left = _ways(variants(texts[path], name, lines=lines))
    return functions


def _ways(kinds: Iterable[TwinKind]) -> list[_Way]:
    return [
        (kind, attempt) for kind in kinds for attempt in range(ATTEMPTS if kind == "value" else 1)
    ]


def _kinds(text: str | None, function: str) -> list[TwinKind]:
    """Kinds a function may have; none when its file is no Python of ours."""
    try:
        return list(variants(text, function)) if text is not None else []
    except (SyntaxError, ValueError):
        return []
