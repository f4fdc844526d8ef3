"""Packing a corpus to disk: every document into a spool, then by a plan into files of rows.

Two passes, because rows can only be planned when all lengths are known. Both can be interrupted at
any place: the spool goes on from its last commit, the plan is a function of the spool, a file of
rows is there whole or not at all, and the header comes last.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from regreen.core.config import config_digest
from regreen.core.errors import RegreenError, UsageError
from regreen.core.trajectory import Trajectory
from regreen.packing.documents import Borders
from regreen.packing.pack_report import measure, report_text
from regreen.packing.plan import Plan, shuffle
from regreen.packing.planner import plan
from regreen.packing.rendering import Made, Refused, Rendering, Unit
from regreen.packing.repeats import find_repeats, measure_repeats
from regreen.packing.rows import RowCopier
from regreen.packing.settings import PackConfig
from regreen.packing.sources import NoUnit, Numbered, digest_sources, read_row_texts, read_units
from regreen.packing.workers import ordered_results
from regreen.store.atomic import replacing, write_text
from regreen.store.packed_documents import DOCUMENTS, INDEX, TEMPLATES, index_lines
from regreen.store.packed_header import (
    HEADER,
    FileRecord,
    PackedHeader,
    SourceRecord,
    read_header,
    role_weights,
    write_header,
)
from regreen.store.packed_shard import digest_of
from regreen.store.packed_spool import REJECTED, Spool, SpooledDocuments
from regreen.store.rendered import AsideRow
from regreen.store.texts import TextRow

__all__ = ["PackJob", "check_directory", "pack"]

_SPOOL = "spool"
_REPORT = "report.md"


@dataclass(frozen=True, kw_only=True)
class PackJob:
    """What is to be packed, and where to."""

    sources: tuple[Path, ...]
    """Runs, files of trajectories, texts."""
    out: Path
    """Directory to write."""
    rendering: Rendering
    """How sources become documents."""
    workers: int = 1
    """Processes that render."""
    resume: bool = False
    """Go on with an interrupted job, or accept one that has ended."""
    commit_every: int = 256
    """Rows of the sources between two commits of the spool; decides about no byte of the result."""

    def described(self, sources: tuple[SourceRecord, ...]) -> dict[str, Any]:
        """All that decides about the result, as JSON has it."""
        rendering = self.rendering
        diversity = rendering.diversity.model_dump(mode="json") if rendering.diversity else None
        told = {
            "settings": rendering.config.model_dump(mode="json"),
            "diversity": diversity,
            "sources": [source.model_dump() for source in sources],
            "vocabulary": rendering.vocabulary.model_dump(mode="json"),
            "from": rendering.source,
            "tools": rendering.tools,
        }
        found: dict[str, Any] = json.loads(json.dumps(told))
        return found


def check_directory(out: Path, *, resume: bool) -> PackedHeader | None:
    """Look at what is in the directory; the header, where packing has ended there already.

    Raises:
        UsageError: it holds something else, or ``resume`` is not given.
    """
    names = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
    if out.exists() and not out.is_dir():
        what = "this is a file, not a directory"
        raise UsageError(what, where=str(out), mend="name a new or an empty directory with -o")
    if HEADER in names:
        if resume:
            return read_header(out)
        what = "there are packed shards here already"
        raise UsageError(what, where=str(out), mend="name a new directory, or delete this one")
    if names - {REJECTED} and _SPOOL not in names:
        what = "this directory holds files and no packed shards"
        raise UsageError(what, where=str(out), mend="name a new or an empty directory with -o")
    return None


def pack(job: PackJob, tell: Callable[[str], None] = lambda text: None) -> PackedHeader:
    """Pack the sources.

    Args:
        job: what and where to.
        tell: is given a line on what is done, after every commit and every file.

    Raises:
        UsageError: the directory is taken, the job is not the one begun there, or a source or a
            setting cannot be used.
        InfrastructureError: the disk is full.
        RegreenError: no row of the sources became a document.
    """
    done = check_directory(job.out, resume=job.resume)
    described = job.described(digest_sources(job.sources))
    if done is not None:
        return _ended(job, described, done)
    job, repetition = _with_repeats(job, tell)
    spool_path = job.out / _SPOOL
    token_bytes = _token_bytes(job.rendering.vocabulary.size)
    with Spool(spool_path, described, token_bytes=token_bytes, resume=job.resume) as spool:
        if not spool.complete:
            _render_or_leave_nothing(job, spool, tell)
        if not spool.documents:
            raise _nothing(job.out, spool)
        header = _write(job, spool, described, tell, repetition)
        spool.remove()
    for left in job.out.glob(".*.tmp"):  # of a process that was killed while it wrote
        left.unlink()
    return header


def _ended(job: PackJob, described: dict[str, Any], header: PackedHeader) -> PackedHeader:
    if config_digest(described) != header.config_digest:
        what = "the packed shards here were made with other settings or sources"
        raise UsageError(what, where=str(job.out), mend="name another directory with -o")
    shutil.rmtree(job.out / _SPOOL, ignore_errors=True)
    return header


def _with_repeats(
    job: PackJob, tell: Callable[[str], None]
) -> tuple[PackJob, dict[str, Any] | None]:
    """The job that masks what many texts hold, and how much that is; as it was where none is."""
    config = job.rendering.config
    if not config.mask_repeats:
        return job, None

    def texts() -> Iterator[TextRow]:
        return read_row_texts(job.sources, config.limit)

    tell("counting what many texts hold")
    least = config.repeat_characters
    found = find_repeats(texts, places=config.mask_repeats, characters=least)
    told = measure_repeats(texts(), found).told()
    return replace(job, rendering=replace(job.rendering, repeats=found)), told


def _render_or_leave_nothing(job: PackJob, spool: Spool, tell: Callable[[str], None]) -> None:
    try:
        _render(job, spool, tell)
    except BaseException:
        if not spool.read and spool.path.exists():  # it would stand in the way of what is mended
            spool.remove()
        raise


def _render(job: PackJob, spool: Spool, tell: Callable[[str], None]) -> None:
    """Every unit of the sources into the spool, from where it stands."""
    count = spool.read
    units = islice(read_units(job.sources), count, job.rendering.config.limit)
    for numbered, result in ordered_results(_OfUnit(job.rendering), units, job.workers):
        _put(spool, numbered, result)
        count += 1
        if count % job.commit_every == 0:
            spool.commit(count)
            tell(f"{count:,} rows read, {spool.documents:,} documents rendered")
    if not count:
        spool.remove()
        what = "there is nothing in the sources"
        mend = "name a run or a file that holds some"
        raise UsageError(what, where=", ".join(map(str, job.sources)), mend=mend)
    spool.commit(count, complete=True)


@dataclass(frozen=True)
class _OfUnit:
    """Renders what a source holds, where that is a unit at all."""

    rendering: Rendering

    def __call__(self, numbered: Numbered) -> Made | Refused:
        unit = numbered.unit
        if isinstance(unit, NoUnit):
            return Refused("the row is neither a trajectory nor a text", unit.details)
        return self.rendering(unit)


def _put(spool: Spool, numbered: Numbered, result: Made | Refused) -> None:
    if isinstance(result, Refused):
        spool.reject(_rejected(numbered.unit, result))
        return
    spool.notes.update(result.notes)
    about = _about(numbered)
    for document in result.documents:
        row = {**about, "segment": document.segment, "head": document.head}
        spool.append(document.tokens, document.labels, document.places, document.template, row)


def _rejected(unit: Unit | NoUnit, refused: Refused) -> AsideRow:
    name = unit.rollout_id if isinstance(unit, Trajectory) else unit.name
    found = AsideRow(rollout_id=name, reason=refused.reason, details=refused.details)
    if isinstance(unit, Trajectory):
        return found.model_copy(update={"trajectory": unit})
    if isinstance(unit, NoUnit):
        return found.model_copy(update={"row": unit.row})
    plain = unit == TextRow(name=unit.name, text=unit.text)
    row = {"text": unit.text} if plain else unit.model_dump(mode="json")
    return found.model_copy(update={"row": row})


def _about(numbered: Numbered) -> dict[str, Any]:
    unit, source = numbered.unit, numbered.source
    if not isinstance(unit, Trajectory):
        return {"rollout_id": unit.name, "source": source}
    score = sum(reward.score * reward.weight for reward in unit.rewards)
    return {
        "rollout_id": unit.rollout_id,
        "source": source,
        "task": unit.task,
        "agent": unit.agent,
        "model": unit.model,
        "resolved": unit.verdict.resolved if unit.verdict else None,
        "reward": score if unit.rewards else None,
    }


def _write(
    job: PackJob,
    spool: Spool,
    described: dict[str, Any],
    tell: Callable[[str], None],
    repetition: dict[str, Any] | None,
) -> PackedHeader:
    """Plan the rows and write everything; the header last."""
    config, spooled = job.rendering.config, spool.map()
    planned = shuffle(_planned(config, spooled), config.seed)
    rows = RowCopier(
        planned,
        spooled,
        pad=job.rendering.vocabulary.pad,
        rows_per_shard=max(1, config.shard_tokens // config.capacity),
    )
    shards = []
    for number in range(rows.num_shards):
        shards.append(rows.write(job.out, number, spool.finished(rows.name(number))))
        spool.finish(shards[-1].name, shards[-1].digest)
        tell(f"{number + 1:,} of {rows.num_shards:,} files of rows written")
    templates = spool.templates()
    header = PackedHeader(
        capacity=config.capacity,
        policy=config.policy,
        seed=config.seed,
        vocabulary=job.rendering.vocabulary,
        token_bytes=_token_bytes(job.rendering.vocabulary.size),
        weights=role_weights(config.weights),
        config=described,
        config_digest=config_digest(described),
        sources=tuple(SourceRecord.model_validate(row) for row in described["sources"]),
        num_rows=planned.num_rows,
        rows_per_shard=rows.rows_per_shard,
        num_documents=spool.documents,
        num_templates=len(templates),
        shards=tuple(shards),
        files=_tables(job.out, spool.path),
        statistics={
            **measure(planned, spooled, rows.label_counts, templates),
            "rows_read": spool.read,
            "rejected": dict(spool.reasons),
            "notes": dict(spool.notes),
            **({} if repetition is None else {"repeats": repetition}),
        },
    )
    write_text(job.out / _REPORT, "# Packed shards\n\n" + report_text(header))
    write_header(job.out, header)
    return header


def _planned(config: PackConfig, spooled: SpooledDocuments) -> Plan:
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(spooled.border_counts)])
    borders = Borders(offsets, spooled.borders)
    heads = spooled.heads
    return plan(spooled.lengths, config.capacity, config.policy, heads=heads, borders=borders)


def _tables(out: Path, spool: Path) -> tuple[FileRecord, ...]:
    """Copy what the spool says of the documents; copied, so that a resumed job finds it again."""
    for name in (DOCUMENTS, TEMPLATES, REJECTED):
        if name == REJECTED and not (spool / name).stat().st_size:
            (out / name).unlink(missing_ok=True)
            continue
        with (spool / name).open("rb") as source, replacing(out / name) as file:
            shutil.copyfileobj(source, file)
    with (spool / DOCUMENTS).open("rb") as lines, replacing(out / INDEX) as file:
        for place in index_lines(lines):
            file.write(place.to_bytes(8, "little"))
    return tuple(
        FileRecord(name=name, bytes=(out / name).stat().st_size, digest=digest_of(out / name))
        for name in (DOCUMENTS, INDEX, TEMPLATES)
    )


def _token_bytes(size: int) -> Literal[2, 4]:
    return 2 if size <= 1 << 16 else 4


def _nothing(out: Path, spool: Spool) -> RegreenError:
    (reason, count), *_ = spool.reasons.most_common(1)
    with (spool.path / REJECTED).open("rb") as source, replacing(out / REJECTED) as file:
        shutil.copyfileobj(source, file)
    spool.remove()
    rows = "row" if spool.read == 1 else "rows"
    what = f"none of {spool.read:,} {rows} became a document; {count:,} times: {reason}"
    mend = "read there why, then pack again"
    return RegreenError(what, where=str(out / REJECTED), mend=mend)
