"""Where documents begin in a batch, and the index arrays that keep their layers apart.

A batch is one flat run of tokens cut into documents. Layers that work token by token see the flat
run; the mixers see documents, through the arrays made here once per batch. No result keeps a number
of another document, not even times zero: that is what makes packing exact instead of nearly so.

Shapes: N tokens of the batch, L padded length of a bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from regreen.model.chunks import Chunks

__all__ = ["Borders", "MissingBordersError", "check_positions"]


class MissingBordersError(ValueError):
    """Positions restart inside a row, but no borders were given.

    Attention could be kept apart by positions alone; the convolution and the recurrent state of a
    Gated DeltaNet layer cannot, and would carry one document into the next without a sign.
    """


@dataclass(frozen=True)
class Borders:
    """The lengths of the documents of a batch, in the order of its tokens."""

    lengths: tuple[int, ...]
    """Tokens of each document, all positive; they add up to the tokens of the batch."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", tuple(self.lengths))
        if not self.lengths or min(self.lengths) < 1:
            msg = "a batch has at least one document, and a document at least one token"
            raise ValueError(msg)

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[int]], capacity: int) -> Borders:
        """Borders of packed rows of `capacity` tokens; the pad tail of a row stands for itself.

        Raises:
            ValueError: a row's documents exceed the capacity.
        """
        lengths: list[int] = []
        for row, documents in enumerate(rows):
            rest = capacity - sum(documents)
            if rest < 0:
                msg = f"row {row} holds {capacity - rest} tokens, above its capacity {capacity}"
                raise ValueError(msg)
            lengths += [*documents, rest] if rest else documents
        return cls(tuple(lengths))

    @classmethod
    def of_positions(cls, positions_BT: Tensor) -> Borders:
        """Borders wherever a position is not its predecessor plus one, and at every row's start."""
        begins = torch.ones_like(positions_BT, dtype=torch.bool)
        begins[:, 1:] = positions_BT.diff(dim=1) != 1
        starts = begins.flatten().nonzero().flatten().tolist()
        ends = [*starts[1:], positions_BT.numel()]
        return cls(tuple(end - start for start, end in zip(starts, ends, strict=True)))

    @property
    def num_tokens(self) -> int:
        """Tokens of the batch."""
        return sum(self.lengths)

    @cached_property
    def uniform(self) -> bool:
        """Whether all documents have one length, so that a batch is a plain matrix."""
        return len(set(self.lengths)) == 1

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first token of each document in the flat run."""
        starts, total = [], 0
        for length in self.lengths:
            starts.append(total)
            total += length
        return tuple(starts)

    @cached_property
    def positions_N(self) -> Tensor:
        """(N,) the position of each token within its document, on the CPU."""
        lengths = torch.tensor(self.lengths)
        starts = torch.repeat_interleave(torch.tensor(self.starts), lengths)
        return torch.arange(self.num_tokens) - starts

    @cached_property
    def cumulative(self) -> Tensor:
        """(documents + 1,) int32 ends of documents, the `cu_seqlens` of variable-length kernels."""
        return torch.tensor([*self.starts, self.num_tokens], dtype=torch.int32)

    def cumulative_on(self, device: torch.device) -> Tensor:
        """`cumulative` on a device; the same tensor every time, by which kernels know it again."""
        known = self.__dict__.setdefault("_cumulative_on", {})
        if device not in known:
            known[device] = self.cumulative.to(device)
        cumulative: Tensor = known[device]
        return cumulative

    @cached_property
    def chunk_size(self) -> int:
        """The longest chunk that wastes little: fewer steps, but more pads behind documents."""

        def places(size: int) -> int:
            return sum(-(-length // size) for length in self.lengths) * size

        sizes = (64, 32, 16, 4) if max(self.lengths) > 4096 else (32, 16, 4)
        return next(size for size in sizes if places(size) <= 1.3 * places(4))

    def chunks(self, size: int, device: torch.device) -> Chunks:
        """The documents cut into chunks of `size` tokens; remembered, as every layer asks."""
        known = self.__dict__.setdefault("_chunks", {})
        if (size, device) not in known:
            known[size, device] = Chunks.cut(self.starts, self.lengths, size, device)
        chunks: Chunks = known[size, device]
        return chunks

    def padded(self, device: torch.device) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Documents of similar length side by side, for attention; remembered.

        Padding stands behind a document, where a causal mask hides it from every token, and repeats
        the document's own last token, so that not even a hidden place refers to a neighbour.

        Returns:
            Per bucket the token at each place (documents, L), the places that hold a token, and
            which token each of those holds.
        """
        known = self.__dict__.setdefault("_padded", {})
        if device not in known:
            with torch.inference_mode(False):  # a training step may ask next
                known[device] = [self._pad(bucket, device) for bucket in self._buckets()]
        padded: list[tuple[Tensor, Tensor, Tensor]] = known[device]
        return padded

    def _buckets(self, waste: float = 0.2) -> list[list[int]]:
        """Documents grouped so that none is shorter than its group's longest by more than this."""
        order = sorted(range(len(self.lengths)), key=lambda index: -self.lengths[index])
        groups: list[list[int]] = []
        for index in order:
            if groups and self.lengths[index] >= self.lengths[groups[-1][0]] * (1.0 - waste) - 4:
                groups[-1].append(index)
            else:
                groups.append([index])
        return groups

    def _pad(self, bucket: list[int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        start = torch.tensor([self.starts[index] for index in bucket])[:, None]
        end = start + torch.tensor([self.lengths[index] for index in bucket])[:, None]
        place = start + torch.arange(self.lengths[bucket[0]])
        held = (place < end).flatten().nonzero().flatten()
        index = torch.minimum(place, end - 1)
        return index.to(device), held.to(device), place.flatten()[held].to(device)


def check_positions(
    positions_BT: Tensor, borders: Borders, *, given: bool, begun: Sequence[int] | None
) -> None:
    """Refuse positions that disagree with where documents begin.

    Args:
        positions_BT: the positions that the caller believes in.
        borders: the documents the batch will be computed as.
        given: whether the caller named them.
        begun: what a cache holds of each document.

    Raises:
        MissingBordersError: positions restart inside a document, or do not go on where the cache
            stopped.
    """
    flat = positions_BT.flatten()
    inside = torch.ones_like(flat, dtype=torch.bool)
    starts = torch.tensor(borders.starts, device=flat.device)
    inside[starts] = False
    broken = (flat.diff(prepend=flat[:1]) != 1) & inside
    if bool(broken.any()):
        first = int(broken.nonzero()[0])
        if given:
            msg = f"positions restart at flat token {first}, inside a document of the borders "
            msg += "given: two documents would be computed as one"
        else:
            msg = (
                f"positions restart at flat token {first}, so a row holds several documents, but "
                "no borders were given: attention could be kept apart by positions, the "
                "convolution and the recurrent state of the linear layers would leak from one "
                "document into the next; pass borders=Borders.of_positions(positions)"
            )
        raise MissingBordersError(msg)
    if begun is not None and flat[starts].tolist() != list(begun):
        msg = f"positions begin at {flat[starts].tolist()}, but the cache has read {list(begun)} "
        msg += "tokens of these rows and goes on behind them; begin new rows with a new cache"
        raise MissingBordersError(msg)
