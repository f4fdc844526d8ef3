"""``regreen tasks inject``: a healthy repository into verified tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from regreen.cli.inject_written import By, check_flags, inject_written
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
from regreen.core.errors import TaskError, UsageError
from regreen.core.funnel import Funnel
from regreen.core.progress import Progress as Display
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.store.taskset import load_tasks, taskset_digest, write_tasks
from regreen.tasks.build.repository import Repository, make_ready
from regreen.tasks.inject.job import Injection, InjectSettings
from regreen.tasks.inject.job import inject as run_injection
from regreen.tasks.inject.operators import OPERATORS
from regreen.tasks.inject.prover import Progress
from regreen.tasks.prove.baseline import Baseline, measure
from regreen.tasks.tell.retell import retell
from regreen.tasks.written.job import Written, WrittenSettings

if TYPE_CHECKING:
    from regreen.inference import ChatClient

__all__ = ["inject", "require_tasks", "show_funnel", "show_progress"]

_NAMED = 5


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class InjectFlags(Work):
    """Flags of the verb."""

    out: Annotated[Path, Parameter(alias="-o")] = Path("tasks.jsonl")
    """Taskset to write: .jsonl, or .parquet."""
    limit: Annotated[int | None, Parameter(alias="-n")] = None
    """Verified tasks wanted (default 100)."""
    seed: int | None = None
    """Decides between equals (default 0)."""
    by: By = "rules"
    """Who makes the bugs: rules; a model that writes functions anew (rewrite) or puts a named kind
    of mistake into them (modify); or real changes undone (mirror), by a model where merges
    conflict."""
    operators: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = ()
    """Fault classes to use (default all; `regreen plugins` lists them)."""
    max_share: float | None = None
    """Largest share of one fault class (default 0.15)."""
    combined: float | None = None
    """Share of tasks that join several verified faults (default 0.1)."""
    commit: str | None = None
    """Commit, tag or branch of a git source (default HEAD)."""
    tests: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = ()
    """Paths of the tests (default: as the project's own files say)."""
    installed: Annotated[bool, Parameter(negative="")] = False
    """Make the environment from this installation's own pytest, without network: enough for a
    pure-Python source without dependencies."""
    attempts: int | None = None
    """Answers asked for per function, by rewrite and modify (default 3)."""
    questions: int | None = None
    """Questions to the model after which no further bug is begun (default ten per wanted task)."""
    issues: Path | None = None
    """JSON lines with title and body: issues whose tone the model's statements imitate, for all
    but rules (default two of our own)."""
    base_url: str | None = None
    """Endpoint of a model that writes the problem statements, ending in /v1; templates do when not
    given. It also writes the bugs, unless rules do."""
    model: str | None = None
    """Name of the model as the endpoint knows it."""
    resume: Annotated[bool, Parameter(negative="")] = False
    """Go on with an interrupted job of the same settings."""


def inject(source: str, /, *, flags: InjectFlags | None = None) -> int:
    """Break working code in many small ways and keep what its own tests prove broken.

    Every kept task was seen to fail and to pass again in fresh boxes, three times on each side
    under another hash seed, test order and clock, and scores 0 for patches that only cheat.
    With an endpoint (its key is read from OPENAI_API_KEY), a model writes the problem statements;
    one that gives the fix or the tests away is refused, and the template's stays. Bugs that a
    model writes (--by) go through the same proof; its answers are kept in OUT.answers.jsonl, and
    no question is asked twice.

    For example:

        regreen tasks inject pypi:toolz==1.0.0 -n 50 -o tasks.jsonl
        regreen tasks inject . --tests tests/unit -n 200 -j 8 -o tasks.parquet
        regreen tasks inject pypi:boltons -n 30 --operators off_by_one wrong_variable
        regreen tasks inject pypi:boltons --base-url URL/v1 --model NAME
        regreen tasks inject . --by modify -n 40 --base-url URL/v1 --model NAME
        regreen tasks inject https://github.com/pytoolz/toolz --by mirror -n 20

    Parameters
    ----------
    source
        A directory, a git URL, or pypi:NAME[==VERSION].
    """
    flags = flags or InjectFlags()
    out, console = flags.out, flags.console()
    settings = _settings(flags)
    _check(settings, out, resume=flags.resume)
    if out.exists() and not _findings(out).exists():
        return _complete(out, flags, console)
    if flags.dry_run:
        return boxes_are_fine(flags, console)
    try:
        made = run_async(_inject(source, settings, flags, console))
    except KeyboardInterrupt:
        interrupted(console, resume=flags.resume)
    write_tasks(out, made.tasks)
    _findings(out).unlink(missing_ok=True)
    if len(made.tasks) < settings.limit:
        console.note(
            f"{len(made.tasks)} of {settings.limit} tasks: no more usable sites, "
            "or every fault class has its share (--max-share)"
            if isinstance(settings, InjectSettings)
            else f"{len(made.tasks)} of {settings.limit} tasks: no more functions or changes, "
            "or the model's questions are used up (--attempts, --questions)"
        )
    if flags.json:
        console.json(
            {
                "out": str(out),
                "tasks": len(made.tasks),
                "digest": taskset_digest(made.tasks),
                "funnel": made.funnel.model_dump(mode="json"),
            }
        )
    else:
        show_funnel(made.funnel, console)
        console.result(f"{len(made.tasks)} tasks in {out}")
    return 0


def _settings(flags: InjectFlags) -> InjectSettings | WrittenSettings:
    rules = {
        "operators": flags.operators or None,
        "max_share": flags.max_share,
        "combined": flags.combined,
    }
    model = {"attempts": flags.attempts, "questions": flags.questions}
    check_flags(
        flags.by,
        rules={f"--{name.replace('_', '-')}": value for name, value in rules.items()},
        model={f"--{name}": value for name, value in {**model, "issues": flags.issues}.items()},
        client=bool(flags.base_url and flags.model),
        issues=flags.issues,
    )
    both = {"limit": flags.limit, "seed": flags.seed}
    if flags.by == "rules":
        return flags.settings(InjectSettings, "inject", **both, **rules)
    return flags.settings(WrittenSettings, "written", by=flags.by, **both, **model)


def _complete(out: Path, flags: InjectFlags, console: Console) -> int:
    """A resumed job that had ended already: what it holds is the result."""
    tasks = load_tasks(out)
    if flags.json:
        console.json({"out": str(out), "tasks": len(tasks), "digest": taskset_digest(tasks)})
    else:
        console.result(f"{len(tasks)} tasks in {out}; the job had ended already")
    return 0


def _findings(out: Path) -> Path:
    return out.with_name(out.name + ".findings.jsonl")


def _check(settings: InjectSettings | WrittenSettings, out: Path, *, resume: bool) -> None:
    named = settings.operators if isinstance(settings, InjectSettings) else ()
    unknown = sorted(set(named) - set(OPERATORS))
    if unknown:
        msg = f"there is no fault class {unknown[0]!r}"
        raise UsageError(msg, where="--operators", mend="regreen plugins lists them")
    if settings.limit < 1:
        msg = f"--limit {settings.limit} asks for no task"
        raise UsageError(msg, where="-n", mend="give 1 or more")
    check_taskset_name(out)
    if out.exists() and not resume:
        msg = "the taskset is already there"
        raise UsageError(msg, where=str(out), mend="give another --out, or remove it")
    check_writable(out, "the taskset")


async def _inject(
    source: str,
    settings: InjectSettings | WrittenSettings,
    flags: InjectFlags,
    console: Console,
) -> Injection | Written:
    store, provider = layer_store(), flags.provider()
    client = chat_client(flags.base_url, flags.model)
    if flags.unsafe_no_isolation:
        msg = "broken code is run only in boxes"
        raise UsageError(msg, where="--unsafe-no-isolation", mend="leave it out; regreen doctor")
    try:
        if client:
            await client.check()
        repository = await make_ready(
            source,
            store=store,
            provider=provider,
            commit=flags.commit,
            tests=flags.tests,
            installed=flags.installed,
            note=console.note,
        )
        console.note("measuring the healthy suite")
        baseline = await measure(
            repository.place,
            provider=provider,
            store=store,
            where=source,
            workers=flags.workers,
            test_seconds=settings.test_seconds,
            suite_seconds=settings.suite_seconds,
        )
        _tell(baseline, console)
        with console.progress("injecting", total=settings.limit, good="verified") as display:
            made = await _made(
                source,
                repository,
                baseline,
                client,
                provider=provider,
                store=store,
                settings=settings,
                flags=flags,
                console=console,
                report=lambda progress: show_progress(progress, display),
            )
    finally:
        await provider.close()
        if client:
            await client.close()
    if not made.tasks:
        _findings(flags.out).unlink(missing_ok=True)
    require_tasks(made, source)
    return made


async def _made(
    source: str,
    repository: Repository,
    baseline: Baseline,
    client: ChatClient | None,
    *,
    provider: SandboxProvider,
    store: LayerStore,
    settings: InjectSettings | WrittenSettings,
    flags: InjectFlags,
    console: Console,
    report: Callable[[Progress], None],
) -> Injection | Written:
    """The job itself, with its statements."""
    if isinstance(settings, WrittenSettings):
        return await inject_written(
            source,
            repository,
            baseline,
            client,
            provider=provider,
            store=store,
            settings=settings,
            workers=flags.workers,
            out=flags.out,
            findings=_findings(flags.out),
            resume=flags.resume,
            issues=flags.issues,
            console=console,
            report=report,
        )
    made = await run_injection(
        repository,
        baseline,
        provider=provider,
        store=store,
        settings=settings,
        workers=flags.workers,
        findings=_findings(flags.out),
        resume=flags.resume,
        report=report,
    )
    if not client:
        return made
    told = await retell(made.tasks, client, workers=flags.workers, note=console.note)
    return replace(made, tasks=tuple(told))


def require_tasks(made: Injection | Written, source: str) -> None:
    """Refuse an injection that gave nothing.

    Raises:
        TaskError: no candidate was verified.
    """
    if made.tasks:
        return
    rejected = ", ".join(f"{count} {why}" for why, count in made.funnel.rejected.items())
    msg = "no candidate could be verified"
    where = f"{source}: {rejected or 'no test reaches a place where a fault could be put'}"
    raise TaskError(msg, where=where, mend="use a source whose tests cover its code")


def show_progress(state: Progress, display: Display) -> None:
    """Verified tasks are the items; attempts are shown as what is running."""
    while display.finished < min(state.verified, state.wanted):
        display.finish("candidates", "verified")
    if state.verified < state.wanted:
        display.phase("candidates", f"{state.examined} examined, {state.verified} verified")


def _tell(baseline: Baseline, console: Console) -> None:
    console.note(
        f"{len(baseline.stable)} stable tests, {len(baseline.flaky)} flaky, "
        f"{len(baseline.failing)} failing or skipped; {len(baseline.reach.files)} files reached"
    )
    for title, found in (
        ("flaky", {name: ", ".join(seen) for name, seen in baseline.flaky.items()}),
        ("never passed", baseline.failing),
        ("not collected", baseline.uncollected),
    ):
        for name, why in list(found.items())[:_NAMED]:
            console.note(f"  {title}, left out: {name} ({why})")
        if len(found) > _NAMED:
            console.note(f"  {title}, left out: {len(found) - _NAMED} more")


def show_funnel(funnel: Funnel, console: Console) -> None:
    """The funnel as two tables."""
    console.table(
        ("fault class", "tried", "screened", "verified", "cpu s"),
        [
            (row.operator, row.candidates, row.screened, row.verified, f"{row.seconds:.2f}")
            for row in funnel.by_operator
        ],
    )
    steps = ", ".join(f"{label} {count}" for label, count in funnel.steps)
    rejected = ", ".join(f"{reason} {count}" for reason, count in funnel.rejected.items())
    console.result(f"{steps}; rejected: {rejected or 'none'}")
    console.result(
        f"{funnel.cpu_seconds:.1f} CPU s, {funnel.cpu_seconds_per_candidate:.3f} per candidate"
    )
