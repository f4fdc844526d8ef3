"""New weights past the disk: from the first trainer to all engines at once, bit for bit.

Trainers and engines meet in a group of their own, apart from the one in which trainers add up
gradients, so that either side may be started again without the other. Parameters travel in the
layout of memory, in their order, as one stream cut into buckets; both sides find the cuts from the
shapes alone. Before the first bucket both sides agree that they mean the same model.

Nobody may sample by a model between the first bucket and the last. If the group breaks in between,
its weights are of two versions, and it has to be filled anew. After the last bucket all agree, so a
trainer whose `send` returns knows that every engine has all of the version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regreen.core.errors import InfrastructureError, UsageError
from regreen.model import Decoder
from regreen.train.compute.parallel import joined, reshard
from regreen.train.weights.meeting import Meeting

__all__ = ["BroadcastSender", "receive"]

_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_PROTOCOL = 1


@dataclass(frozen=True, slots=True)
class _Header:
    """What both sides must know of a version."""

    version: int
    dtype: torch.dtype
    bucket: int
    digest: int

    def packed(self, device: torch.device) -> Tensor:
        kind = _DTYPES.index(self.dtype)
        values = [_PROTOCOL, self.version, kind, self.bucket, self.digest]
        return torch.tensor(values, dtype=torch.int64, device=device)


class BroadcastSender:
    """Sends each version to all engines of a meeting.

    Args:
        meeting: this trainer's; None on ranks other than the first, which only help to put sharded
            parameters together.
        dtype: the type in which weights travel; None sends that in memory.
        bucket_bytes: how much travels at a time; both sides hold one bucket.
    """

    def __init__(
        self,
        meeting: Meeting | None,
        *,
        dtype: torch.dtype | None = None,
        bucket_bytes: int = 256 << 20,
    ) -> None:
        self.dtype = dtype
        self.bucket_bytes = bucket_bytes
        self._meeting = meeting

    @torch.no_grad()
    def send(self, model: Decoder, version: int) -> None:
        """See `regreen.train.weights.sender.WeightSender`.

        Raises:
            UsageError: an engine holds another model.
            InfrastructureError: an engine is gone; those left may hold weights of two versions.
        """
        reshard(model)
        parameters = list(model.named_parameters())
        dtype = self.dtype or parameters[0][1].dtype
        bucket = max(1, self.bucket_bytes // dtype.itemsize)
        header = _Header(version, dtype, bucket, _digest(parameters))
        meeting = self._meeting
        failure: UsageError | InfrastructureError | None = None
        if meeting is not None:
            try:
                meeting.broadcast(header.packed(meeting.device))
                if not meeting.agree(ok=True):
                    msg = "an engine holds another model than the trainer"
                    raise UsageError(msg, where="weights", mend="start both from one checkpoint")
            except (UsageError, InfrastructureError) as error:
                failure = error
        if (problem := joined().broadcast(failure)) is not None:
            raise problem
        self._stream([parameter for _, parameter in parameters], header)

    def _stream(self, parameters: Sequence[Tensor], header: _Header) -> None:
        """Every rank puts parameters together in the same order; the first sends them on."""
        meeting, failure = self._meeting, None
        held = None
        if meeting is not None:
            held = torch.empty(header.bucket, dtype=header.dtype, device=meeting.device)
        sizes = [parameter.numel() for parameter in parameters]
        whole, which = torch.empty(0), -1
        for pieces in _buckets(sizes, header.bucket):
            filled = 0
            for index, start, stop in pieces:
                if index != which:
                    whole, which = _whole(parameters[index]), index
                if held is not None:
                    held[filled : filled + stop - start].copy_(whole[start:stop])
                filled += stop - start
            if meeting is not None and held is not None and failure is None:
                try:
                    meeting.broadcast(held[:filled])
                except InfrastructureError as error:  # the other ranks wait for the rest
                    failure = error
        if meeting is not None and failure is None:
            try:
                meeting.agree(ok=True)
            except InfrastructureError as error:
                failure = error
        if (problem := joined().broadcast(failure)) is not None:
            raise problem


@torch.no_grad()
def receive(meeting: Meeting, model: Decoder) -> int:
    """Wait for the next version and overwrite a model's weights by it, in place.

    Args:
        meeting: an engine's.
        model: of the trainer's shape, in any type; nothing else may use it meanwhile.

    Returns:
        The version.

    Raises:
        UsageError: the trainer sends another model; the weights are as they were.
        InfrastructureError: the trainer is gone; the weights may be of two versions.
    """
    parameters = list(model.named_parameters())
    packed = torch.empty(5, dtype=torch.int64, device=meeting.device)
    protocol, version, kind, bucket, digest = meeting.broadcast(packed).tolist()
    known = protocol == _PROTOCOL and digest == _digest(parameters) and kind < len(_DTYPES)
    if not meeting.agree(ok=known):
        msg = f"version {version} is not sent to this engine: the models differ, here or beside it"
        raise UsageError(msg, where="weights", mend="start both from one checkpoint")
    held = torch.empty(bucket, dtype=_DTYPES[kind], device=meeting.device)
    for pieces in _buckets([parameter.numel() for _, parameter in parameters], bucket):
        size = sum(stop - start for _, start, stop in pieces)
        values, taken = meeting.broadcast(held[:size]), 0
        for index, start, stop in pieces:
            own = parameters[index][1].detach().view(-1)
            own[start:stop].copy_(values[taken : taken + stop - start])
            taken += stop - start
    with suppress(InfrastructureError):  # this one has it all; the trainer asks about the others
        meeting.agree(ok=True)
    return int(version)


def _whole(parameter: Any) -> Tensor:
    """All of a parameter as one run of numbers; gathered where it is cut over ranks."""
    value = parameter.detach()
    whole: Tensor = value.full_tensor() if hasattr(value, "full_tensor") else value
    return whole.reshape(-1)


def _buckets(sizes: Sequence[int], bucket: int) -> Iterator[list[tuple[int, int, int]]]:
    """Which part of which parameter travels in each bucket: (its place, start, stop)."""
    pieces: list[tuple[int, int, int]] = []
    room = bucket
    for index, size in enumerate(sizes):
        start = 0
        while start < size:
            stop = min(size, start + room)
            pieces.append((index, start, stop))
            room -= stop - start
            start = stop
            if not room:
                yield pieces
                pieces, room = [], bucket
    if pieces:
        yield pieces


def _digest(parameters: Sequence[tuple[str, Tensor]]) -> int:
    """Names and shapes as one number."""
    text = "\n".join(f"{name} {tuple(value.shape)}" for name, value in parameters)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
