"""Drift: 0 ids may differ between what an engine held and what a conversation says.

    python benchmarks/drift.py [--rollouts 10000] [--temperature 1.5] [--formats hermes,react]
                               [--qwen 8] [--json FILE]

A rollout is an agent's conversation of a few turns: the loop of the agents, tools that answer with
the format's own marks, a ``TokenModel`` over the ``LockStep`` engine, completions cut short at
random. Half of the rollouts have a vocabulary of bytes and a model as it was drawn; half a small
BPE and a model that was taught the format for a moment, so that it says calls at times. Beside the
engine stands a record of every id that was forced or sampled, in order; drifted is a rollout where
the dialogue, the trace for the trainer or the replayed trajectory says anything else, or where a
prompt does not begin with all that stood before it.

For comparison: in how many of the same rollouts the sampled ids would have changed if they were
decoded and encoded again (``text``), or read, written by the template and encoded again
(``messages``); one rollout of four is looked at so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from tokenizers import Tokenizer as Inner
from tokenizers import decoders, models, pre_tokenizers, trainers

from regreen.agents import Limits, Setting, TaskView
from regreen.agents.loop import ModelLoop
from regreen.agents.record import Conversation
from regreen.agents.tools import Result, Tool
from regreen.inference.engine.base import Sampled, Stops, TokenEngine, TokenStream
from regreen.inference.engine.lockstep import LockStep
from regreen.inference.engine.token_model import TokenModel
from regreen.model import SHAPES, Decoder
from regreen.sandbox.base import Sandbox
from regreen.templates import (
    FORMATS,
    ByteTokenizer,
    Dialogue,
    JsonTokenizer,
    Renderer,
    Tokenizer,
    ToolFormat,
    qwen_vocabulary,
    tool_format,
)
from regreen.templates.tokens.marks import pattern_of
from regreen.train.compute.forward import flatten, score
from regreen.train.play.rollouts import trace_of

TURNS = 3
AT_ONCE = 512
CONTRAST = 4
"""Of so many rollouts one is measured for comparison too."""
WORDS = ("x", "a.py", "1 + 1\n", "né ", "\n\n", "  ", "🙂", '"', "</", "\\", "def f():\n    pass\n")


def shape(vocabulary: int) -> Any:
    small = {
        "vocab_size": vocabulary, "num_hidden_layers": 2, "full_attention_interval": 2,
        "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
        "linear_num_key_heads": 1, "linear_num_value_heads": 2, "linear_key_head_dim": 16,
        "linear_value_head_dim": 16, "num_experts": 4, "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16, "intermediate_size": 64,
    }  # fmt: skip
    return SHAPES["1m"].model_copy(update=small)


# -- the record beside the engine ---------------------------------------------------------------


class Recorded:
    """A stream, and all that went through it."""

    def __init__(self, stream: TokenStream) -> None:
        self.stream = stream
        self.parts: list[tuple[list[int], Sampled]] = []

    async def extend(self, forced: Sequence[int], *, max_tokens: int) -> Sampled:
        found = await self.stream.extend(forced, max_tokens=max_tokens)
        self.parts.append((list(forced), found))
        return found

    def experts(self) -> Any:
        return self.stream.experts()

    async def close(self) -> None:
        await self.stream.close()


class Recording:
    """An engine whose streams are recorded."""

    def __init__(self, engine: TokenEngine) -> None:
        self.engine = engine
        self.version = engine.version
        self.last: Recorded | None = None

    def open(self, *, seed: int, stops: Stops) -> TokenStream:
        self.last = Recorded(self.engine.open(seed=seed, stops=stops))
        return self.last

    async def load(self, checkpoint: Path, *, version: int) -> None:
        await self.engine.load(checkpoint, version=version)

    async def close(self) -> None:
        await self.engine.close()


# -- tools and texts ----------------------------------------------------------------------------


def hostile(form: ToolFormat, rng: random.Random) -> str:
    """A short text of words and the format's own marks, whole and in halves."""
    marks = [mark for mark in (*form.chat.specials, *form.chat.stops, *form.marks[1]) if mark]
    found = []
    for _ in range(rng.randrange(4)):
        mark = rng.choice([*marks, "<|im_end|>"])
        found.append(mark if rng.random() < 0.5 else mark[: rng.randrange(len(mark) + 1)])
        found.append(rng.choice(WORDS))
    return "".join(found)


def tools_of(form: ToolFormat, rng: random.Random) -> list[Tool]:
    async def run(context: Any, arguments: Any) -> Result:
        await asyncio.sleep(0)
        return Result(text=hostile(form, rng), submitted=rng.random() < 0.1)

    key = {"command": ("string", "What.")}
    names = ("bash", "look")
    return [Tool(name=n, description="It.", parameters=key, required=(), run=run) for n in names]


