"""``regreen convert``: a trajectory set from any tool-calling format into any other."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from regreen.cli.conversion import OPENAI, Conversion, Tally
from regreen.cli.shared import Output, check_writable, command_line, read_tools
from regreen.core.config import resolve_config
from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.core.funnel import Funnel
from regreen.core.trajectory import Trajectory
from regreen.store.rendered import RenderedRow
from regreen.store.trajectory_sets import SUFFIXES, SpareFile, read_trajectories, write_rows
from regreen.templates.diversity.draw import DiversityConfig, Draw, drawn_format
from regreen.templates.diversity.families import hold_out
from regreen.templates.diversity.statistics import draw_statistics
from regreen.templates.registry import FORMATS, tool_format
from regreen.templates.tokens.tokenizers import JsonTokenizer

__all__ = ["convert"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Wanted(Output):
    """What to convert to."""

    to: str | None = None
    """Target: a format, or openai for calls as an endpoint parses them."""
    shape: Annotated[Literal["messages", "text", "ids"], Parameter(name="--as")] = "messages"
    """What a row holds: messages as a client that prompts the format sends them, the rendered text
    with its spans, or token ids."""
    came_as: Annotated[str | None, Parameter(name="--from")] = None
    """Format of the source, where its rows do not say it."""
    tools: Path | None = None
    """JSON list of the tools offered (OpenAI shape), for rows that do not hold them; without it
    they are inferred from the calls."""
    tokenizer: Path | None = None
    """A tokenizer.json, for --as ids, and to count tokens."""
    diverse: Annotated[bool, Parameter(negative="")] = False
    """Draw a format for each trajectory instead of --to."""
    seed: int | None = None
    """With --diverse: decides the draws (default 0)."""
    hold_out: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = ()
    """With --diverse: formats never drawn, with those that write calls alike; or one share of such
    families, from 0 to 1, chosen by name."""
    config: Annotated[Path | None, Parameter(alias="-c")] = None
    """With --diverse: TOML file whose table [diversity] sets the weights."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Check everything that needs no data, then stop."""

    def job(self) -> Conversion:
        """The same, checked.

        Raises:
            UsageError: what contradicts itself or is not there.
        """
        if bool(self.to) == self.diverse:
            msg = "give either a target format or --diverse"
            raise UsageError(msg, where="--to", mend="regreen plugins lists the formats")
        if self.to and self.to != OPENAI:
            drawn_format(self.to)
        elif self.to and self.shape != "messages":
            msg = "only a tool-calling format has a text; openai is messages"
            raise UsageError(msg, where=f"--as {self.shape}", mend="name a format with --to")
        if self.came_as not in {None, OPENAI}:
            drawn_format(str(self.came_as))
        if self.shape == "ids" and self.tokenizer is None:
            msg = "token ids need a vocabulary"
            raise UsageError(msg, where="--as ids", mend="give --tokenizer tokenizer.json")
        if self.tokenizer is not None:
            JsonTokenizer(self.tokenizer)
        return Conversion(
            to=_own_name(self.to or ""),
            shape=self.shape,
            diversity=self._diversity(),
            source=self.came_as or "",
            tools=read_tools(self.tools),
            tokenizer=self.tokenizer,
        )

    def _diversity(self) -> DiversityConfig | None:
        if self.diverse:
            flags = {"seed": self.seed, "held_out": _held(self.hold_out)}
            return resolve_config(
                DiversityConfig,
                file=self.config,
                table="diversity",
                environ=dict(os.environ),
                flags=flags,
            )
        if self.seed is not None or self.hold_out or self.config:
            msg = "a format is drawn with --diverse only"
            raise UsageError(msg, where="--seed, --hold-out, --config", mend="add --diverse")
        return None


