"""``regreen train sft``: packed rows, or what can be packed, into a fine-tuned checkpoint."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from regreen.cli.pack import PackFlags
from regreen.cli.shared import Output, check_run, interrupted
from regreen.cli.train_measure import check_measure
from regreen.cli.train_run import run_of_all
from regreen.core.config import resolve_config
from regreen.core.console import Console
from regreen.core.errors import RegreenError, UsageError

if TYPE_CHECKING:
    from regreen.store.packed_header import PackedHeader, VocabularyRecord
    from regreen.store.run import RunDirectory
    from regreen.train.compute.parallel import World
    from regreen.train.sft.config import SftConfig
    from regreen.train.sft.loop import SftResult
    from regreen.train.sft.sources import SftData, Source
    from regreen.train.start import Start

__all__ = ["sft"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SftFlags(Output):
    """Flags of the verb."""

    weight: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Weight of a role in the loss, in place of the packed one, for example tool=0.1,call=2."""
    template_weight: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """How often pieces in a template are read in a pass, for example hermes=2,react=0.5."""
    held_out: str | None = None
    """Share of the tasks, or of trajectories and texts that name none, to evaluate on instead of
    training on them; or a packed directory."""
    epochs: float | None = None
    """Passes over the data (default 1)."""
    steps: int | None = None
    """Optimiser steps, in place of --epochs."""
    batch_tokens: int | None = None
    """Tokens of an optimiser step (default 65536); whole rows are added until they are reached."""
    micro_tokens: int | None = None
    """Tokens computed at once (default 8192); decides about memory, not about the result."""
    learning_rate: Annotated[float | None, Parameter(alias="--lr")] = None
    """Rate behind the warm-up (default 3e-4)."""
    evaluate_every: int | None = None
    """Steps between evaluations (default 100)."""
    checkpoint_every: int | None = None
    """Steps between checkpoints (default 100)."""
    track: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Dashboard beside metrics.jsonl: tensorboard, trackio or wandb."""
    tokenizer: str | None = None
    """For sources still to be packed: a tokenizer.json, qwen or bytes (default the checkpoint's,
    else qwen)."""
    capacity: int | None = None
    """For sources still to be packed: tokens of a row (default 32768)."""
    tool_format: str | None = None
    """For sources still to be packed: the format (default qwen3_coder)."""
    diverse: Annotated[bool, Parameter(negative="")] = False
    """For sources still to be packed: draw a format for each trajectory."""
    device: str | None = None
    """cpu or cuda (default cuda where there is one)."""
    seed: int | None = None
    """Decides about new weights, the order of rows and what is held out (default 0)."""
    config: Annotated[Path | None, Parameter(alias="-c")] = None
    """TOML file with the table [train.sft], and [pack] and [diversity] for sources still to be
    packed; REGREEN_* variables and flags win over it."""
    resume: Annotated[bool, Parameter(negative="")] = False
    """Go on with an interrupted run of the same settings and data."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Check everything that needs no pass over the data, say what a run would hold, then stop."""
    measure: Annotated[bool, Parameter(negative="")] = False
    """With --dry-run: train a little, to say how long the run would take."""

    def settings(self) -> SftConfig:
        """The settings, checked.

        Raises:
            UsageError: one that cannot be used.
            PrerequisiteError: a dashboard is not installed.
        """
        from regreen.train.sft.config import SftConfig
        from regreen.train.tracking import check_trackers

        same = (
            "held_out", "epochs", "steps", "batch_tokens", "micro_tokens", "learning_rate",
            "evaluate_every", "checkpoint_every", "seed",
        )  # fmt: skip
        given: dict[str, Any] = {name: getattr(self, name) for name in same}
        given["weights"] = _numbers(self.weight, "--weight", "tool=0.1") or None
        named = _numbers(self.template_weight, "--template-weight", "hermes=2")
        given["templates"] = named or None
        given["track"] = self.track or None
        found = resolve_config(
            SftConfig,
            file=self.config,
            table="train.sft",
            environ=dict(os.environ),
            flags=given,
        )
        check_trackers(found.track)
        return found

    def packing(self, start: Start) -> PackFlags:
        """How sources are packed that are not yet."""
        from regreen.train.vocabulary import TOKENIZER, checkpoint_vocabulary

        tokenizer = self.tokenizer
        if tokenizer is None and start.folder is not None:
            record, file = checkpoint_vocabulary(start.folder), start.folder / TOKENIZER
            if record is not None and record.name in {"bytes", "qwen"}:
                tokenizer = record.name
            elif file.is_file():
                tokenizer = str(file)
        return PackFlags(
            capacity=self.capacity,
            tokenizer=tokenizer,
            tool_format=self.tool_format,
            diverse=self.diverse,
            config=self.config,
            resume=True,
        )


