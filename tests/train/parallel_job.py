"""What `test_parallel.py` computes, by one process or by several under torchrun.

Run as `parallel_job.py <scenario>,… <folder>` under torchrun, or with the number of ranks behind it
by itself, which loads torch once for all of them. The first rank writes `<scenario>-<ranks>.pt`.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regreen.core.errors import RegreenError
from regreen.model import SHAPES, Decoder
from regreen.model.checkpoint import tensors_of
from regreen.packing import CostModel
from regreen.train.compute.forward import flatten, score
from regreen.train.compute.optim import OptimConfig, Optimiser
from regreen.train.compute.parallel import World, idle, shard, split, world
from regreen.train.compute.recompute import recompute
from regreen.train.weights.broadcast import BroadcastSender
from regreen.train.weights.meeting import Meeting
from regreen.train.weights.sender import FileSender
from regreen.train.weights.state import Checkpoints

SMALL = SHAPES["1m"].model_copy(
    update={"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 4, "num_experts": 3}
)
OPTIM = OptimConfig(learning_rate=1e-2, max_grad_norm=0.5)
CAPACITY = 40


def fresh(
    here: World, seed: int = 1, *, narrow: bool = False, **changes: Any
) -> tuple[Decoder, Optimiser]:
    torch.manual_seed(seed + here.rank)  # the ranks' own weights differ: the first's count
    # In float64, because Adam makes a step of a rounding error where a gradient is almost nought.
    model = Decoder(SMALL.model_copy(update=changes))
    model = shard(model if narrow else model.double(), here)
    return model, Optimiser(model, OPTIM)


def batch(step: int) -> list[np.ndarray[Any, Any]]:
    """The sequences of a step; every third step has one, so that a second rank is idle."""
    draw = np.random.default_rng(step)
    count = 1 if step % 3 == 1 else 5
    return [draw.integers(0, SMALL.vocab_size, int(n)) for n in draw.integers(2, 50, count)]


def one_step(here: World, model: Decoder, optimiser: Optimiser, step: int) -> dict[str, Any]:
    sequences = batch(step)
    shares = split(
        [len(ids) for ids in sequences], here.size, capacity=CAPACITY, cost=CostModel.of(SMALL)
    )
    predicted = sum(len(ids) - 1 for ids in sequences)
    losses = [0.0]
    for places in shares[here.rank]:
        own = [sequences[place] for place in places]
        if not own:
            loss = idle(model)
        else:
            flat = flatten(own, [np.ones(len(ids), bool) for ids in own])
            loss = -score(model, flat).logprob_M.sum() / predicted
        loss.backward()
        losses.append(float(loss.detach()))
    update = optimiser.apply()
    (loss_of_all,) = here.sum(sum(losses))
    return {"loss": loss_of_all, "norm": update.grad_norm, "idle": [() in own for own in shares]}


def whole(model: Decoder) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors_of(model)}


def steps(here: World, folder: Path, *, tied: bool) -> dict[str, Any]:
    """Three steps from the checkpoint of one process, a checkpoint, and one step more."""
    found: dict[str, Any] = {}
    store = Checkpoints(folder / f"{here.size}-{tied}")
    model, optimiser = fresh(here, tie_word_embeddings=tied)
    origin = folder / f"1-{tied}" / "step-000000"
    found["extra"] = store.load(origin, model, optimiser)
    found["begin"] = whole(model)
    found["steps"] = [one_step(here, model, optimiser, step) for step in range(3)]
    found["end"] = whole(model)
    store.save(3, model, optimiser, {"done": 3})
    found["after"] = [one_step(here, model, optimiser, 3), whole(model)]
    return found


def tied(here: World, folder: Path) -> dict[str, Any]:
    """Steps of a model whose output matrix is the embedding."""
    return steps(here, folder, tied=True)


def untied(here: World, folder: Path) -> dict[str, Any]:
    """Steps of a model that has both."""
    return steps(here, folder, tied=False)


def faults(here: World, folder: Path) -> dict[str, Any]:
    """What goes wrong on one rank goes wrong on all, and by the same name."""
    model, optimiser = fresh(here)
    store = Checkpoints(folder / "faults")
    at = store.save(1, model, optimiser, {"turn": 1})
    one_step(here, model, optimiser, 0)
    before = whole(model)
    (idle(model) + score_one(model)).backward()
    if here.rank == here.size - 1:
        spoilt: Any = model.get_parameter("layers.1.input_norm.weight").grad
        own = spoilt.to_local() if hasattr(spoilt, "to_local") else spoilt
        own[-1] = float("nan")
    update = optimiser.apply()
    same = all(torch.equal(before[name], after) for name, after in whole(model).items())
    said = ""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if here.first:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        store.save(2, model, optimiser, {"turn": 2})
    except RegreenError as error:
        said = "\n".join(error.lines())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = store.load(at, model, optimiser) if store.latest() == at else None
    told = here.gather((update.refused, update.applied, said, kept))
    return {"told": told, "same": same}


def score_one(model: Decoder) -> Tensor:
    ids = np.arange(5)
    total: Tensor = score(model, flatten([ids], [np.ones(5, bool)])).logprob_M.sum()
    return total


def ahead(here: World, folder: Path) -> dict[str, Any]:
    """The next-token layer, where the last of several ranks has documents too short for it."""
    model, optimiser = fresh(here, num_nextn_predict_layers=1)
    sequences = [np.arange(9), np.arange(2)]
    mine = sequences if here.size == 1 else [sequences[min(here.rank, 1)]]
    flat = flatten(mine, [np.ones(len(ids), bool) for ids in mine])
    scores = score(model, flat)
    found = model.predict_next(scores.output, flat.ids_N[None], borders=flat.borders)
    (scores.logprob_M.sum() + found.logits_PV.square().sum()).backward()
    optimiser.apply()
    return {"end": whole(model)}


def narrow(here: World, folder: Path) -> dict[str, Any]:
    """Layers that compute in bfloat16 over weights of float32."""
    torch.manual_seed(1)
    model = shard(Decoder(SMALL), here, compute=torch.bfloat16 if here.size > 1 else None)
    optimiser = Optimiser(model, OPTIM)
    done = [one_step(here, model, optimiser, step) for step in range(2)]
    return {"steps": done, "end": whole(model), "kind": str(model.norm.weight.dtype)}


def twice(here: World, folder: Path) -> dict[str, Any]:
    """Layers computed twice over cut weights."""
    torch.manual_seed(1)
    model = Decoder(SMALL).double()
    model = shard(recompute(model) if here.size > 1 else model, here)
    optimiser = Optimiser(model, OPTIM)
    done = [one_step(here, model, optimiser, step) for step in range(2)]
    return {"steps": done, "end": whole(model)}


def killed(here: World, folder: Path) -> dict[str, Any]:
    """Six steps with a checkpoint each; the last rank ends by kill -9 in the third, once."""
    model, optimiser = fresh(here)
    store = Checkpoints(folder / f"killed-{here.size}")
    at = store.latest()
    done = 0 if at is None else int(store.load(at, model, optimiser)["done"])
    mark, log = folder / f"killed-{here.size}.mark", folder / f"batches-{here.size}.txt"
    for step in range(done, 6):
        if here.first:
            with log.open("a") as file:
                file.write(f"{step} {sum(int(ids.sum()) for ids in batch(step))}\n")
        if step == 3 and here.size > 1 and here.rank == here.size - 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        one_step(here, model, optimiser, step)
        store.save(step + 1, model, optimiser, {"done": step + 1})
    return {"end": whole(model)}


def silent(here: World, folder: Path) -> dict[str, Any]:
    """A rank that hangs: the others say so when the time is up."""
    if here.first:
        here.barrier()
    else:
        time.sleep(8)
    return {}


def send(here: World, folder: Path) -> dict[str, Any]:
    """Shards after a step, by a folder and to an engine that waits at a port."""
    model, optimiser = fresh(here, narrow=True)
    one_step(here, model, optimiser, 0)
    FileSender(folder / "sent").send(model, 4)
    if here.first:
        with Meeting("127.0.0.1", int((folder / "port").read_text()), 0, 2) as meeting:
            BroadcastSender(meeting, bucket_bytes=10_000).send(model, 4)
    else:
        BroadcastSender(None).send(model, 4)
    return {}


SCENARIOS: dict[str, Callable[[World, Path], dict[str, Any]]] = {
    one.__name__: one for one in (tied, untied, faults, ahead, narrow, twice, send, killed, silent)
}


def compute(names: list[str], folder: Path) -> int:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    seconds = 3.0 if names == ["silent"] else 60.0
    try:
        with world(device="cpu", timeout_seconds=seconds) as here:
            for name in names:
                found = SCENARIOS[name](here, folder)
                if here.first:
                    torch.save(found, folder / f"{name}-{here.size}.pt")
    except RegreenError as error:
        sys.stderr.write("\n".join(error.lines()) + "\n")
        return error.exit_code
    return 0


def main() -> int:
    names, folder = sys.argv[1].split(","), Path(sys.argv[2])
    if len(sys.argv) < 4:
        return compute(names, folder)
    for loaded in ("checkpoint", "fsdp", "tensor"):
        importlib.import_module(f"torch.distributed.{loaded}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ranks = int(sys.argv[3])
    known = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    children = []
    for rank in range(ranks):
        child = os.fork()
        if not child:
            os.environ.update({**known, "RANK": str(rank)})
            os._exit(_ended(compute, names, folder))
        children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def _ended(work: Callable[[list[str], Path], int], names: list[str], folder: Path) -> int:
    try:
        return work(names, folder)
    except BaseException:
        traceback.print_exc()
        return 70


if __name__ == "__main__":
    sys.exit(main())