def convert(
    source: Path,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    limit: Annotated[int | None, Parameter(alias="-n")] = None,
    wanted: Wanted | None = None,
) -> int:
    """Re-render trajectories from any tool-calling format into any other.

    Every answer is read back in its new format before it counts. A trajectory that cannot be
    converted is written, with the reason, to a file beside the result: OUT.aside.jsonl. Where
    none can, OUT stays as it was. `regreen plugins` lists the formats.

    An answer with several calls is split for a format of one call each, and not joined again on
    the way back; gemma4 sorts arguments by name.

    For example:

        regreen convert runs/mini --to hermes -o hermes.jsonl
        regreen convert runs/mini --to qwen3_coder --as text -o train.parquet
        regreen convert runs/mini --diverse --hold-out 0.2 --as text -o train.jsonl
        regreen convert hermes.jsonl --to openai -o calls.jsonl

    Parameters
    ----------
    source
        Run directory, .jsonl, .parquet, or an ATIF .json.
    out
        File to write: .jsonl or .parquet.
    limit
        Convert the first N only.
    """
    wanted = wanted or Wanted()
    console = wanted.console()
    job = wanted.job()
    _check(source, out, limit)
    if wanted.dry_run:
        console.note(f"{source} can be converted to {out}; nothing was written")
        return 0
    tally = Tally()
    try:
        beside = _write(job, source, out, limit, tally)
    except KeyboardInterrupt:
        console.note(f"interrupted; {out} is as it was; go on with:\n{command_line()}")
        raise SystemExit(130) from None
    if wanted.json:
        console.json(_summary(job, source, out, beside, tally))
    else:
        _tell(job, source, beside, tally, console)
        if not tally.rows:
            left = "is as it was" if out.exists() else "was not written"
            console.note(f"no trajectory could be converted, so {out} {left}")
        else:
            console.result(str(out))
    return 0 if tally.rows else 1


def _write(
    job: Conversion, source: Path, out: Path, limit: int | None, tally: Tally
) -> Path | None:
    """Convert; returns the file of what was put aside, if anything was.

    Raises:
        UsageError: the source is broken, or empty.
    """
    with SpareFile(_beside(out)) as spare:
        found = read_trajectories(source, job.refuse(tally, spare.put))
        rows = job.rows(islice(found, limit), tally, spare.put)
        first = next(rows, None)
        if not tally.read:
            msg = "there is no trajectory in it"
            raise UsageError(msg, where=str(source), mend="name a run or a file that holds some")
        if first is not None:
            kind = Trajectory if job.shape == "messages" else RenderedRow
            write_rows(out, kind, chain([first], rows))
    return spare.path if spare.count else None


def _own_name(target: str) -> str:
    """A target under the name that rows record; aliases are resolved."""
    return str(Draw.read(target)) if target not in {"", OPENAI} else target


def _held(given: tuple[str, ...]) -> tuple[str, ...] | None:
    if len(given) == 1:
        with contextlib.suppress(ValueError):
            return hold_out(FORMATS, float(given[0]))
    for name in given:
        tool_format(name)
    return given or None


def _check(source: Path, out: Path, limit: int | None) -> None:
    if limit is not None and limit < 1:
        msg = f"--limit {limit} converts nothing"
        raise UsageError(msg, where="-n", mend="give 1 or more")
    if not source.exists():
        msg = "there is no such file or directory"
        raise UsageError(msg, where=str(source), mend="name a run or a file of trajectories")
    if out.suffix not in SUFFIXES:
        msg = f"unknown kind of file {out.suffix!r}"
        raise UsageError(msg, where=str(out), mend="end the name in .jsonl or .parquet")
    if any(path.exists() and path.samefile(source) for path in (out, _beside(out))):
        msg = "the result would replace its own source"
        raise UsageError(msg, where=str(out), mend="give another --out")
    check_writable(out, "the result")


def _beside(out: Path) -> Path:
    return out.with_suffix(".aside.jsonl")


def _summary(
    job: Conversion, source: Path, out: Path, beside: Path | None, tally: Tally
) -> dict[str, object]:
    funnel = Funnel(
        name=str(source),
        steps=(("trajectories", tally.read), ("converted", tally.converted)),
        rejected=dict(tally.reasons),
    )
    return {
        "out": str(out) if tally.rows else None,
        "aside": str(beside) if beside else None,
        "rows": tally.rows,
        "funnel": funnel.model_dump(mode="json"),
        "notes": dict(tally.notes),
        "draws": draw_statistics(tally.draws).as_json() if job.diversity else None,
    }


def _tell(
    job: Conversion, source: Path, beside: Path | None, tally: Tally, console: Console
) -> None:
    console.result(f"{tally.converted} of {tally.read} trajectories of {source} converted")
    for reason, count in tally.reasons.most_common():
        console.result(f"{count:6} put aside: {reason}")
    for name, count in tally.notes.most_common():
        console.note(f"{count:6} times: {name}")
    if beside:
        console.note(f"put aside in {beside}; the first: {tally.first_aside}".rstrip())
    if tally.draws:
        drawn = draw_statistics(tally.draws)
        console.table(("axis", "choices", "bits", "most frequent"), drawn.table())
        unit = "tokens" if job.tokenizer else "characters"
        counts = sorted(drawn.axes["calls"].items(), key=lambda pair: (-pair[1], pair[0]))
        rows = [(name, count, drawn.sizes.get(name, 0)) for name, count in counts]
        console.table(("format", "drawn", unit), rows)
