"""``regreen train select``: keep the rows that another model finds good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from regreen.cli.shared import Work, chat_client, check_writable, interrupted, run_async
from regreen.core.console import Console
from regreen.core.errors import ModelError, RegreenError, UsageError
from regreen.store.atomic import replacing
from regreen.store.jsonl import encode_row

if TYPE_CHECKING:
    from regreen.inference import ChatClient
    from regreen.store.judgements import Judgement, Judgements
    from regreen.train.data.candidates import Candidate
    from regreen.train.data.selection import Selection

__all__ = ["select"]

By = Literal["user", "pairs"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SelectFlags(Work):
    """Flags of the verb."""

    by: By = "user"
    """user: a model with a shell plays the person who asked and tries each answer in a box. pairs:
    a model compares the answers to the same question, two by two."""
    base_url: str | None = None
    """Endpoint of the judging model, ending in /v1."""
    model: str | None = None
    """Name of the judging model."""
    temperature: float | None = None
    """Of the judging model (default: the endpoint's own)."""
    turns: int | None = None
    """Calls a simulated user may make for a row (default 20)."""
    top: int | None = None
    """Answers kept of each question, for pairs (default 1)."""
    preferences: Path | None = None
    """Write every decided pair here too, as prompt, chosen and rejected."""
    seed: int = 0
    """Seed of every request."""
    resume: Annotated[bool, Parameter(negative="")] = False
    """Use the judgements of an interrupted job; nothing is asked twice."""


def select(
    rows: Path,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    flags: SelectFlags | None = None,
) -> int:
    """Keep the rows of a data set that another model finds good.

    A row is a JSON object with messages that end with an answer; the texts of its files, by path,
    are laid into the box of a simulated user. Every judgement is kept in OUT.judgements.jsonl,
    with the question, what was said and the seed; the order of compared answers in
    OUT.rankings.jsonl. A pair is judged in both orders, and what contradicts itself is a tie. An
    answer of the judge that cannot be read decides nothing: its row is left out and counted apart.

    Exits with 1 when no row was kept.

    For example:

        regreen train select chats.jsonl --base-url URL/v1 --model NAME -o kept.jsonl
        regreen train select n.jsonl --by pairs --top 2 --base-url URL/v1 --model NAME -o top.jsonl
        regreen train select chats.jsonl --base-url URL/v1 --model NAME -o kept.jsonl --resume

    Parameters
    ----------
    rows
        File of JSON lines.
    out
        File of JSON lines to write: the kept rows as they were.
    """
    flags = flags or SelectFlags()
    console = flags.console()
    client = _check(rows, out, flags)
    if flags.dry_run:
        run_async(_reached(client))
        console.note("the flags are fine and the endpoint answers; nothing was asked")
        return 0
    try:
        chosen, asked, reused, refused = run_async(_select(rows, out, client, flags, console))
    except KeyboardInterrupt:
        interrupted(console, resume=flags.resume)
    except ModelError:
        console.note("what was judged is kept; --resume goes on with it")
        raise
    _write(out, chosen, flags)
    summary = _summary(out, chosen, asked, reused, refused)
    if flags.json:
        console.json(summary)
    else:
        _tell(summary, console)
    return 0 if chosen.kept else 1


def _check(rows: Path, out: Path, flags: SelectFlags) -> ChatClient:
    if not rows.is_file():
        msg = "there is no such file"
        raise UsageError(msg, where=str(rows), mend="name a file of JSON lines with messages")
    if out.suffix != ".jsonl" or (out.exists() and out.samefile(rows)):
        msg = "the kept rows need a file of their own"
        raise UsageError(msg, where=str(out), mend="give another --out that ends in .jsonl")
    if out.exists() and not flags.resume:
        msg = "this file is already there"
        raise UsageError(msg, where=str(out), mend="give another --out, or --resume")
    if flags.by == "user" and (flags.top is not None or flags.preferences is not None):
        msg = "a simulated user compares nothing"
        raise UsageError(msg, where="--top, --preferences", mend="give --by pairs")
    if flags.unsafe_no_isolation:
        msg = "proposed code is run only in boxes"
        raise UsageError(msg, where="--unsafe-no-isolation", mend="leave it out; regreen doctor")
    for path in filter(None, (out, flags.preferences)):
        check_writable(path, "the result")
    client = chat_client(flags.base_url, flags.model, temperature=flags.temperature)
    if client is None:
        msg = "a judge is needed"
        raise UsageError(msg, where="--base-url, --model", mend="name an endpoint and its model")
    return client


async def _reached(client: ChatClient) -> None:
    async with client:
        await client.check()


async def _select(
    rows: Path, out: Path, client: ChatClient, flags: SelectFlags, console: Console
) -> tuple[Selection, list[Judgement], int, Counter[str]]:
    from regreen.store.judgements import Judgements
    from regreen.train.data.candidates import read_candidates

    refused = Counter[str]()
    candidates = list(read_candidates(rows, refused))
    if not candidates:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in refused.items())
        msg = "no row of the file can be judged"
        mend = reasons or "give rows with messages that end with an answer"
        raise RegreenError(msg, where=str(rows), mend=mend)
    async with client:
        await client.check()
        path = out.with_name(f"{out.stem}.judgements.jsonl")
        with Judgements(path, resume=flags.resume) as judgements:
            chosen = await _judged(candidates, client, judgements, flags, console)
            return chosen, judgements.asked, len(judgements.used), refused


