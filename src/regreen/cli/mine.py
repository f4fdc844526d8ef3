"""``regreen tasks mine``: a history into verified tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from regreen.cli.mine_model import ModelFlags, agent_job, check_model
from regreen.cli.mine_outside import OutsideFlags, check_outside, look_outside
from regreen.cli.shared import (
    Work,
    boxes_are_fine,
    chat_client,
    check_taskset_name,
    check_writable,
    interrupted,
    layer_store,
    run_async,
)
from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.core.progress import Progress as Display
from regreen.store.taskset import taskset_digest, write_tasks
from regreen.tasks.build.interpreters import discover, find_interpreter
from regreen.tasks.builder.settings import BuilderSettings
from regreen.tasks.history.line import History, read_list
from regreen.tasks.history.objects import Objects
from regreen.tasks.history.source import open_source
from regreen.tasks.mine.job import Mined, Progress
from regreen.tasks.mine.job import mine as run_mining
from regreen.tasks.mine.journal import Entry
from regreen.tasks.mine.reasons import REASONS, Reason
from regreen.tasks.mine.settings import MineSettings
from regreen.tasks.mine.split import Limits

__all__ = ["mine"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class MineFlags(ModelFlags, OutsideFlags, Work):
    """Flags of the verb."""

    out: Annotated[Path, Parameter(alias="-o")] = Path("mined.jsonl")
    """Taskset to write: .jsonl, or .parquet. Beside it, OUT.journal.jsonl says what became of every
    change."""
    limit: Annotated[int | None, Parameter(alias="-n")] = None
    """Try the newest N changes of the main line only."""
    commits: Path | None = None
    """File that lists the changes to try: commits, or ranges as A..B, one a line."""
    head: str | None = None
    """Commit, tag or branch that the main line ends at (default HEAD)."""
    since: str | None = None
    """Leave out changes before this date (YYYY-MM-DD)."""
    repo: str | None = None
    """owner/name for the rows (default: as the clone's remote says)."""
    interpreters: Literal["found", "running"] = "found"
    """Pythons to build for: those found on this machine, or the running one alone."""
    installed: Annotated[bool, Parameter(negative="")] = False
    """Make the environments from this installation's own pytest, without network: enough for a
    pure-Python source without dependencies."""
    max_files: int | None = None
    """Source files that a change may touch (default 15)."""
    pass_to_pass: int | None = None
    """Tests that must stay green, at most (default 250)."""
    resume: Annotated[bool, Parameter(negative="")] = False
    """Go on with an interrupted job of the same settings."""


def mine(source: str, /, *, flags: MineFlags | None = None) -> int:
    """Turn real changes into tasks: every change that its own tests can decide.

    Merge commits, squashed pull requests and plain commits of the main line are read from the
    history alone and divided into the repair and its tests. A change is kept when its tests fail
    before it and pass after it, three times on each side under another hash seed, test order and
    clock, in an environment of its time; patches that only cheat must score 0. With --prs or
    --github its statement comes from the pull request and the issues it closes. A model (its key is
    read from OPENAI_API_KEY) may write statements and judge tasks; one that gives the fix or the
    tests away is refused, and the rules' text stays.

    For example:

        regreen tasks mine . -o tasks.jsonl
        regreen tasks mine https://github.com/pallets/itsdangerous -n 200 -o tasks.parquet
        regreen tasks mine ../ours --commits picked.txt --interpreters running --json
        regreen tasks mine . --github --decontaminate swe-bench.parquet -o tasks.jsonl
        regreen tasks mine . --prs pulls.jsonl --base-url URL/v1 --model NAME
        regreen tasks mine . --agent --agent-changes 5 --base-url URL/v1 --model NAME

    Parameters
    ----------
    source
        A directory with a git repository, or a git URL.
    """
    flags = flags or MineFlags()
    out, console = flags.out, flags.console()
    settings = flags.settings(
        MineSettings,
        "mine",
        installed=flags.installed or None,
        max_files=flags.max_files,
        pass_to_pass=flags.pass_to_pass,
    )
    journal = out.with_name(f"{out.name}.journal.jsonl")
    _check(flags, journal)
    flags.settings(BuilderSettings, "builder")
    if flags.dry_run:
        return boxes_are_fine(flags, console)
    try:
        made = run_async(_mine(source, settings, flags, journal, console))
    except KeyboardInterrupt:
        interrupted(console, resume=flags.resume)
    write_tasks(out, made.tasks)
    if flags.json:
        console.json(_summary(made, out))
    else:
        _show(made, console)
        console.result(f"{len(made.tasks)} tasks in {out}; every change in {journal}")
    return 0


def _check(flags: MineFlags, journal: Path) -> None:
    if flags.limit is not None and flags.limit < 1:
        msg = f"--limit {flags.limit} asks for no change"
        raise UsageError(msg, where="-n", mend="give 1 or more")
    check_taskset_name(flags.out)
    if flags.out.exists() and not flags.resume:
        msg = "the taskset is already there"
        raise UsageError(msg, where=str(flags.out), mend="give another --out, or remove it")
    if flags.unsafe_no_isolation:
        msg = "a history's code is run only in boxes"
        raise UsageError(msg, where="--unsafe-no-isolation", mend="leave it out; regreen doctor")
    if flags.commits and (flags.limit or flags.since):
        msg = "the list of commits says already which changes to try"
        raise UsageError(msg, where="--commits", mend="leave out --limit and --since")
    check_outside(flags)
    check_model(flags)
    check_writable(flags.out, "the taskset")
    check_writable(journal, "the journal")


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        msg = f"not a date: {text}"
        raise UsageError(msg, where="--since", mend="write it as 2024-01-31") from exc
    return found.replace(tzinfo=found.tzinfo or UTC)


async def _mine(
    source: str, settings: MineSettings, flags: MineFlags, journal: Path, console: Console
) -> Mined:
    store, provider = layer_store(), flags.provider()
    client = chat_client(flags.base_url, flags.model)
    agent = agent_job(flags, client, flags.settings(BuilderSettings, "builder"), flags.out)
    since = _since(flags.since)
    wanted = read_list(flags.commits) if flags.commits else None
    found = open_source(source, store=store, repo=flags.repo)
    for line in found.notes:
        console.note(line)
    objects = Objects(found.repository)
    try:
        if client:
            await client.check()
        history = History(objects, head=flags.head, where=source)
        commits = wanted if wanted is not None else history.line(since=since)[-(flags.limit or 0) :]
        outside = await look_outside(
            flags,
            history,
            found.origin.repo,
            commits,
            cache=flags.out.with_name(f"{flags.out.name}.pulls.jsonl"),
            limits=Limits(files=settings.max_files, lines=settings.max_lines),
            console=console,
        )
        interpreters = [find_interpreter()]
        if flags.interpreters == "found" and not settings.installed:
            interpreters += [one for one in discover() if not _same(one.version, interpreters)]
        console.note(f"{len(commits)} changes; Python {', '.join(i.version for i in interpreters)}")
        with console.progress("mining", total=0, good="verified") as display:
            return await run_mining(
                history,
                found.origin,
                provider=provider,
                store=store,
                settings=settings,
                interpreters=interpreters,
                commits=commits,
                listed=wanted is not None,
                workers=flags.workers,
                journal=journal,
                resume=flags.resume,
                report=lambda state: _report(state, display),
                note=console.note,
                outside=outside,
                client=client,
                agent=agent,
            )
    finally:
        objects.close()
        await provider.close()
        if client:
            await client.close()


def _same(version: str, others: Sequence[Any]) -> bool:
    return any(one.version.split(".")[:2] == version.split(".")[:2] for one in others)


def _report(state: Progress, display: Display) -> None:
    display.total = state.candidates
    while display.outcomes["verified"] < state.verified:
        display.finish("", "verified")
    while display.finished < state.decided:
        display.finish("", "rejected")


def _counts(entries: Sequence[Entry]) -> dict[str, int]:
    found = Counter(one.reason for one in entries if one.reason)
    return {reason: found[reason] for reason in Reason if found[reason]}


def _summary(made: Mined, out: Path) -> dict[str, Any]:  # JSON edge
    candidates = [one for one in made.entries if one.status != "dropped"]
    verified = [one for one in candidates if one.status == "verified"]
    return {
        "out": str(out),
        "changes": len(made.entries),
        "candidates": len(candidates),
        "built": sum(one.built for one in candidates),
        "validated": sum(one.validated for one in candidates),
        "verified": len(made.tasks),
        "rejected": _counts(candidates),
        "statements": dict(sorted(Counter(one.told_by for one in verified).items())),
        "by_agent": sum(task.source == "built" for task in made.tasks),
        "dropped": _counts([one for one in made.entries if one.status == "dropped"]),
        "cpu_seconds": made.cpu_seconds,
        "digest": taskset_digest(made.tasks),
    }


def _show(made: Mined, console: Console) -> None:
    """The funnel: what each step kept, then why the others did not get through."""
    told = _summary(made, Path())
    steps = ("changes", "candidates", "built", "validated", "verified")
    rows = []
    for place, step in enumerate(steps):
        before = told[steps[max(place - 1, 0)]]
        share = f"{told[step] / before:.0%}" if before else ""
        rows.append((step, told[step], share))
    console.table(("step", "kept", "of the step before"), rows)
    spent = Counter[str]()
    for one in made.entries:
        spent[one.reason] += one.cpu_seconds  # type: ignore[assignment]
    reasons = {**told["dropped"], **told["rejected"]}
    console.table(
        ("left out because", "changes", "cpu s", "meaning"),
        [
            (name, count, f"{float(spent[name]):.1f}", REASONS[Reason(name)])
            for name, count in reasons.items()
        ],
    )
    each = made.cpu_seconds / max(1, told["candidates"])
    console.result(f"{made.cpu_seconds:.1f} CPU s, {each:.2f} per candidate")
