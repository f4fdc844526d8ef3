"""What a run of tests is, as asked for and as observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from regreen.core.verdict import Outcome

__all__ = ["Coverage", "SuiteRun", "TestRecord", "TestRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRequest:
    """Which tests to run, on what, and under which perturbation."""

    __test__: ClassVar[bool] = False

    tests: tuple[str, ...] | None = None
    """Node ids; None runs whatever is collected from ``paths``."""
    paths: tuple[str, ...] = ()
    """Where to collect when ``tests`` is None."""
    args: tuple[str, ...] = ()
    """Further arguments of pytest."""
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    """Files put into the tree first, relative to its root; None deletes."""
    modes: Mapping[str, str] = field(default_factory=dict)
    """Git's modes of files put in that are no plain ones: ``100755`` a program, ``120000`` a link,
    whose content is its target; ``100644`` takes the executable bit away."""
    exclude: tuple[str, ...] = ()
    """Test functions (node ids without parameters) that are collected and not run."""
    cases: int = 0
    """Most cases of one parametrized function, evenly spaced; 0 takes all. A Python that needs the
    legacy runner takes all."""
    whole: tuple[str, ...] = ()
    """Test functions, or test files, for which ``cases_of_whole`` holds in its place."""
    cases_of_whole: int = 0
    """Most cases of one function of these; 0 takes all."""
    select: Mapping[str, tuple[int, ...]] | None = None
    """Items by test function (node id without parameters) and position, in the place of ``tests``:
    node ids made of parameters may tell what is expected."""
    order_of: tuple[str, ...] = ()
    """Test functions whose node ids are to be listed in order."""
    order_seed: int | None = None
    """Shuffles the tests; None keeps the suite's order."""
    clock_offset: float = 0.0
    """Seconds the wall clock is moved by."""
    test_timeout: float = 60.0
    """Wall seconds of one test."""
    collect_timeout: float = 120.0
    """Wall seconds until the first test starts."""
    total_timeout: float = 1800.0
    """Wall seconds of the whole run."""
    stop_after_failures: int = 0
    """Stop early after that many failures; 0 runs all."""
    max_workers: int = 20
    """Workers started anew after a crash or a hang, so that the other tests still run."""
    messages: int = 20
    """Failures whose text is kept; rendering one costs more than most tests."""
    coverage: bool = False
    """Record which test reaches which line."""
    cover: tuple[str, ...] = ()
    """Files to record, relative to the tree's root; all of the tree's when empty."""
    keep_output: bool = False
    """Let the tests' output through to the runner's own stdout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRecord:
    """What one test did."""

    __test__: ClassVar[bool] = False

    outcome: Outcome
    """Its fate; the worst of set-up, call and tear-down."""
    seconds: float = 0.0
    """Wall seconds."""
    cpu: float = 0.0
    """CPU seconds of the test process."""
    message: str = ""
    """The end of pytest's failure text."""
    lines: tuple[int, ...] = ()
    """Lines of its own file that its failure went through, outermost first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Which context reaches which line.

    A context is a test's node id, ``@fixture|base`` for a fixture of wide scope, or "" for what
    ran at import time.
    """

    lines: Mapping[str, Mapping[str, tuple[int, ...]]]
    """File -> context -> line numbers."""
    fixtures: Mapping[str, tuple[str, ...]]
    """Test -> contexts of the wide fixtures it depends on."""
    forked: frozenset[str]
    """Tests that start processes, which coverage cannot see into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """Everything observed in one run."""

    tests: Mapping[str, TestRecord]
    """By node id, in the order they ran."""
    collected: tuple[str, ...] = ()
    """Node ids that were to run."""
    duplicates: tuple[str, ...] = ()
    """Node ids collected more than once."""
    collect_errors: Mapping[str, str] = field(default_factory=dict)
    """Files that could not be collected, with the reason."""
    status: int | None = None
    """Exit status that pytest gave; None when it did not get that far."""
    forged: bool = False
    """Whether something other than the runner wrote on the channel, or lied about its end."""
    problem: str = ""
    """Why the run is not to be trusted as complete; empty when it is."""
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The node ids of the functions in ``order_of`` or ``select``, as collected."""
    coverage: Coverage | None = None
    """Present when asked for."""
    modules: tuple[str, ...] = ()
    """Modules of others that the run had in memory at its end; recorded with coverage."""
    cpu: float = 0.0
    """CPU seconds of everything the run started."""

    def outcome(self, test: str) -> Outcome:
        """The outcome of a test; silence is MISSING, twice is DUPLICATE."""
        if test in self.duplicates:
            return Outcome.DUPLICATE
        record = self.tests.get(test)
        return record.outcome if record else Outcome.MISSING
