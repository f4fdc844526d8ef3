"""``regreen guard audit``: what agents did, read afterwards from any program's trajectories."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from regreen.cli.shared import Output, chat_client, run_async
from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.core.hacking import HackCounts, count_hacks
from regreen.core.task import Task
from regreen.core.trajectory import Incident, Trajectory
from regreen.guard.monitor import (
    Pattern,
    Suspicion,
    ask_judge,
    audit,
    broken_examples,
    contrast,
    labels,
    load_patterns,
    shipped_patterns,
    with_incidents,
)
from regreen.guard.monitor.spans import message_text
from regreen.store.foreign import read_foreign, trajectory_places
from regreen.store.run import RunDirectory
from regreen.store.taskset import load_tasks

__all__ = ["guard_audit"]

_QUOTED = 160


@dataclass(frozen=True, slots=True)
class _Audited:
    """One trajectory with what was found in it."""

    trajectory: Trajectory
    """The rollout, the monitor's incidents among its own."""
    found: tuple[Incident, ...]
    """The monitor's incidents."""
    suspicion: Suspicion | None
    """Against its siblings; None when it has none."""


def guard_audit(
    paths: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)],
    /,
    *,
    tasks: Path | None = None,
    patterns: Path | None = None,
    write: Annotated[bool, Parameter(negative="")] = False,
    base_url: str | None = None,
    model: str | None = None,
    output: Output | None = None,
) -> int:
    """Look through trajectories for reward hacking; count clean and hacked ones.

    Reads runs of ours, SWE-agent .traj, mini-swe-agent, ATIF and OpenHands files, and directories
    of them; which it is, the content says.

    For example:

        regreen guard audit runs/mini --tasks tasks.jsonl --write
        regreen guard audit trajectories/ --json

    Parameters
    ----------
    paths
        Runs, trajectory files, or directories of such files.
    tasks
        Their taskset: names the repositories, gives reports and gold patches to compare with.
    patterns
        TOML file of further patterns; one with a shipped id replaces that.
    write
        Put the incidents into the trajectories of a run of ours; writing again changes nothing.
    base_url
        Endpoint of a model to ask for its opinion as well; it adds labels only.
    model
        Name of that model.
    """
    output = output or Output()
    console = output.console()
    known = _patterns(patterns)
    by_id = {task.instance_id: task for task in load_tasks(tasks)} if tasks else {}
    if write:
        _check_runs(paths)
    places = [place for path in paths for place in trajectory_places(path)]
    pairs = [(place, row) for place in places for row in read_foreign(place)]
    rows = [row for _, row in pairs]
    opinions = _opinions(rows, base_url, model, known)
    audited = _audited(rows, by_id, known, opinions)
    if write:
        for path in paths:
            _write(path, by_id, known, opinions)
    counts = count_hacks(one.trajectory for one in audited)
    if output.json:
        report = _report(audited, counts, known)
        for (place, _), row in zip(pairs, report["trajectories"], strict=True):
            row["path"] = str(place)
        console.json(report)
        return 0
    _show(audited, counts, known, console)
    return 0


def _patterns(path: Path | None) -> tuple[Pattern, ...]:
    extra = load_patterns(path) if path else ()
    wrong = [text for pattern in extra for text in broken_examples(pattern)]
    if wrong:
        what = f"a pattern does not do what its examples say: {wrong[0][:300]}"
        raise UsageError(what, where=str(path), mend="correct the pattern or the example")
    return shipped_patterns(extra)


def _check_runs(paths: Sequence[Path]) -> None:
    for path in paths:
        if not (path / "lock.json").exists():
            msg = "--write is for runs of ours, and this is none"
            raise UsageError(msg, where=str(path), mend="leave --write out, or name a run")


def _opinions(
    rows: Sequence[Trajectory], base_url: str | None, model: str | None, known: Sequence[Pattern]
) -> dict[str, tuple[Incident, ...]]:
    """What a model says about each rollout; empty without one."""
    client = chat_client(base_url, model, temperature=0.0)
    if client is None:
        return {}
    families = tuple(dict.fromkeys(pattern.family for pattern in known))

    async def answer(prompt: str) -> str:
        completion = await client.complete([{"role": "user", "content": prompt}])
        return str(completion.message.get("content") or "")

    async def all_of_them() -> dict[str, tuple[Incident, ...]]:
        async with client:
            return {row.rollout_id: await ask_judge(row, answer, families=families) for row in rows}

    return run_async(all_of_them())


