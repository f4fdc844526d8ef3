"""Prints the bytes by which one step of training raises this process's largest memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import torch

from regreen.model import SHAPES, Decoder
from regreen.train.compute.forward import flatten, score
from regreen.train.compute.optim import OptimConfig, Optimiser
from regreen.train.compute.recompute import recompute


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def present() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def step(model: Decoder, lengths: list[int]) -> None:
    draw = np.random.default_rng(0)
    sequences = [draw.integers(0, model.config.vocab_size, length + 1) for length in lengths]
    flat = flatten(sequences, [np.ones(len(ids), bool) for ids in sequences])
    score(model, flat).logprob_M.sum().backward()


def main() -> None:
    torch.set_num_threads(1)
    shape, again, lengths = sys.argv[1], sys.argv[2] == "again", [int(n) for n in sys.argv[3:]]
    small = Decoder(SHAPES["1m"])
    warm = Optimiser(small, OptimConfig())
    step(small, [40])
    warm.apply()
    before = present()
    model = Decoder(SHAPES[shape])
    if again:
        recompute(model)
    optimiser = Optimiser(model, OptimConfig())
    step(model, lengths)
    optimiser.apply()
    step(model, lengths)
    sys.stdout.write(f"{peak() - before}\n")


if __name__ == "__main__":
    main()
