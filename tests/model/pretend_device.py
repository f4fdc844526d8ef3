"""A device that computes on the CPU but takes no CPU tensor, and notes when the host must wait.

What a GPU would refuse is refused here: operands on two devices. Values are real, so the results
can be compared with the CPU's. It is a program and not a fixture, because torch's third-party
device is registered once per process; `test_devices.py` runs it.
"""

from __future__ import annotations

import copy
import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils import backend_registration
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from regreen.model.borders import Borders
from regreen.model.decoder import Decoder
from regreen.model.generate import greedy, sample
from regreen.model.joining import join
from regreen.model.moe import balance_loss
from regreen.model.shapes import SHAPES

DEVICE = "pretend"
MOVES = ("aten.copy_.default", "aten._to_copy.default")
WAITS = (
    "aten._local_scalar_dense.default",
    "aten.bincount.default",
    "aten.masked_select.default",
    "aten.nonzero.default",
    "aten.repeat_interleave.Tensor",
)
INDEXING = ("aten.index.Tensor", "aten.index_put.default", "aten.index_put_.default")
waits: list[str] = []


class Pretend(Tensor):
    """A tensor of the device; `held` are its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Pretend:
        made: Pretend = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            dtype=inner.dtype,
            device=torch.device(DEVICE, 0),
        )
        made.held = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None, /
    ) -> Any:
        return compute(func, args, kwargs or {})

    def tolist(self) -> Any:
        note("tolist")
        return self.held.tolist()


class PretendMode(TorchDispatchMode):
    """Lets tensors be made on the device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None, /
    ) -> Any:
        return compute(func, args, kwargs or {})


def note(name: str) -> None:
    """Keep where the host waited for the device."""
    frames = [f for f in traceback.extract_stack() if "regreen/model" in f.filename]
    waits.append(f"{name} in {frames[-1].name}" if frames else name)


def compute(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Run an operation on the values, on whichever device its operands or `device` name."""
    name = str(func)
    operands = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    ours = [x for x in operands if isinstance(x, Pretend)]
    device = kwargs.get("device")
    if ours and name not in MOVES:
        if any(not isinstance(x, Pretend) and x.dim() > 0 for x in operands):
            msg = f"{name} has operands on two devices"
            raise RuntimeError(msg)
        masked = name in INDEXING and any(x is not None and x.dtype == torch.bool for x in args[1])
        if masked or name in WAITS:
            note(name)
    on_device = bool(ours) if device is None else torch.device(device).type == DEVICE
    if name == "aten.copy_.default":
        on_device = isinstance(args[0], Pretend)
    if ours and not on_device:
        note(name)
    inner_args, inner_kwargs = pytree.tree_map_only(Pretend, lambda x: x.held, (args, kwargs))
    if device is not None:
        inner_kwargs["device"] = torch.device("cpu")
    result = func(*inner_args, **inner_kwargs)
    if not on_device:
        return result
    if torch.Tag.inplace_view in func.tags:
        with no_dispatch():
            func(*args, **kwargs)
    known = {id(x.held): x for x in ours}
    return pytree.tree_map_only(
        Tensor, lambda x: known[id(x)] if id(x) in known else Pretend(x), result
    )


def moved(model: Decoder) -> Decoder:
    """A copy of a model on the device."""
    other = copy.deepcopy(model)
    for module in other.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = torch.nn.Parameter(Pretend(parameter.detach().clone()))
    return other


def values(x: Tensor) -> Tensor:
    """What a tensor holds, on the CPU."""
    return x.held if isinstance(x, Pretend) else x.detach()


def furthest(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """The largest difference, each pair by the scale of the wanted one."""
    pairs = [(values(x).double(), values(y).double()) for x, y in zip(found, wanted, strict=True)]
    return max(float((x - y).abs().max() / y.abs().max().clamp(min=1e-9)) for x, y in pairs)


def train(model: Decoder, tokens: Tensor, lengths: tuple[int, ...], like: Any) -> Any:
    """Logits, gradients and routes of a training step with every part of the model."""
    borders, (replay, replay_next) = Borders(lengths), like
    output = model(tokens, borders=borders, replay=replay)
    ahead = model.predict_next(output, tokens, borders=borders, replay_NK=replay_next)
    loss = balance_loss(output.routings)
    for logits in (output.logits, ahead.logits_PV):
        loss = loss + logits.float().logsumexp(-1).sum()
    torch.autograd.backward(loss)
    gradients = [parameter.grad for parameter in model.parameters()]
    assert ahead.routing is not None
    routes = [routing.index_NK for routing in output.routings], ahead.routing.index_NK
    return [output.logits, ahead.logits_PV], gradients, routes


def converse(model: Decoder, place: Any) -> list[Tensor]:
    """Logits of calls that take a cache through all it can do."""
    outs = []

    def call(cache: Any, rows: list[list[int]], lengths: tuple[int, ...] | None = None) -> None:
        borders = None if lengths is None else Borders(lengths)
        outs.append(model(place(torch.tensor(rows)), borders=borders, cache=cache).logits)

    with torch.no_grad():
        cache = model.new_cache(3)
        call(cache, [list(range(47))], (5, 40, 2))
        call(cache, [[1], [2], [3]])
        fork = cache.fork(1, at=20, copies=2)
        call(fork, [[3, 4], [5, 6]])
        cache.rollback([3, 25, 1])
        call(cache, [[1, 2, 3, 4, 5, 6]], (1, 2, 3))
        cache.select([2, 0])
        call(cache, [[1], [2]])
        call(join([cache, fork]), [[1], [2], [3], [4]])
        fork.mark()
        fork.rollback([10, 21])
        call(fork, [[1], [2]])
    return outs


def compare() -> dict[str, Any]:
    """Train, converse and generate on both devices."""
    torch.manual_seed(0)
    config = SHAPES["1m"].model_copy(update={"num_nextn_predict_layers": 1})
    first, report = Decoder(config), {}
    for dtype in (torch.float64, torch.bfloat16):
        for lengths in ((32, 32), (5, 70, 1)):
            model = copy.deepcopy(first).to(dtype)
            other, tokens = moved(model), torch.randint(0, 512, (1, sum(lengths)))
            logits, gradients, routes = train(model, tokens, lengths, (None, None))
            like = pytree.tree_map_only(Tensor, Pretend, routes)
            waits.clear()
            with PretendMode():
                found, other_gradients, _ = train(other, Pretend(tokens), lengths, like)
            report[f"{dtype} {lengths}"] = {
                "logits": furthest(found, logits),
                "gradients": furthest(other_gradients, gradients),
                "waits": sorted(set(waits)),
            }
    model = first.double()
    other = moved(model)
    prompts = [[1, 2, 3, 4, 5], [7] * 40, [9, 8]]
    wanted = (
        converse(model, lambda x: x),
        greedy(model, prompts, 5),
        sample(model, prompts, 5, seed=3),
    )
    with PretendMode():
        found_logits = converse(other, lambda x: x if isinstance(x, Pretend) else Pretend(x))
        written = greedy(other, prompts, 5), sample(other, prompts, 5, seed=3)
    report["cache"] = {
        "logits": furthest(found_logits, wanted[0]),
        "same": all(
            [x.ids for x in ours] == [x.ids for x in theirs]
            for ours, theirs in zip(written, wanted[1:], strict=True)
        ),
    }
    return report


if __name__ == "__main__":
    backend_registration._setup_privateuseone_for_python_backend(DEVICE)
    torch._C._set_only_lift_cpu_tensors(True)
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(compare()))
