"""Where one trainer and its engines meet: a group of processes beside torch's own one.

Torch gives a process one group that is named by its environment; trainers add up gradients in it.
A second one of other processes is made from torch's parts, over gloo or NCCL. Whoever reaches its
port can take part, so it listens at the one address that it is given.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from regreen.core.errors import InfrastructureError

__all__ = ["Meeting"]


class Meeting:
    """A group of one trainer, rank 0, and the engines, which joins when all have come.

    Args:
        host: where rank 0 listens.
        port: the port there; for rank 0 one that is free, or 0 for any.
        rank: this process, 0 for the trainer.
        size: processes in all.
        device: `cpu` meets over gloo, `cuda` over NCCL.
        timeout_seconds: how long one waits for another.
        own: this machine's address for the others, over gloo; None where torch finds it.
        reached: is told the port once rank 0 can be reached there, before anybody is waited for.

    Raises:
        InfrastructureError: not all came in time.
    """

    def __init__(
        self,
        host: str,
        port: int,
        rank: int,
        size: int,
        *,
        device: torch.device | str = "cpu",
        timeout_seconds: float = 600.0,
        own: str | None = None,
        reached: Callable[[int], None] = lambda port: None,
    ) -> None:
        self.rank, self.size, self.device = rank, size, torch.device(device)
        self._where = f"{host}:{port}, rank {rank} of {size}"
        limit = timedelta(seconds=timeout_seconds)
        try:
            store = _store(host, port, size, limit, here=rank == 0)
            self._where = f"{host}:{store.port}, rank {rank} of {size}"
            reached(store.port)
            self._group: Any = _group(store, (rank, size), self.device, limit, own)
            self.agree(ok=True)
        except (OSError, RuntimeError) as error:
            raise self._lost(error) from error

    def broadcast(self, values: Tensor) -> Tensor:
        """What rank 0 holds, in place.

        Raises:
            InfrastructureError: another process is gone or silent.
        """
        try:
            self._group.broadcast(values, 0).wait()
        except RuntimeError as error:
            raise self._lost(error) from error
        return values

    def agree(self, *, ok: bool) -> bool:
        """Whether it is so for all.

        Raises:
            InfrastructureError: another process is gone or silent.
        """
        fails = torch.tensor([0 if ok else 1], device=self.device)
        try:
            self._group.allreduce([fails]).wait()
        except RuntimeError as error:
            raise self._lost(error) from error
        return not int(fails)

    def close(self) -> None:
        """Leave; whoever waits for this process is told at once."""
        self._group.shutdown()
        self._group = None

    def __enter__(self) -> Meeting:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _lost(self, error: Exception) -> InfrastructureError:
        what = f"the other side of the weights' group is gone or silent: {str(error)[:200]}"
        mend = "fill the engines from the newest folder of weights, then let them meet again"
        return InfrastructureError(what.splitlines()[0], where=self._where, mend=mend)


def _store(host: str, port: int, size: int, limit: timedelta, *, here: bool) -> Any:
    """What all of them look one another up in; rank 0 keeps it."""
    kind: Any = dist.TCPStore  # type: ignore[attr-defined]
    if not here:
        return kind(host, port, size, False, limit, wait_for_workers=False)
    server = socket.create_server((host, port))
    at = server.getsockname()[1]
    return kind(
        host, at, size, True, limit, wait_for_workers=False, master_listen_fd=server.detach()
    )


def _group(
    store: Any, place: tuple[int, int], device: torch.device, limit: timedelta, own: str | None
) -> Any:
    """A group that is not the process's own; torch has no other public way to a second one."""
    if device.type == "cpu":
        kind: Any = dist.ProcessGroupGloo
        if own is None:
            return kind(store, *place, limit)
        choice = kind._Options()
        choice._devices, choice._timeout = [kind.create_device(hostname=own)], limit
        return kind(store, *place, choice)
    options = dist.ProcessGroupNCCL.Options()
    options._timeout = limit
    return dist.ProcessGroupNCCL(store, *place, options)
