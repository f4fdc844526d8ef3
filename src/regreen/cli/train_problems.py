"""``regreen train problems``: rows of known shapes as problems of code RL, checked by running."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from regreen.cli.shared import Output, chat_client, check_writable, run_async
from regreen.core.errors import UsageError

if TYPE_CHECKING:
    from regreen.inference import ChatClient
    from regreen.train.code.imports import Imported
    from regreen.train.code.prepare import Prepared

__all__ = ["problems"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ProblemFlags(Output):
    """Flags of the verb."""

    license: str = ""
    """Licence to record with rows of other projects."""
    solutions: Path | None = None
    """JSON lines with problem_id and program: solutions to make tests with, where a problem has
    none."""
    base_url: str | None = None
    """Endpoint, ending in /v1, of a model that writes solutions and inputs for such problems."""
    model: str | None = None
    """Name of that model."""
    samples: int = 10
    """Solutions asked of the model for each problem."""
    temperature: float = 1.0
    """Of the model."""
    seed: int = 0
    """Seed of every request and of changed inputs."""


def problems(
    rows: Path,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    flags: ProblemFlags | None = None,
) -> int:
    """Turn rows of any known shape into problems for code RL, and run what can be run.

    Shapes: ours, HumanEval, MBPP, APPS, LiveCodeBench, CodeContests; nothing is downloaded. A row
    whose own solution fails its own tests is left out. A problem without tests gets them by
    majority agreement of independent solutions, from --solutions, the model, or both.

    Exits with 1 when no problem was kept.

    For example:

        regreen train problems HumanEval.jsonl --license MIT -o problems.jsonl
        regreen train problems bare.jsonl --base-url URL/v1 --model NAME -o problems.jsonl

    Parameters
    ----------
    rows
        File of JSON lines.
    out
        File of problems to write, ending in .jsonl.
    """
    from regreen.train.code.imports import import_problems
    from regreen.train.code.problems import write_problems

    flags = flags or ProblemFlags()
    if out.suffix != ".jsonl" or (out.exists() and rows.exists() and out.samefile(rows)):
        msg = "the problems need a file of their own"
        raise UsageError(msg, where=str(out), mend="give another --out that ends in .jsonl")
    check_writable(out, "the problems")
    client = chat_client(flags.base_url, flags.model, temperature=flags.temperature)
    read = import_problems(rows, license=flags.license)
    prepared = run_async(_prepared(read, flags, client))
    write_problems(out, [one.problem for one in prepared if not one.refused])
    summary = _summary(out, read, prepared)
    console = flags.console()
    if flags.json:
        console.json(summary)
    else:
        console.result(f"{summary['kept']} of {summary['rows']} problems: {out}")
        for name in ("refused", "left_out"):
            for reason, count in summary[name].items():
                console.note(f"{count} {name.replace('_', ' ')}: {reason}")
    return 0 if summary["kept"] else 1


def _summary(out: Path, read: Imported, prepared: Sequence[Prepared]) -> dict[str, Any]:
    made = [one.synthesis for one in prepared if one.synthesis and one.synthesis.problem.hidden]
    return {
        "out": str(out),
        "rows": len(read.problems) + len(read.refused),
        "kept": sum(not one.refused for one in prepared),
        "refused": {f"{where}: {why}": 1 for where, why in read.refused},
        "left_out": dict(Counter(one.refused for one in prepared if one.refused)),
        "synthesised": len(made),
        "agreement": sum(one.agreement for one in made) / len(made) if made else None,
        "pairwise_agreement": sum(one.pairwise for one in made) / len(made) if made else None,
    }


async def _prepared(
    read: Imported, flags: ProblemFlags, client: ChatClient | None
) -> list[Prepared]:
    from regreen.train.code.prepare import PrepareConfig, prepare
    from regreen.train.code.warm_box import WarmBox

    config = PrepareConfig(solutions=flags.samples, seed=flags.seed)
    known = _solutions(flags.solutions)
    try:
        async with WarmBox() as box:
            made = prepare(read.problems, box=box, config=config, model=client, solutions=known)
            return [one async for one in made]
    finally:
        if client is not None:
            await client.close()


def _solutions(path: Path | None) -> dict[str, list[str]]:
    from regreen.store.jsonl import read_jsonl

    found: dict[str, list[str]] = {}
    for number, row in read_jsonl(path) if path else ():
        name, program = row.get("problem_id"), row.get("program")
        if not isinstance(name, str) or not isinstance(program, str):
            what = "a solution needs problem_id and program"
            raise UsageError(what, where=f"{path}:{number}", mend="write both as texts")
        found.setdefault(name, []).append(program)
    return found