def sft(
    sources: Annotated[tuple[str, ...], Parameter(negative="")],
    /,
    *,
    model: str,
    run: Path,
    flags: SftFlags | None = None,
) -> int:
    """Fine-tune a model on packed trajectories and texts.

    Rows are read in a seeded order without pads; documents never see each other. The loss is the
    mean over the tokens of the whole optimiser step, each with its role's weight, so neither the
    micro-batches nor the number of processes changes what is learnt. Numbers go to
    RUN/metrics.jsonl, the model to RUN/checkpoints. An interrupted or killed run goes on with
    --resume, with the next rows it would have read. Under torchrun, weights are cut over the
    processes.

    For example:

        regreen train sft packed --model 1m --run runs/sft
        regreen train sft code=0.3 chats=0.7 --model checkpoints/base --held-out 0.02 --run runs/sft
        regreen train sft runs/scripted notes.txt --tokenizer bytes --model 1m --run runs/sft

    Parameters
    ----------
    sources
        Directories of packed rows, or what regreen pack takes, which is packed into RUN first; each
        with its share of the tokens (PATH=0.7), or none with one.
    model
        Folder of a checkpoint, a run with checkpoints, or a shape for new weights: 1m, 5m, 23m,
        100m, 264m, 1b, 80b.
    run
        Directory of the run.
    """
    from regreen.train.compute.parallel import world
    from regreen.train.sft.sources import read_sources
    from regreen.train.start import read_start

    flags = flags or SftFlags()
    check_measure(measure=flags.measure, dry_run=flags.dry_run)
    config, start, given = flags.settings(), read_start(model), read_sources(sources)
    check_run(run)
    with world(device=flags.device) as here:
        console = flags.console() if here.first else Console(quiet=True)
        order = _Order(flags, config, start, given, here, console)
        if flags.dry_run:
            order.tell()
            return 0
        return order.train(model, run)


