"""The decoder beside transformers' and llama.cpp, on one checkpoint, in one run.

    python benchmarks/model.py [--shapes 1m,23m] [--rounds 7] [--device cpu] [--llama] [--json FILE]

Training steps (AdamW included), cached decoding at batch 1 and 16, prefill, one packed batch of
ragged documents beside the same documents padded, and a sparse model beside dense ones of equal
total and of equal active size. Rounds alternate between the two, one thread each; speeds are tokens
per CPU-second (per second on an accelerator), ratios are medians over rounds. llama.cpp measures
itself, by its own programs, on the same weights in float32.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from regreen.model.borders import Borders
from regreen.model.checkpoint import save_checkpoint
from regreen.model.config import ModelConfig
from regreen.model.decoder import Decoder
from regreen.model.shapes import SHAPES

Step = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One measurement: what, tokens per second of ours and of the other, ratio of medians."""

    what: str
    shape: str
    ours: float
    other: float
    ratio: float
    beside: str


class Clock:
    """CPU seconds of this process, or seconds of a device that has done its work."""

    def __init__(self, device: str) -> None:
        self.cuda = device != "cpu"

    def now(self) -> float:
        if self.cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def alternate(self, ours: Step, other: Step, rounds: int, repeat: int = 1) -> tuple[float, ...]:
        """Median seconds of a call of each, and the median of the rounds' ratios."""
        for step in (ours, other):
            step()
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for step, found in zip((ours, other), seconds, strict=True):
                begin = self.now()
                for _ in range(repeat):
                    step()
                found.append((self.now() - begin) / repeat)
        ratios = [other / ours for ours, other in zip(*seconds, strict=True)]
        return statistics.median(seconds[0]), statistics.median(seconds[1]), _median(ratios)


def _median(values: list[float]) -> float:
    return statistics.median(values)


def transformers_of(model: Decoder, folder: Path, device: str) -> Any:
    """transformers' model with the same weights."""
    from transformers import Qwen3NextForCausalLM

    save_checkpoint(model, folder)
    return Qwen3NextForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device)


