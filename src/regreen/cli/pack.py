"""``regreen pack``: trajectories or text into rows of fixed length, on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from regreen.cli.shared import Output, check_writable, interrupted, read_tools
from regreen.core.clock import SystemClock
from regreen.core.config import resolve_config
from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.store.packed_header import PackedHeader

if TYPE_CHECKING:
    from regreen.packing.settings import PackConfig
    from regreen.packing.writer import PackJob
    from regreen.templates.diversity.draw import DiversityConfig

__all__ = ["pack"]

_EVERY = 5.0
"""Seconds between lines of progress."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PackFlags(Output):
    """Flags of the verb."""

    capacity: int | None = None
    """Tokens of a row (default 32768)."""
    policy: str | None = None
    """How documents longer than a row, and rows, are treated (default best-fit-heads: cut between
    messages, the system turn and the tool definitions before every continuation)."""
    tokenizer: str | None = None
    """A tokenizer.json, qwen for Qwen's vocabulary, or bytes (default qwen)."""
    tool_format: str | None = None
    """Format that trajectories are rendered in (default qwen3_coder)."""
    diverse: Annotated[bool, Parameter(negative="")] = False
    """Draw a format for each trajectory instead; the table [diversity] of --config sets how."""
    came_as: Annotated[str | None, Parameter(name="--from")] = None
    """Format of the sources, where their rows do not say it."""
    tools: Path | None = None
    """JSON list of the tools offered (OpenAI shape), for rows that do not hold them; without it
    they are inferred from the calls."""
    weight: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Weight of a role in the loss, for example assistant=1,tool=0.1; may be changed at reading."""
    drop: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Faults for which a trajectory is put aside: no_finish, failed, unverified, malformed_call,
    infrastructure, hacked; or none (default infrastructure,hacked)."""
    mask_repeats: int | None = None
    """Keep what at least this many texts or files hold in common (licence headers, generated
    settings), masked from the loss (default 0: mask nothing)."""
    repeat_characters: int | None = None
    """Characters a stretch must have to count as repeated (default 100)."""
    special: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Special tokens that the vocabulary bytes holds beside those of the formats."""
    shard_tokens: int | None = None
    """Tokens of a file of rows (default 33554432)."""
    limit: Annotated[int | None, Parameter(alias="-n")] = None
    """Take the first N rows of the sources only."""
    seed: int | None = None
    """Decides the order of rows, and what is drawn (default 0)."""
    workers: Annotated[int, Parameter(alias="-j")] = 1
    """Processes that render."""
    config: Annotated[Path | None, Parameter(alias="-c")] = None
    """TOML file with the tables [pack] and [diversity]; REGREEN_* variables and flags win over
    it."""
    resume: Annotated[bool, Parameter(negative="")] = False
    """Go on with an interrupted job of the same settings and sources."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Check everything that needs no data, then stop."""

    def settings(self) -> PackConfig:
        """The settings, checked.

        Raises:
            UsageError: one that cannot be used.
        """
        from regreen.packing.filters import chosen
        from regreen.packing.planner import POLICIES
        from regreen.packing.settings import PackConfig
        from regreen.store.packed_header import role_weights
        from regreen.templates.diversity.draw import Draw, drawn_format

        given = {
            "capacity": self.capacity,
            "policy": self.policy,
            "seed": self.seed,
            "limit": self.limit,
            "tool_format": self.tool_format,
            "tokenizer": self.tokenizer,
            "weights": _weights(self.weight) or None,
            "shard_tokens": self.shard_tokens,
            "drop": _names(self.drop),
            "mask_repeats": self.mask_repeats,
            "repeat_characters": self.repeat_characters,
            "specials": _names(self.special),
        }
        found = resolve_config(
            PackConfig, file=self.config, table="pack", environ=dict(os.environ), flags=given
        )
        if found.policy not in POLICIES:
            msg = f"there is no packing policy {found.policy!r}"
            raise UsageError(msg, where="--policy", mend=f"choose of {', '.join(POLICIES)}")
        try:
            drawn_format(found.tool_format)
        except UsageError as error:
            where = "--tool-format" if self.tool_format else "tool_format"
            raise UsageError(error.what, where=where, mend=error.mend) from error
        role_weights(found.weights)
        update = {"tool_format": str(Draw.read(found.tool_format)), "drop": chosen(found.drop)}
        return found.model_copy(update=update)

    def diversity(self, seed: int) -> DiversityConfig | None:
        """How formats are drawn; None where they are not.

        Raises:
            UsageError: a format is named too.
        """
        from regreen.templates.diversity.draw import DiversityConfig

        if not self.diverse:
            return None
        if self.tool_format:
            msg = "a format is either named or drawn"
            raise UsageError(msg, where="--tool-format", mend="leave one of the two flags out")
        return resolve_config(
            DiversityConfig,
            file=self.config,
            table="diversity",
            environ=dict(os.environ),
            flags={"seed": seed},
        )

    def job(self, sources: tuple[Path, ...], out: Path) -> PackJob:
        """The job these flags ask for.

        Raises:
            UsageError: what contradicts itself or is not there.
            PrerequisiteError: the vocabulary is not installed.
        """
        from regreen.packing.rendering import Rendering, formats_used
        from regreen.packing.vocabulary import record_vocabulary
        from regreen.packing.writer import PackJob
        from regreen.templates.diversity.draw import drawn_format

        if self.workers < 1:
            msg = f"--workers {self.workers} is none"
            raise UsageError(msg, where="-j", mend="give 1 or more")
        if self.came_as not in {None, "openai"}:
            drawn_format(str(self.came_as))
        config = self.settings()
        diversity = self.diversity(config.seed)
        formats = formats_used(config, diversity)
        rendering = Rendering(
            config=config,
            vocabulary=record_vocabulary(
                config.tokenizer, formats, config.end_of_text, config.specials
            ),
            diversity=diversity,
            source=self.came_as or "",
            tools=read_tools(self.tools),
        )
        return PackJob(
            sources=sources, out=out, rendering=rendering, workers=self.workers, resume=self.resume
        )