def taught_texts(form: ToolFormat) -> list[list[dict[str, Any]]]:
    """Short conversations in which tools are called."""
    found = []
    for place, word in enumerate(("ls", "cat a.py", "né")):
        function = {"name": ("bash", "look")[place % 2], "arguments": {"command": word}}
        call = {"id": f"call_{place}", "type": "function", "function": function}
        said = {"role": "assistant", "content": ("Now.", "")[place % 2], "tool_calls": [call]}
        result = {"role": "tool", "tool_call_id": f"call_{place}", "content": word}
        task = {"role": "user", "content": "Go."}
        end = {"role": "assistant", "content": "Done."}
        found.append([task, said, result, end])
    return found


# -- vocabularies and models --------------------------------------------------------------------


def small_bpe(form: ToolFormat, size: int = 700) -> JsonTokenizer:
    """A byte-level BPE learnt from the format's own conversations; most specials are tokens."""
    inner = Inner(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tools = [tool.schema() for tool in tools_of(form, random.Random(0))]
    texts = [form.render(talk, tools) for talk in taught_texts(form)] * 2
    rng = random.Random(1)
    texts += [hostile(form, rng) for _ in range(200)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = list(form.chat.specials)
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=specials, show_progress=False
    )
    pattern = pattern_of(specials)  # no merge may spell a special token
    inner.train_from_iterator([part for text in texts for part in pattern.split(text)], trainer)
    with tempfile.TemporaryDirectory() as folder:
        inner.save(str(Path(folder) / "tokenizer.json"))
        return JsonTokenizer(Path(folder) / "tokenizer.json")


def taught(renderer: Renderer, steps: int, seed: int) -> Decoder:
    """A small model that saw a few conversations of the format, or none."""
    torch.manual_seed(seed)
    model = Decoder(shape(renderer.tokenizer.size))
    if not steps:
        return model
    tools = [tool.schema() for tool in tools_of(renderer.form, random.Random(0))]
    rows = [renderer.encode(talk, tools, close=True) for talk in taught_texts(renderer.form)]
    ids = [np.array(row.ids) for row in rows]
    flat = flatten(ids, [np.array(row.loss_mask(), bool) for row in rows])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(steps):
        loss = -score(model, flat).logprob_M.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


# -- a rollout and what is asked of it ------------------------------------------------------------


@dataclass(frozen=True)
class Maker:
    """What rollouts are made with."""

    renderer: Renderer
    engine: LockStep
    show_tools: bool
    again: Callable[[Sequence[int]], list[int]]
    """Decodes ids and encodes the text."""


def encoder(tokenizer: Tokenizer) -> Callable[[Sequence[int]], list[int]]:
    pattern = pattern_of(tokenizer.specials)

    def again(ids: Sequence[int]) -> list[int]:
        text, found, at = tokenizer.decode(ids), [], 0
        for match in pattern.finditer(text):
            found += [*tokenizer.encode(text[at : match.start()]), tokenizer.specials[match[0]]]
            at = match.end()
        return found + tokenizer.encode(text[at:])

    return again


async def rollout(make: Maker, seed: int) -> Counter[str]:
    """Play one and count what it shows."""
    rng, form = random.Random(seed), make.renderer.form
    engine = Recording(make.engine)
    longest = rng.choice((1, 2, 8, 16, 24, 40))
    model = TokenModel(
        engine, make.renderer, seed=seed, max_tokens=longest, show_tools=make.show_tools
    )
    record = engine.last
    assert record is not None
    log = Conversation()
    setting = Setting(limits=Limits(turns=TURNS, repeated_errors=TURNS + 1), seed=seed)
    loop = ModelLoop(setting, tools_of(form, rng), parallel=rng.random() < 0.7, model=model)
    prompt = [{"role": "user", "content": hostile(form, rng) if rng.random() < 0.2 else "Go."}]
    try:
        await loop.run(prompt, TaskView(problem_statement=""), cast(Sandbox, None), log)
    finally:
        await model.close()
    found = judged(make, model, record, log)
    return found + contrast(make, record, log) if seed % CONTRAST == 0 else found


def judged(make: Maker, model: TokenModel, record: Recorded, log: Conversation) -> Counter[str]:
    dialogue, trace = model.dialogue, trace_of(model)
    assert dialogue is not None
    assert trace is not None
    held: list[int] = []
    mask: list[bool] = []
    logprobs: list[float] = []
    wrong: Counter[str] = Counter()
    for (forced, found), sample in zip(record.parts, dialogue.samples, strict=True):
        held += forced
        wrong["prompts"] += len(held) != sample.prompt_len or found.ids != sample.ids
        held += found.ids
        mask += [False] * len(forced) + [True] * len(found.ids)
        logprobs += [0.0] * len(forced) + list(found.logprobs)
    wrong["dialogue"] += held != dialogue.ids or [int(one) for one in mask] != dialogue.loss_mask
    wrong["trace"] += held != trace.ids.tolist() or mask != trace.sampled.tolist()
    wrong["trace"] += not np.array_equal(np.array(logprobs, np.float32), trace.logprobs)
    kept = json.loads(log.messages.encoded())  # as a trajectory on disk has them
    tools = log.tools if make.show_tools else None
    try:
        replayed = Dialogue.replay(make.renderer, tools, kept, log.turns())
        wrong["replay"] += replayed.ids != held or replayed.prompt_ids[: len(held)] != held
    except Exception as error:  # counted as any other difference
        wrong[f"replay raised {type(error).__name__}: {error}"] += 1
        wrong["replay"] += 1
    return wrong + Counter(
        rollouts=1,
        drifted=any(wrong.values()),
        tokens=len(held),
        turns=len(record.parts),
        calls=sum(len(parsed.tool_calls) for parsed in model.parsed),
        calling=any(parsed.tool_calls for parsed in model.parsed),
    )


def contrast(make: Maker, record: Recorded, log: Conversation) -> Counter[str]:
    """What would have become of the sampled ids without a record."""
    held = [token for forced, found in record.parts for token in (*forced, *found.ids)]
    text = any(list(found.ids) != make.again(found.ids) for _, found in record.parts)
    tools = log.tools if make.show_tools else None
    whole = make.renderer.encode(log.messages, tools, add_generation_prompt=True).ids
    return Counter(contrasted=1, text=text, messages=whole[: len(held)] != held)


async def play(make: Maker, seeds: Sequence[int]) -> Counter[str]:
    """Rollouts, so many at once."""
    found: Counter[str] = Counter()
    waiting = iter(seeds)
    while part := list(islice(waiting, AT_ONCE)):
        played = (rollout(make, seed) for seed in part)
        for one in await asyncio.gather(*played, return_exceptions=True):
            if isinstance(one, Counter):
                found += one
            elif isinstance(one, Exception):  # as bad as drift: no completion may raise
                found += Counter({"rollouts": 1, "drifted": 1, f"raised {one!r}": 1})
            else:
                raise one
    await make.engine.close()
    return found


def maker(form: ToolFormat, tokenizer: Tokenizer, steps: int, temperature: float) -> Maker:
    renderer = Renderer(form, tokenizer)
    engine = LockStep(
        taught(renderer, steps, seed=len(form.name)), max_context=4096, temperature=temperature,
        patience=0.05, decode=tokenizer.decode,
    )  # fmt: skip
    return Maker(renderer, engine, show_tools=steps > 0, again=encoder(tokenizer))


def measure(name: str, rollouts: int, temperature: float, steps: int = 200) -> Counter[str]:
    """Half of the rollouts in bytes, half in a small BPE."""
    form, half = tool_format(name), rollouts // 2
    found: Counter[str] = Counter()
    for tokenizer, taught_steps, seeds in (
        (ByteTokenizer(form.chat.specials), 0, range(half)),
        (small_bpe(form), steps, range(half, rollouts)),
    ):
        make = maker(form, tokenizer, taught_steps, temperature)
        found += asyncio.run(play(make, list(seeds)))
    return found


def qwen(names: Sequence[str], rollouts: int, temperature: float) -> Counter[str]:
    """A few rollouts of every format in the 151k entries of Qwen's vocabulary."""
    tokenizer, found = JsonTokenizer(qwen_vocabulary()), Counter[str]()
    for name in names:
        make = maker(tool_format(name), tokenizer, 0, temperature)
        found += asyncio.run(play(make, range(rollouts)))
    return found


def line(name: str, row: Counter[str], seconds: float) -> str:
    share = {key: row[key] / max(1, row["contrasted"]) for key in ("text", "messages")}
    calling = row["calling"] / max(1, row["rollouts"])
    return (
        f"{name:18}{row['rollouts']:9,}{row['drifted']:9,}{row['turns']:9,}{row['calls']:8,}"
        f"{calling:9.1%}{share['text']:9.1%}{share['messages']:10.1%}"
        f"{row['tokens']:12,}{seconds:8.0f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=10_000, help="of each format")
    parser.add_argument("--temperature", type=float, default=1.5)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--qwen", type=int, default=8, help="of each format, Qwen's vocabulary")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names, rows = options.formats.split(","), {}
    print(
        f"{'format':18}{'rollouts':>9}{'drifted':>9}{'turns':>9}{'calls':>8}{'calling':>9}"
        f"{'text':>9}{'messages':>10}{'tokens':>12}{'CPU-s':>8}"
    )
    whole, before = Counter[str](), time.process_time()
    for name in names:
        begin = time.process_time()
        row = measure(name, options.rollouts, options.temperature)
        print(line(name, row, time.process_time() - begin), flush=True)
        rows[name] = row
        whole += row
        for what in (key for key in row if "raised" in key):
            print(f"  {row[what]} x {what}", file=sys.stderr)
    if options.qwen:
        begin = time.process_time()
        rows["qwen vocabulary"] = qwen(names, options.qwen, options.temperature)
        print(line("qwen vocabulary", rows["qwen vocabulary"], time.process_time() - begin))
        whole += rows["qwen vocabulary"]
    print(line("all", whole, time.process_time() - before))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(whole["drifted"] > 0)


if __name__ == "__main__":
    sys.exit(main())