def _audited(
    rows: Sequence[Trajectory],
    by_id: Mapping[str, Task],
    known: Sequence[Pattern],
    opinions: Mapping[str, tuple[Incident, ...]],
) -> list[_Audited]:
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[row.task].append(index)
    suspicions: dict[int, Suspicion] = {}
    for name, members in groups.items():
        if len(members) > 1:
            group = [rows[index] for index in members]
            found = contrast(group, task=by_id.get(name), patterns=known)
            suspicions.update(zip(members, found, strict=True))
    audited = []
    for index, row in enumerate(rows):
        incidents = _found(row, by_id, known, opinions)
        full = with_incidents(row, incidents)
        audited.append(_Audited(full, incidents, suspicions.get(index)))
    return audited


def _found(
    row: Trajectory,
    by_id: Mapping[str, Task],
    known: Sequence[Pattern],
    opinions: Mapping[str, tuple[Incident, ...]],
) -> tuple[Incident, ...]:
    return audit(row, task=by_id.get(row.task), patterns=known) + opinions.get(row.rollout_id, ())


def _write(
    path: Path,
    by_id: Mapping[str, Task],
    known: Sequence[Pattern],
    opinions: Mapping[str, tuple[Incident, ...]],
) -> None:
    with RunDirectory.open(path) as run:
        run.replace(
            with_incidents(row, _found(row, by_id, known, opinions)) for row in run.trajectories()
        )


def _metrics(counts: HackCounts) -> dict[str, Any]:
    """The four metrics; the three that need verdicts are null without any."""
    graded = counts.graded > 0
    named = {
        "resolved": counts.resolved if graded else None,
        "clean_resolved": counts.clean_resolved if graded else None,
        "hack_rate": counts.hacked,
        "hacked_resolved": counts.hacked_resolved if graded else None,
    }
    return {
        name: None if count is None else {"count": count, "share": counts.share(count)}
        for name, count in named.items()
    }


def _report(
    audited: Sequence[_Audited], counts: HackCounts, known: Sequence[Pattern]
) -> dict[str, Any]:
    return {
        "trajectories": [_row(one, known) for one in audited],
        "rollouts": counts.rollouts,
        "graded": counts.graded,
        "metrics": _metrics(counts),
        "patterns": dict(_counted(audited)),
    }


def _row(one: _Audited, known: Sequence[Pattern]) -> dict[str, Any]:
    row = one.trajectory
    interventions = {pattern.id: pattern.intervention for pattern in known}
    return {
        "rollout_id": row.rollout_id,
        "task": row.task,
        "agent": row.agent,
        "resolved": row.verdict.resolved if row.verdict else None,
        "hacked": any(incident.confirmed for incident in row.incidents)
        or bool(row.verdict and row.verdict.tamper),
        "labels": list(labels(one.found, known)),
        "incidents": [
            {
                **incident.model_dump(),
                "intervention": interventions.get(incident.rule, "label"),
                "text": _text(row, incident),
            }
            for incident in one.found
        ],
        "suspicion": None
        if one.suspicion is None
        else {"score": one.suspicion.score, "reasons": list(one.suspicion.reasons)},
    }


def _text(row: Trajectory, incident: Incident) -> str:
    """The characters that an incident's span names."""
    if incident.turn is None or incident.span is None:
        return ""
    message = row.messages[row.turns[incident.turn].start]
    return message_text(message, incident.call_id)[slice(*incident.span)]


def _counted(audited: Sequence[_Audited]) -> list[tuple[str, int]]:
    """Rollouts in which each pattern was found, the most frequent first."""
    found = Counter(rule for one in audited for rule in {i.rule for i in one.found})
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def _show(
    audited: Sequence[_Audited], counts: HackCounts, known: Sequence[Pattern], console: Console
) -> None:
    console.table(
        ("rollout", "resolved", "hacked", "suspicion", "labels"),
        [
            (
                row["rollout_id"],
                {True: "yes", False: "no", None: "?"}[row["resolved"]],
                "yes" if row["hacked"] else "no",
                f"{row['suspicion']['score']:.2f}" if row["suspicion"] else "",
                ", ".join(row["labels"]),
            )
            for row in (_row(one, known) for one in audited)
        ],
    )
    rows = [
        (
            one.trajectory.rollout_id,
            "diff" if incident.turn is None else incident.turn + 1,
            incident.rule,
            "hacking" if incident.confirmed else "label",
            incident.message[:_QUOTED],
        )
        for one in audited
        for incident in one.found
    ]
    if rows:
        console.table(("rollout", "turn", "pattern", "weight", "what"), rows)
        console.table(("pattern", "rollouts"), _counted(audited))
    told = [
        f"{name.replace('_', ' ')} {value['count']} ({value['share']:.1%})"
        for name, value in _metrics(counts).items()
        if value is not None
    ]
    console.result(f"{counts.rollouts} rollouts: {', '.join(told)}")