def pack(
    sources: Annotated[tuple[Path, ...], Parameter(negative="")],
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    flags: PackFlags | None = None,
) -> int:
    """Pack trajectories or text into rows of fixed length, on disk.

    Documents that fit a row are not cut. One that does not is cut between messages, never in a
    call, and every continuation begins with the system turn and the tool definitions again, masked
    from the loss. The same sources, settings and seed give the same bytes. A trajectory that cannot
    be rendered, or that --drop names, is written, with the reason, to OUT/rejected.jsonl; the
    report is OUT/report.md.

    Exits with 1 when not one row of the sources became a document.

    For example:

        regreen pack runs/mini runs/react --capacity 32768 -o packed
        regreen pack chats.jsonl --tokenizer tokenizer.json --diverse --seed 1 -o packed
        regreen pack runs/mini --drop no_finish,failed,malformed_call,infrastructure,hacked -o sft
        regreen pack books.jsonl --tokenizer bytes --capacity 2048 --weight text=1 -o packed
        regreen pack texts.jsonl --mask-repeats 10 --capacity 262144 -o packed

    Parameters
    ----------
    sources
        Run directories; .jsonl, .parquet or ATIF .json files of trajectories or messages; .txt, or
        .jsonl with a text in each line.
    out
        Directory to write.
    """
    from regreen.packing.writer import check_directory
    from regreen.packing.writer import pack as run

    flags = flags or PackFlags()
    console = flags.console()
    job = flags.job(sources, out)
    for source in sources:
        if not source.exists():
            msg = "there is no such file or directory"
            mend = "name a run, a file of trajectories, or texts"
            raise UsageError(msg, where=str(source), mend=mend)
    check_directory(out, resume=flags.resume)
    check_writable(out / "header.json" if out.is_dir() else out, "the packed rows")
    if flags.dry_run:
        console.note("the settings and the vocabulary are fine; nothing was written")
        return 0
    try:
        header = run(job, _Told(console))
    except KeyboardInterrupt:
        interrupted(console, resume=flags.resume)
    if flags.json:
        console.json(_summary(out, header))
    else:
        _tell(out, header, console)
    return 0


class _Told:
    """Prints a line of progress, unless one was printed just now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock = SystemClock()
        self._last = self._clock.monotonic()

    def __call__(self, text: str) -> None:
        now = self._clock.monotonic()
        if now - self._last >= _EVERY:
            self._last = now
            self._console.note(text)


def _names(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names that stand one a flag or with commas between them; None where none is given."""
    found = tuple(name.strip() for part in given for name in part.split(",") if name.strip())
    return found or None


def _weights(given: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in ",".join(given).split(",") if given else ():
        role, _, number = part.partition("=")
        try:
            found[role.strip()] = float(number)
        except ValueError as error:
            msg = f"{part!r} names no role and weight"
            mend = "write ROLE=NUMBER, for example tool=0.1"
            raise UsageError(msg, where="--weight", mend=mend) from error
    return found


def _summary(out: Path, header: PackedHeader) -> dict[str, Any]:
    rejected = sum(header.statistics["rejected"].values())
    return {
        "out": str(out),
        "rejected_rows": str(out / "rejected.jsonl") if rejected else None,
        "capacity": header.capacity,
        "policy": header.policy,
        "seed": header.seed,
        "vocabulary": header.vocabulary.name,
        "digest": header.config_digest,
        "weights": header.weights,
        "shards": len(header.shards),
        **header.statistics,
    }


def _tell(out: Path, header: PackedHeader, console: Console) -> None:
    from regreen.packing.pack_report import report_text

    console.result(report_text(header).rstrip())
    told = header.statistics
    for name, count in told["notes"].items():
        console.note(f"{count:6} times: {name}")
    rejected = sum(told["rejected"].values())
    if rejected:
        console.note(f"{rejected:,} of {told['rows_read']:,} rows are in {out / 'rejected.jsonl'}:")
        for reason, count in sorted(told["rejected"].items(), key=lambda pair: -pair[1]):
            console.note(f"{count:6} times: {reason}")
    rows = "row" if header.num_rows == 1 else "rows"
    console.result(f"\n{header.num_rows:,} {rows} in {out}")
