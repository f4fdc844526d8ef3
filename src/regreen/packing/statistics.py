"""What a plan costs and what it breaks, in the field's terms.

Fragmentation is the share of documents of which some piece is not the whole document (as in
Qwen3-Coder-Next's report); headless tokens are those trained without the beginning of their
document before them, which for a trajectory means without the tool definitions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regreen.packing.plan import Ints, Plan

__all__ = ["Histogram", "Statistics", "statistics"]

_FILL_BINS = 20
_LENGTH_BINS_AN_OCTAVE = 2


@dataclass(frozen=True)
class Histogram:
    """How many values stand between neighbouring edges; the last bin includes its upper edge."""

    edges: tuple[float, ...]
    """Bounds of the bins, ascending; one more than counts."""
    counts: tuple[int, ...]
    """Values in each bin."""


@dataclass(frozen=True)
class Statistics:
    """A plan in numbers; shares are of 1, 0 where there is nothing to share."""

    policy: str
    """The policy that made the plan."""
    capacity: int
    """Slots of a row, in tokens."""
    rows: int
    """Rows."""
    documents: int
    """Documents asked for, also those left out."""
    pieces: int
    """Pieces in all rows."""
    tokens: int
    """Tokens of all documents, also those left out."""
    trained: int
    """Document tokens in the rows that are not masked as repeated: each token once."""
    discarded: int
    """Document tokens in no row."""
    repeated: int
    """Slots that hold a token again: heads before continuations, and `Plan.seen`."""
    padding: int
    """Empty slots."""
    documents_long: int
    """Documents longer than a row."""
    documents_cut: int
    """Documents of which some piece is not the whole document."""
    documents_cut_that_fit: int
    """Those among them that are no longer than a row."""
    documents_discarded: int
    """Documents in no row."""
    headless: int
    """Trained tokens in pieces that begin inside their document with no head before them."""
    forced_cuts: int
    """Cuts inside a message, where no border was near enough."""
    fill: Histogram
    """Rows by the share of their slots in use."""
    lengths: Histogram
    """Documents by length in tokens, two bins an octave."""

    @property
    def fill_share(self) -> float:
        """Share of slots in use."""
        return 1.0 - self.padding_share if self.rows else 0.0

    @property
    def padding_share(self) -> float:
        """Share of slots that are empty: what the literature calls padding."""
        return _share(self.padding, self.rows * self.capacity)

    @property
    def fragmentation(self) -> float:
        """Share of documents cut."""
        return _share(self.documents_cut, self.documents)

    @property
    def fragmentation_that_fit(self) -> float:
        """Share of documents cut among those no longer than a row."""
        return _share(self.documents_cut_that_fit, self.documents - self.documents_long)

    @property
    def headless_share(self) -> float:
        """Share of the documents' tokens that are headless."""
        return _share(self.headless, self.tokens)

    @property
    def discarded_share(self) -> float:
        """Share of the documents' tokens in no row."""
        return _share(self.discarded, self.tokens)

    @property
    def repeated_share(self) -> float:
        """Repeated tokens as a share of trained ones: the extra cost."""
        return _share(self.repeated, self.trained)


def statistics(plan: Plan) -> Statistics:
    """Count what a plan does."""
    own = plan.stop - plan.start
    trained = own - plan.seen
    num_documents = len(plan.lengths)
    long = plan.lengths > plan.capacity
    cut = np.zeros(num_documents, np.bool_)
    cut[plan.document[own < plan.lengths[plan.document]]] = True
    placed = np.zeros(num_documents, np.bool_)
    placed[plan.document] = True
    used, tokens = int(plan.slots.sum()), int(plan.lengths.sum())
    headless = (plan.start > 0) & (plan.head == 0)
    return Statistics(
        policy=plan.policy,
        capacity=plan.capacity,
        rows=plan.num_rows,
        documents=num_documents,
        pieces=len(plan.document),
        tokens=tokens,
        trained=int(trained.sum()),
        discarded=tokens - int(trained.sum()),
        repeated=int(plan.head.sum() + plan.seen.sum()),
        padding=plan.num_rows * plan.capacity - used,
        documents_long=int(long.sum()),
        documents_cut=int(cut.sum()),
        documents_cut_that_fit=int((cut & ~long).sum()),
        documents_discarded=num_documents - int(placed.sum()),
        headless=int(trained[headless].sum()),
        forced_cuts=int(plan.forced.sum()),
        fill=_histogram(plan.fill / plan.capacity, np.linspace(0.0, 1.0, _FILL_BINS + 1)),
        lengths=_histogram(plan.lengths, _octaves(plan.lengths)),
    )


def _octaves(lengths: Ints) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Edges a factor of the square root of two apart, around all lengths."""
    if not len(lengths):
        return np.array([1.0, 2.0])
    step = _LENGTH_BINS_AN_OCTAVE
    low = int(np.floor(np.log2(lengths.min()) * step))
    high = int(np.floor(np.log2(lengths.max()) * step)) + 1
    return np.exp2(np.arange(low, high + 1) / step)


def _histogram(
    values: np.ndarray[tuple[int], np.dtype[np.generic]],
    edges: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> Histogram:
    counts, _ = np.histogram(values, bins=edges)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