def train_step(model: Any, loss: Callable[[], torch.Tensor]) -> Step:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def next_token_loss(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


class Bench:
    """A shape's two models and the rows measured on them."""

    def __init__(self, shape: str, rounds: int, device: str, folder: Path) -> None:
        torch.manual_seed(0)
        self.shape, self.rounds, self.device = shape, rounds, device
        self.config = SHAPES[shape]
        self.clock = Clock(device)
        self.folder = folder
        self.ours = Decoder(self.config).to(device)
        self.theirs = transformers_of(self.ours, folder, device)

    def tokens(self, *size: int) -> torch.Tensor:
        return torch.randint(0, self.config.vocab_size, size, device=self.device)

    def row(self, what: str, count: int, ours: Step, other: Step, repeat: int = 1) -> Row:
        mine, theirs, ratio = self.clock.alternate(ours, other, self.rounds, repeat)
        return Row(what, self.shape, count / mine, count / theirs, ratio, "transformers")

    def training(self) -> Iterator[Row]:
        self.ours.train()
        self.theirs.train()
        for batch, time_ in ((8, 512), (1, 2048)):
            x = self.tokens(batch, time_)
            ours = train_step(self.ours, lambda x=x: next_token_loss(self.ours(x).logits, x))
            other = train_step(
                self.theirs,
                lambda x=x: next_token_loss(self.theirs(input_ids=x, use_cache=False).logits, x),
            )
            yield self.row(f"train {batch}x{time_}", x.numel(), ours, other)

    @torch.no_grad()
    def decoding(self) -> Iterator[Row]:
        self.ours.eval()
        self.theirs.eval()
        for batch in (1, 16):
            prompt = self.tokens(batch, 64)
            cache = self.ours.new_cache(batch)
            self.ours(prompt, cache=cache)
            past = self.theirs(input_ids=prompt, use_cache=True).past_key_values
            last = prompt[:, -1:]
            yield self.row(
                f"decode batch {batch}",
                batch,
                lambda last=last, cache=cache: self.ours(last, cache=cache),
                lambda last=last, past=past: self.theirs(
                    input_ids=last, past_key_values=past, use_cache=True
                ),
                repeat=16,
            )

    @torch.no_grad()
    def prefill(self) -> Row:
        self.ours.eval()
        self.theirs.eval()
        prompt = self.tokens(1, 1024)
        return self.row(
            "prefill 1024",
            1024,
            lambda: self.ours(prompt, cache=self.ours.new_cache(1), chosen=slice(-1, None)),
            lambda: self.theirs(input_ids=prompt, use_cache=True, logits_to_keep=1),
        )

    def ragged(self) -> Iterator[Row]:
        """Documents of lognormal lengths: one packed row beside padded rows, ours and theirs."""
        rng = np.random.default_rng(0)
        lengths = np.clip(rng.lognormal(5.0, 0.8, 24).astype(int), 8, 1024).tolist()
        total, longest = sum(lengths), max(lengths)
        documents = [self.tokens(length) for length in lengths]
        flat = torch.cat(documents)[None]
        padded = torch.zeros(len(lengths), longest, dtype=torch.long, device=self.device)
        target = torch.full_like(padded, -100)
        for place, document in enumerate(documents):
            padded[place, : len(document)] = document
            target[place, : len(document) - 1] = document[1:]
        borders = Borders(tuple(lengths))
        flat_target = torch.cat([torch.cat((d[1:], d.new_full((1,), -100))) for d in documents])

        def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return functional.cross_entropy(logits.flatten(0, 1), target.flatten())

        packed = train_step(
            self.ours, lambda: loss(self.ours(flat, borders=borders).logits, flat_target[None])
        )
        ours = train_step(self.ours, lambda: loss(self.ours(padded).logits, target))
        theirs = train_step(
            self.theirs, lambda: loss(self.theirs(input_ids=padded, use_cache=False).logits, target)
        )
        for step, beside in ((ours, "ours, padded"), (theirs, "transformers, padded")):
            mine, other, ratio = self.clock.alternate(packed, step, self.rounds)
            what = f"packed, {len(lengths)} documents"
            yield Row(what, self.shape, total / mine, total / other, ratio, beside)

    def sparsity(self) -> Iterator[Row]:
        """This shape beside dense ones with as many parameters in all, and as many active."""
        c = self.config
        shared = c.shared_expert_intermediate_size
        widths = {
            "dense, equal total": c.num_experts * c.moe_intermediate_size + shared,
            "dense, equal active": c.num_experts_per_tok * c.moe_intermediate_size + shared,
        }
        x = self.tokens(4, 512)
        ours = train_step(self.ours, lambda: next_token_loss(self.ours(x).logits, x))
        for name, width in widths.items():
            dense = dense_like(c, width).to(self.device)
            other = train_step(dense, lambda d=dense: next_token_loss(d(x).logits, x))
            mine, theirs, ratio = self.clock.alternate(ours, other, self.rounds)
            yield Row("train 4x512", self.shape, x.numel() / mine, x.numel() / theirs, ratio, name)

    def llama(self) -> Iterator[Row]:
        """llama.cpp on the same weights in float32, one thread, by its own programs."""
        from llama_cpp import bench, bench_batches, convert, write_tokenizer
        from llama_cpp_build import build

        tools = build()
        write_tokenizer(self.folder, self.config.vocab_size - 12)
        gguf = convert(tools, self.folder, self.folder / "model.gguf")
        alone = bench(tools, gguf, num_prompt=1024, num_generated=64)
        batch = bench_batches(tools, gguf, [16], num_prompt=64, num_generated=64)[16]
        rows = {row.what: row for row in (*self.decoding(), self.prefill())}
        for what, other in (
            ("prefill 1024", alone.prompt),
            ("decode batch 1", alone.generation),
            ("decode batch 16", batch.generation),
        ):
            mine = rows[what].ours
            yield Row(what, self.shape, mine, other, mine / other, "llama.cpp f32")


def dense_like(config: ModelConfig, width: int) -> Decoder:
    return Decoder(config.model_copy(update={"num_experts": 0, "intermediate_size": width}))


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    for shape in arguments.shapes.split(","):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(shape, arguments.rounds, arguments.device, Path(folder))
            yield from bench.decoding()
            yield bench.prefill()
            if arguments.llama:
                yield from bench.llama()
            yield from bench.training()
            yield from bench.ragged()
            yield from bench.sparsity()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", default="1m,23m", help="names, see `regreen model plan`")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--llama", action="store_true", help="build and ask llama.cpp too")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    print(f"{'shape':6} {'what':22} {'ours':>9} {'other':>9}  ratio  beside (tokens per second)")
    rows = []
    for row in measure(arguments):
        rows.append(asdict(row))
        line = f"{row.shape:6} {row.what:22} {row.ours:9.0f} {row.other:9.0f} {row.ratio:5.2f}x"
        print(f"{line}  {row.beside}", flush=True)
    if arguments.device != "cpu":
        print(f"peak memory {torch.cuda.max_memory_allocated() / 1e9:.2f} GB")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
