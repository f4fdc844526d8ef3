"""What packing did, as numbers for the header and as text with bars for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from regreen.packing.plan import Ints, Plan
from regreen.packing.rendering import call_format
from regreen.packing.statistics import Histogram, statistics
from regreen.store.packed_header import LOSS, ROLES, PackedHeader, role_weights
from regreen.store.packed_spool import SpooledDocuments

__all__ = ["measure", "report_text"]

_BAR = 40
_QUOTED = 72
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def measure(
    plan: Plan, spooled: SpooledDocuments, label_counts: Ints, templates: Sequence[str]
) -> dict[str, Any]:
    """All numbers of the report, as JSON.

    Args:
        plan: the rows.
        spooled: the documents.
        label_counts: (256,) slots by label.
        templates: the templates by number.
    """
    found = statistics(plan)
    own = plan.stop - plan.start - plan.seen
    headless = (plan.start > 0) & (plan.head == 0) & (spooled.heads[plan.document] > 0)
    return {
        "rows": found.rows,
        "documents": found.documents,
        "pieces": found.pieces,
        "tokens": found.tokens,
        "fill": found.fill_share,
        "padding": found.padding_share,
        "padding_tokens": found.padding,
        "documents_longer_than_a_row": found.documents_long,
        "documents_cut": found.documents_cut,
        "documents_cut_that_fit": found.documents_cut_that_fit,
        "documents_left_out": found.documents_discarded,
        "fragmentation": found.fragmentation,
        "tokens_left_out": found.discarded,
        "headless_tokens": int(own[headless].sum()),
        "forced_cuts": found.forced_cuts,
        "repeated_tokens": found.repeated,
        "repeated": found.repeated_share,
        "roles": _by_role(label_counts),
        "templates": _by_template(spooled, templates),
        "row_fill": _bins(found.fill),
        "document_lengths": _bins(found.lengths),
    }


def _bins(histogram: Histogram) -> dict[str, list[float] | list[int]]:
    return {"edges": list(histogram.edges), "counts": list(histogram.counts)}


def _by_role(label_counts: Ints) -> dict[str, dict[str, int]]:
    found = {}
    for place, role in enumerate(ROLES):
        loss = int(label_counts[place | LOSS])
        total = int(label_counts[place]) + loss
        if total:
            found[role] = {"tokens": total, "loss_tokens": loss}
    return found


def _by_template(spooled: SpooledDocuments, templates: Sequence[str]) -> dict[str, dict[str, int]]:
    """Documents and tokens of each call format, however it was drawn."""
    counts = np.bincount(spooled.templates, minlength=len(templates))
    tokens = np.bincount(spooled.templates, weights=spooled.lengths, minlength=len(templates))
    found: dict[str, Counter[str]] = {}
    for place, template in enumerate(templates):
        row = found.setdefault(call_format(template), Counter())
        row.update(templates=1, documents=int(counts[place]), tokens=int(tokens[place]))
    return {name: dict(row) for name, row in sorted(found.items())}


def report_text(header: PackedHeader) -> str:
    """The report as Markdown that reads as plain text too."""
    told = header.statistics
    rows = "row" if told["rows"] == 1 else "rows"
    lines = [
        f"{told['rows']:,} {rows} of {header.capacity:,} tokens, {_share(told['fill'])} filled "
        f"(policy {header.policy}, {_share(told['padding'])} padding)",
        f"{told['documents']:,} documents, {told['tokens']:,} tokens; "
        f"{told['documents_longer_than_a_row']:,} longer than a row, {told['documents_cut']:,} cut "
        f"({_share(told['fragmentation'])})",
        f"headless tokens {told['headless_tokens']:,}; heads written again and other repeats "
        f"{told['repeated_tokens']:,} ({_share(told['repeated'])}); left out "
        f"{told['documents_left_out']:,} documents, {told['tokens_left_out']:,} tokens",
        "",
        "## Documents by length",
        *_bars(_lengths(told["document_lengths"])),
        "",
        "## Rows by fill",
        *_bars(_fills(told["row_fill"])),
        "",
        "## Tokens by role",
        *_roles(told["roles"], header.weights),
        "",
        "## Templates",
        *_templates(told["templates"]),
        *_repeats(told.get("repeats")),
    ]
    return "\n".join(lines) + "\n"


def _lengths(histogram: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, int]]:
    """One bar an octave."""
    edges, octaves = histogram["edges"], Counter[int]()
    for edge, count in zip(edges, histogram["counts"], strict=False):
        octaves[int(np.floor(np.log2(edge) + 1e-9))] += count
    for octave in range(min(octaves, default=0), max(octaves, default=-1) + 1):
        yield f"{1 << octave:,} to {(2 << octave) - 1:,}", octaves[octave]


def _fills(histogram: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, int]]:
    """From the emptiest row on; where no row is, nothing is shown."""
    edges = histogram["edges"]
    for place, count in enumerate(histogram["counts"]):
        if count:
            yield f"{100 * edges[place]:.0f} to {100 * edges[place + 1]:.0f} %", count


def _bars(rows: Iterator[tuple[str, int]]) -> Iterator[str]:
    found = list(rows) or [("none", 0)]
    width = max(len(name) for name, _ in found)
    most = max(1, *(count for _, count in found))
    for name, count in found:
        whole, rest = divmod(round(8 * _BAR * count / most), 8)
        bar = ("█" * whole + _EIGHTHS[rest]).rstrip()
        yield f"{name:>{width}}  {count:>9,} {bar}".rstrip()


def _roles(roles: Mapping[str, Mapping[str, int]], weights: Mapping[str, float]) -> Iterator[str]:
    given = role_weights(weights)
    parts = {role: given.get(role, 0.0) * row["tokens"] for role, row in roles.items()}
    slots = sum(row["tokens"] for row in roles.values())
    whole = sum(parts.values()) or 1.0
    for role, row in roles.items():
        weight = given.get(role, 0.0)
        yield (
            f"{role:>10}  {row['tokens']:>13,}  {_share(row['tokens'] / slots):>8} of all  "
            f"weight {weight:<4g} {_share(parts[role] / whole):>8} of the loss"
        )


def _templates(templates: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for name, row in sorted(templates.items(), key=lambda pair: -pair[1]["tokens"]):
        drawn = f" in {row['templates']:,} templates" if row["templates"] > 1 else ""
        yield f"{name:>18}  {row['documents']:,} documents, {row['tokens']:,} tokens{drawn}"


def _repeats(told: Mapping[str, Any] | None) -> Iterator[str]:
    """What was masked because many places hold it: the stretches with the most characters."""
    if told is None:
        return
    yield from ("", "## Repeated text, masked from the loss")
    yield (
        f"{told['masked_characters']:,} of {told['characters']:,} characters "
        f"({_share(told['share'])}) in {told['stretches']:,} stretches"
    )
    for row in told["top"]:
        said = " ".join(row["text"].split())
        yield f"{row['times']:>7,} times {row['characters']:>7,} characters: {said[:_QUOTED]!r}"


def _share(part: float) -> str:
    return f"{100 * part:.3g} %"
