"""What `test_learner.py` trains under torchrun: the first rank has a worker, every rank updates.

Run as `rl_job.py <folder>`, with another word under torchrun, where it may be how weights reach the
worker; the first rank leaves its weights in `<folder>/end-0.pt`, or `end-1.pt`.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch
from tests.train.rl_sets import PROBLEMS, configured, directory, policy, pooled

from regreen.core.console import Console
from regreen.model.checkpoint import tensors_of
from regreen.store.run import RunDirectory
from regreen.train.compute.optim import Optimiser
from regreen.train.compute.parallel import shard, world
from regreen.train.policy.learner import Learner, UpdateConfig
from regreen.train.rl.loop import RlJob, train_rl


def main() -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    folder, ranked = Path(sys.argv[1]), len(sys.argv) > 2
    update = UpdateConfig(balance=0.0, micro_tokens=100, epochs=2, minibatches=2)
    # A large epsilon: Adam makes a step of a rounding error where a gradient is almost nought.
    optimiser = {"learning_rate": 1e-2, "weight_decay": 0.0, "epsilon": 1e-2}
    config = configured(
        steps=3, workers=1, update=update, optimiser=optimiser, evaluate_every=2,
        weights=sys.argv[2] if ranked else "file",
    )  # fmt: skip
    with world(device="cpu", timeout_seconds=120.0) as here:
        model = shard(policy(), here)
        job_learner = Learner(
            model=model, optimiser=Optimiser(model, config.optimiser), config=config.update,
            world=here,
        )  # fmt: skip
        if here.first:
            run = directory(folder / "run", config)
        here.barrier()
        if not here.first:
            run = RunDirectory.open(folder / "run")
        executor = pooled(1)(folder) if here.first else None
        job = RlJob(
            config=config, learner=job_learner, executor=executor, problems=PROBLEMS,
            held_out=("u", "v"), run=run, beside={},
        )  # fmt: skip
        try:
            found = train_rl(job, console=Console(quiet=True))
        finally:
            if executor is not None:
                executor.close()
        assert len(found.evaluations) == 3
        weights = {name: value.clone() for name, value in tensors_of(model)}
        if here.first:
            torch.save(weights, folder / f"end-{int(ranked)}.pt")


if __name__ == "__main__":
    main()