async def _judged(
    candidates: Sequence[Candidate],
    client: ChatClient,
    judgements: Judgements,
    flags: SelectFlags,
    console: Console,
) -> Selection:
    from regreen.train.data import selection
    from regreen.train.data.pairwise import PairJudge
    from regreen.train.data.simulated_user import SimulatedUser, UserConfig

    good = "ranked" if flags.by == "pairs" else "helped"
    with console.progress("judging", total=len(candidates), good=good) as display:
        if flags.by == "pairs":
            judge = PairJudge(client, judgements, seed=flags.seed)
            config = flags.settings(selection.PairConfig, "select_pairs", top=flags.top)
            return await selection.by_pairs(
                candidates, judge, config, workers=flags.workers, tell=display.finish
            )
        patience = flags.settings(UserConfig, "select_user", turns=flags.turns, seed=flags.seed)
        boxes = flags.provider()
        try:
            user = SimulatedUser(client, boxes, patience, judgements)
            return await selection.by_user(
                candidates, user, workers=flags.workers, tell=display.finish
            )
        finally:
            await boxes.close()


def _write(out: Path, chosen: Selection, flags: SelectFlags) -> None:
    with replacing(out) as file:
        file.writelines(encode_row(candidate.row) for candidate in chosen.kept)
    if chosen.rankings:
        with replacing(out.with_name(f"{out.stem}.rankings.jsonl")) as file:
            file.writelines(encode_row(ranking.told()) for ranking in chosen.rankings)
    if flags.preferences:
        with replacing(flags.preferences) as file:
            for ranking in chosen.rankings:
                file.writelines(map(encode_row, ranking.preferences()))


def _summary(
    out: Path,
    chosen: Selection,
    asked: Sequence[Judgement],
    reused: int,
    refused: Counter[str],
) -> dict[str, Any]:
    pairings = [pairing for ranking in chosen.rankings for pairing in ranking.pairings]
    return {
        "out": str(out),
        "kept": len(chosen.kept),
        "rows": dict(chosen.counts),
        "not_judged": dict(refused),
        "asked": len(asked),
        "asked_before": reused,
        "unreadable": sum(one.verdict == "unreadable" for one in asked),
        "prompt_tokens": sum(one.usage.prompt_tokens for one in asked),
        "completion_tokens": sum(one.usage.completion_tokens for one in asked),
        "cost": sum(one.cost for one in asked),
        "pairs": {
            "all": len(pairings),
            "decided": sum(pairing.decided for pairing in pairings),
            "swayed_by_place": sum(pairing.swayed for pairing in pairings),
        },
    }


def _tell(summary: dict[str, Any], console: Console) -> None:
    for name, count in sorted({**summary["rows"], **summary["not_judged"]}.items()):
        console.result(f"{count:7,} {name}")
    found = summary["pairs"]
    if found["all"]:
        console.result(
            f"{found['all']:,} pairs, {found['decided']:,} decided, {found['swayed_by_place']:,} "
            "of those swayed by the place"
        )
    console.result(
        f"asked {summary['asked']:,} times ({summary['asked_before']:,} judgements were there "
        f"already), {summary['unreadable']:,} answers unreadable; "
        f"{summary['prompt_tokens']:,} prompt and {summary['completion_tokens']:,} sampled tokens, "
        f"cost {summary['cost']:g}"
    )
    console.result(f"{summary['kept']:,} rows in {summary['out']}")
