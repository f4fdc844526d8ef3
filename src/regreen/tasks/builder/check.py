"""A script on trial: read, then run in fresh boxes without network on every form of the change.

Reading comes first because it is cheap and says most clearly what is wrong; what decides is how
the script behaves where text and behaviour come apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from regreen.grading.place import Place, compile_environment
from regreen.grading.script import run_script
from regreen.grading.workshop import stack
from regreen.sandbox.base import Limits, SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.sandbox.overlay import merged_tree
from regreen.tasks.builder.findings import Attempt, Finding, Kind, Trial
from regreen.tasks.builder.reading import read_script
from regreen.tasks.builder.settings import BuilderSettings
from regreen.tasks.builder.states import ChangeStates, Files
from regreen.tasks.builder.variants import decoy, early_exit, sealed, without_tests

__all__ = ["Bench", "check"]

_WRONG: dict[str, Kind] = {
    "resolved": "resolved_fails",
    "bug": "bug_passes",
    "decoy": "follows_text",
    "sealed": "needs_text",
    "no_tests": "passes_without_tests",
    "early_exit": "passes_early_exit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every trial of a change needs."""

    states: ChangeStates
    """The change."""
    env: Layer
    """What the builder installed at /opt/env, with what was there before."""
    build: Layer | None
    """What it left in the tree."""
    provider: SandboxProvider
    """Makes the boxes."""
    store: LayerStore
    """Takes their layers."""
    settings: BuilderSettings
    """Limits and repeats."""

    def tree(self) -> frozenset[str]:
        """Every path of the two states, and of what the builder left."""
        lowers = self.states.lowers(self.build)
        return frozenset(merged_tree(lowers)) | frozenset(
            path for path, state in self.states.resolved.items() if state
        )

    async def run(self, script: str, name: str, files: Files, *, hash_seed: int = 0) -> Trial:
        """One run of a script over some files.

        Raises:
            InfrastructureError: a box failed.
        """
        lowers = self.states.lowers(self.build)
        known = frozenset(merged_tree(lowers))
        changes = {path: state for path, state in files.items() if state or path in known}
        env = await compile_environment(self.env, store=self.store, provider=self.provider)
        ran = await run_script(
            self.provider,
            Place(tree=lowers, env=env, limits=Limits(memory_bytes=4 << 30)),
            (stack(changes, self.store).path,),
            script,
            seconds=self.settings.script_seconds,
            hash_seed=hash_seed,
        )
        return Trial(name=name, expected_zero=name in {"resolved", "sealed"}, run=ran)


async def check(script: str, bench: Bench) -> Attempt:
    """Read a script and run it on both states, on the controls, and again.

    Raises:
        InfrastructureError: a box failed.
    """
    tree = bench.tree()
    findings = read_script(script, bench.states, tree=tree)
    if findings:
        return Attempt(script=script, findings=findings)
    states = bench.states
    trials = [
        await bench.run(script, "resolved", states.resolved),
        await bench.run(script, "bug", states.bug),
    ]
    if all(trial.right for trial in trials):
        for name, files in _controls(states, tree):
            trials.append(await bench.run(script, name, files))
    if all(trial.right for trial in trials):
        for repeat in range(1, bench.settings.repeats):
            for name, files in (("resolved", states.resolved), ("bug", states.bug)):
                trials.append(await bench.run(script, name, files, hash_seed=repeat))
    return Attempt(script=script, findings=tuple(_judged(trials)), trials=tuple(trials))


def _controls(states: ChangeStates, tree: frozenset[str]) -> Iterator[tuple[str, Files]]:
    """Forms that differ from the states themselves: of an unknown language there are few."""
    early = early_exit(states)
    shown, hidden = decoy(states), sealed(states)
    if shown != states.bug:
        yield "decoy", shown
    yield "no_tests", without_tests(states, tree)
    if early is not None:
        yield "early_exit", early
    if hidden != states.resolved:
        yield "sealed", hidden


def _judged(trials: list[Trial]) -> Iterator[Finding]:
    seen: set[str] = set()
    for trial in trials:
        if not trial.right:
            kind = "unsteady" if trial.name in seen else _WRONG[trial.name]
            status = "time limit" if trial.run.timed_out else f"exit status {trial.run.exit_code}"
            yield Finding(kind=kind, where=f"the run on {trial.name}", evidence=status)
        seen.add(trial.name)
