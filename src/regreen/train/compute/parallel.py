"""Several processes as one trainer: who is here, what is added up, how the weights are cut.

A world of one is a world like any other, so no caller asks whether the run is distributed. A loss
is normalised over the whole batch before it is split; therefore gradients of ranks are added, never
averaged, and a rank without work computes one token that counts for nothing: the others wait for
its part of every collective.

Weights are cut by torch's `fully_shard`, one group per layer and one for what stands outside them.
That group stays whole between a forward and its backward, because `Decoder.unembed` and
`Decoder.predict_next` are called in between. What cuts them is loaded only where there are several
processes: it takes two seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from regreen.core.errors import InfrastructureError, PrerequisiteError, UsageError
from regreen.model import Decoder
from regreen.train.compute.dealing import split

__all__ = ["World", "idle", "joined", "reshard", "shard", "split", "world"]

_Value = TypeVar("_Value")

_TIME_OUT = 600.0
"""Seconds that a rank waits for the others; longer than any honest micro-batch or checkpoint."""


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train together, seen from one of them."""

    rank: int = 0
    """This process, from 0."""
    size: int = 1
    """How many there are."""
    device: torch.device = torch.device("cpu")  # noqa: RUF009
    """Where this process computes."""

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def add_up(self, values: Tensor) -> Tensor:
        """Add a tensor of the same shape over all ranks, in place; it lies on `device`."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def sum(self, *values: float) -> tuple[float, ...]:
        """Add numbers over all ranks, in float64."""
        if self.size == 1:
            return tuple(map(float, values))
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        return tuple(self.add_up(total).tolist())

    def broadcast(self, value: _Value) -> _Value:
        """What the first rank holds, on every rank; anything that can be pickled."""
        if self.size == 1:
            return value
        held: list[Any] = [value]
        dist.broadcast_object_list(held, src=0, device=self.device)
        found: _Value = held[0]
        return found

    def gather(self, value: _Value) -> list[_Value]:
        """What every rank holds, on every rank, first to last."""
        if self.size == 1:
            return [value]
        held: list[Any] = [None] * self.size
        dist.all_gather_object(held, value)
        return held

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.size > 1:
            dist.barrier()


def joined() -> World:
    """The world this process has joined; a world of one where there is none."""
    if not (dist.is_available() and dist.is_initialized()):
        return World()
    rank, size = dist.get_rank(), dist.get_world_size()
    if dist.get_backend() == "gloo":
        return World(rank, size)
    return World(rank, size, torch.device("cuda", torch.cuda.current_device()))


@contextmanager
def world(*, device: str | None = None, timeout_seconds: float = _TIME_OUT) -> Iterator[World]:
    """Join the process group that `torchrun` announces in the environment, else be alone.

    Args:
        device: `cpu` or `cuda`; None takes an accelerator where there is one.
        timeout_seconds: how long a rank waits for another.

    Raises:
        UsageError: a device that this machine lacks.
        InfrastructureError: another rank is gone, or did not come in time.
    """
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind not in {"cpu", "cuda"} or (kind == "cuda" and not torch.cuda.is_available()):
        msg = f"there is no device {kind!r} here"
        raise UsageError(msg, where="device", mend="cpu" if kind == "cuda" else "cpu or cuda")
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield World(device=torch.device(kind))
        return
    place = torch.device(kind)
    if kind == "cuda":
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(place)
    with _named_loss():
        dist.init_process_group(
            "nccl" if kind == "cuda" else "gloo",
            timeout=timedelta(seconds=timeout_seconds),
            device_id=place if kind == "cuda" else None,
        )
    try:
        with _named_loss():
            yield World(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()


@contextmanager
def _named_loss() -> Iterator[None]:
    """Say in three lines that another rank is gone."""
    try:
        yield
    except RuntimeError as error:  # torch raises plain ones for a closed or silent connection
        if not _is_lost(error):
            raise
        rank, size = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
        what = f"another process of the job is gone or silent: {str(error).splitlines()[0]}"
        mend = "start the job again with --resume; the ended process's own output says why it ended"
        raise InfrastructureError(what, where=f"rank {rank} of {size}", mend=mend) from error


def _is_lost(error: RuntimeError) -> bool:
    if isinstance(error, dist.DistError):
        return True
    text = str(error).lower()
    return any(mark in text for mark in ("gloo", "nccl", "connection closed", "timed out waiting"))


def shard(model: Decoder, here: World, *, compute: torch.dtype | None = None) -> Decoder:
    """Cut a model's weights over the ranks, in place.

    Args:
        model: the same on every rank; its weights are those of the first rank afterwards.
        here: the world.
        compute: the type that layers compute in, gradients added up in float32; None leaves the
            weights' own.

    Returns:
        The same model; in a world of one just as it was. One on the meta device, which is how a
        model comes that no process can hold whole, has room for its shards and is to be filled from
        a checkpoint.

    Raises:
        PrerequisiteError: a next-token layer, and a torch that cannot cut it.
    """
    if here.size == 1:
        return model
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    empty = any(parameter.is_meta for parameter in model.parameters())
    if not empty:
        _first_ranks(model)
    mesh = init_device_mesh(here.device.type, (here.size,))
    policy = MixedPrecisionPolicy()
    if compute is not None:
        policy = MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32)
    for layer in model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    root = fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    if model.next_token is not None:
        _tolerate_missing(root)
    return model.to_empty(device=here.device) if empty else model


def _tolerate_missing(root: Any) -> None:
    """A rank whose documents are too short has no gradient of the next-token layer."""
    if not hasattr(root, "set_reduce_scatter_unused_params"):
        msg = "this torch cannot train a multi-token-prediction layer over several processes"
        raise PrerequisiteError(msg, where="torch", mend="pip install -U torch")
    root.set_reduce_scatter_unused_params(True, recurse=False)


@torch.no_grad()
def _first_ranks(model: Decoder) -> None:
    for parameter in model.parameters():
        dist.broadcast(parameter.detach(), src=0)


def reshard(model: nn.Module) -> None:
    """Cut again what a forward without a backward has left whole, so that it is not kept.

    To be called where weights change by other hands than a backward's; harmless at any time.
    """
    for module in model.modules():
        cut = getattr(module, "reshard", None)
        if callable(cut):
            cut()


def idle(model: Decoder) -> Tensor:
    """A loss of exactly 0 that takes part in every collective of a micro-batch.

    Its gradients are zeros of every parameter that the trunk reads.
    """
    device = model.norm.weight.device
    tokens_BT = torch.zeros(1, 1, dtype=torch.int64, device=device)
    output = model(tokens_BT, chosen=slice(None))
    loss: Tensor = output.logits.sum() * 0.0
    return loss
