"""A candidate: one or several faults to be put in together, and the tests that may notice.

Who made the broken text does not matter from here on: a rule, or a model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from regreen.core.task import Twin
from regreen.tasks.inject.operators import Site, apply
from regreen.tasks.inject.operators.site import identity
from regreen.tasks.prove.baseline import Baseline

__all__ = ["Candidate", "Finding", "Region", "Status", "prepare", "prepare_text"]

Status = Literal["verified", "survived", "import_break", "too_broad", "hang", "crash", "unstable",
                 "no_pass_left", "control", "leaked"]  # fmt: skip
_NEIGHBOUR_CPU = 0.01
_MAX_NEIGHBOURS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Where a file differs from its healthy text."""

    path: str
    """The file."""
    lines: tuple[int, ...]
    """Healthy lines; a test that runs any of them reaches the fault."""
    whole: bool = False
    """Whether every test of the file reaches it, as for code that runs at import."""

    @property
    def name(self) -> str:
        """For the record."""
        return f"{self.path}:{self.lines[0] if self.lines else 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Faults and the broken files they make."""

    operators: tuple[str, ...]
    """What each fault is, for example a fault class."""
    where: tuple[str, ...]
    """``path:line`` of each place."""
    sites: tuple[Site, ...] = ()
    """The faults as splices, when a rule made them."""
    identity: str
    """Hash of the change, the same on every machine."""
    files: Mapping[str, tuple[str, str]]
    """Path -> (healthy text, broken text)."""
    covering: tuple[str, ...]
    """Stable tests that reach a fault."""
    neighbours: tuple[str, ...]
    """Further tests run with them: the same files' tests, cheapest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What running a candidate showed."""

    status: Status
    """``verified`` or the reason of the rejection."""
    fail_to_pass: tuple[str, ...] = ()
    """Failed in every repeat."""
    pass_to_pass: tuple[str, ...] = ()
    """Passed in every repeat."""
    flaky: tuple[str, ...] = ()
    """Repeats disagreed; left out of the task."""
    unrun: tuple[str, ...] = ()
    """Covering tests that were too dear to run; they may fail, so their files are hidden too."""
    messages: tuple[str, ...] = ()
    """Failure texts of some FAIL_TO_PASS tests."""
    controls: tuple[tuple[str, float, float], ...] = ()
    """(name, expected score, score) of the negative controls."""
    leaks: tuple[str, ...] = ()
    """Places beside the repaired files that hold the repair."""
    lines: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """(FAIL_TO_PASS test, lines of its file that its failure went through)."""
    twins: tuple[Twin, ...] = ()
    """The perturbed twins that hold."""
    cpu: float = 0.0
    """CPU seconds spent on it."""


def prepare(sites: tuple[Site, ...], texts: Mapping[str, str], baseline: Baseline) -> Candidate:
    """Build the broken files and choose the tests.

    Args:
        sites: faults that do not overlap.
        texts: healthy text of each file.
        baseline: knows the tests.
    """
    files = {}
    for path in sorted({site.path for site in sites}):
        own = [site for site in sites if site.path == path]
        files[path] = (texts[path], apply(texts[path], own))
    reach = baseline.reach
    covering: set[str] = set()
    nearby: set[str] = set()
    for site in sites:
        covering |= reach.tests(site.path, site.reach, import_time=site.import_time)
        nearby |= reach.of_file(site.path)
    order = sorted(covering, key=lambda name: (reach.cpu[name], name))
    return Candidate(
        operators=tuple(site.operator for site in sites),
        where=tuple(f"{site.path}:{site.line}" for site in sites),
        sites=sites,
        identity=hashlib.sha256(" ".join(identity(site) for site in sites).encode()).hexdigest(),
        files=files,
        covering=tuple(order),
        neighbours=tuple(_neighbours(covering, nearby, baseline)),
    )


def prepare_text(
    operator: str,
    files: Mapping[str, tuple[str, str]],
    regions: Collection[Region],
    baseline: Baseline,
) -> Candidate | None:
    """A candidate of broken text that no rule made; None when no stable test reaches it.

    Args:
        operator: what made it.
        files: path -> (healthy text, broken text).
        regions: where they differ.
        baseline: knows the tests.
    """
    reach = baseline.reach
    covering: set[str] = set()
    for one in regions:
        covering |= reach.tests(one.path, one.lines, import_time=one.whole)
        if one.whole:
            covering |= reach.of_file(one.path)
    if not covering:
        return None
    nearby = {name for path in files for name in reach.of_file(path)}
    change = repr([operator, *sorted((path, broken) for path, (_, broken) in files.items())])
    return Candidate(
        operators=(operator,),
        where=tuple(one.name for one in regions),
        identity=hashlib.sha256(change.encode("utf-8", "surrogatepass")).hexdigest(),
        files=dict(sorted(files.items())),
        covering=tuple(sorted(covering, key=lambda name: (reach.cpu[name], name))),
        neighbours=tuple(_neighbours(covering, nearby, baseline)),
    )


def _neighbours(covering: set[str], nearby: set[str], baseline: Baseline) -> list[str]:
    """Tests of the same source files within a small budget, from test files already imported."""
    cpu = baseline.reach.cpu
    modules = {name.partition("::")[0] for name in covering}
    rest = sorted(
        nearby - covering,
        key=lambda name: (name.partition("::")[0] not in modules, cpu[name], name),
    )
    if not rest:
        rest = sorted(set(baseline.stable) - covering, key=lambda name: (cpu[name], name))
    chosen: list[str] = []
    spent = 0.0
    for name in rest[:_MAX_NEIGHBOURS]:
        spent += cpu[name]
        if chosen and spent > _NEIGHBOUR_CPU:
            break
        chosen.append(name)
    return chosen