@dataclass(frozen=True)
class _Order:
    """What is to be done, and by whom."""

    flags: SftFlags
    config: SftConfig
    start: Start
    given: Sequence[Source]
    here: World
    console: Console

    def train(self, model: str, run: Path) -> int:
        """Pack what is not packed, then train."""
        from regreen.train.sft.loop import SftJob, num_steps, steps_done, train_sft
        from regreen.train.sft.sources import open_data
        from regreen.train.stop import asked_to_stop
        from regreen.train.vocabulary import companions

        config, start, console = self.config, self.start, self.console
        new = not run.is_dir() or not any(run.iterdir())
        directory = self._directory(model, run)
        try:
            with _nothing_left(run if new and self.here.first else None):
                data = open_data(self._packed(run), config)
                record, headers = _checked(data, start, console)
                beside = companions(record, headers, start.folder)
            job = SftJob(
                config=config,
                data=data,
                start=start,
                vocabulary=record.size,
                run=directory,
                beside=beside,
                here=self.here,
            )
            total, done = num_steps(data, config), steps_done(run)
            shown = console.progress("step", total=total, done=done, good="applied")
            with asked_to_stop() as asked, shown as bar:
                found = train_sft(job, asked=asked, progress=bar)
        finally:
            directory.close()
        if self.here.first:
            if found.stopped:
                told = f"stopped after step {found.step}; its checkpoint is {found.checkpoint}"
                console.note(told)
                if self.here.size > 1:
                    console.note("go on under torchrun again, with as many processes or others")
                interrupted(console, resume=self.flags.resume)
            _tell(found, console, json=self.flags.json)
        return 0

    def _directory(self, model: str, run: Path) -> RunDirectory:
        from regreen.train.sft.config import MAY_DIFFER
        from regreen.train.sft.sources import data_digest

        config = self.config
        data = [str(source) for source in self.given]
        return run_of_all(
            self.here, run, config={"model": model, "data": data, **config.model_dump()},
            digest=lambda: data_digest(self.given, config.held_out), seed=config.seed,
            resume=self.flags.resume, may_differ=MAY_DIFFER,
        )  # fmt: skip

    def _packed(self, run: Path) -> list[Source]:
        """The sources, those that are not packed yet packed into the run."""
        from regreen.packing.writer import pack
        from regreen.train.sft.sources import Source, is_packed

        raw = [source for source in self.given if not is_packed(source.path)]
        together = [raw] if raw and raw[0].share is None else [[one] for one in raw]
        first: dict[Source, Source] = {}
        for number, group in enumerate(together):
            out = run / ("packed" if len(together) == 1 else f"packed-{number}")
            if self.here.first:
                paths = tuple(one.path for one in group)
                pack(self.flags.packing(self.start).job(paths, out), self.console.note)
            first[group[0]] = Source(out, group[0].share)
        self.here.barrier()
        found = [one if is_packed(one.path) else first.get(one) for one in self.given]
        return [one for one in found if one is not None]

    def tell(self) -> None:
        """Check, and say what the run would be."""
        from regreen.cli.train_sft_plan import tell_plan
        from regreen.train.sft.sources import is_packed, open_data

        raw = tuple(source.path for source in self.given if not is_packed(source.path))
        if raw:
            self.flags.packing(self.start).job(raw, Path())
            self.console.note("sources to be packed first say nothing of rows and steps")
        else:
            data = open_data(self.given, self.config)
            record, _ = _checked(data, self.start, self.console)
            tell_plan(
                self.config,
                self.start,
                data,
                record.size,
                here=self.here,
                console=self.console,
                json=self.flags.json,
                measure=self.flags.measure,
            )
        self.console.note("the settings and the data are fine; nothing was written")


@contextmanager
def _nothing_left(run: Path | None) -> Iterator[None]:
    """Remove a run that failed before it began, so that it is not in the way of what is mended.

    Rows that packing refused stay, as the error names them.
    """
    try:
        yield
    except RegreenError:
        if run is not None and not list(run.glob("packed*/rejected.jsonl")):
            shutil.rmtree(run)
        raise


def _checked(
    data: SftData, start: Start, console: Console
) -> tuple[VocabularyRecord, list[PackedHeader]]:
    """The vocabulary of the rows, which the model must know."""
    from regreen.train.vocabulary import check_vocabulary, one_vocabulary

    headers = {str(one.path): one.header for one in data.shards}
    record = one_vocabulary(headers)
    size = start.sized(record.size).vocab_size
    if told := check_vocabulary(record, start.folder, size, packed=next(iter(headers))):
        console.note(told)
    return record, list(headers.values())


def _tell(found: SftResult, console: Console, *, json: bool) -> None:
    if json:
        console.json(
            {
                "checkpoint": str(found.checkpoint),
                "step": found.step,
                "tokens": found.tokens,
                "seconds": found.seconds,
                "metrics": found.metrics,
            }
        )
        return
    names = ("loss", "held_out/loss")
    losses = [f"{name} {found.metrics[name]:.4f}" for name in names if name in found.metrics]
    console.result(f"{found.step} steps, {found.tokens:,} tokens, {', '.join(losses)}")
    console.result(f"{found.checkpoint}")


def _numbers(given: tuple[str, ...], flag: str, example: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in ",".join(given).split(",") if given else ():
        name, _, number = part.rpartition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError as error:
            msg = f"{part!r} gives no name a weight"
            mend = f"write NAME=NUMBER, for example {example}"
            raise UsageError(msg, where=flag, mend=mend) from error
    return found
