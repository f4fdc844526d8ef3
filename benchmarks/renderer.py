"""Token ids of a growing conversation: an appended turn beside encoding the whole, and drift.

    python benchmarks/renderer.py [--json FILE] [--rounds 9] [--rollouts 20]

Speed: at 100 turns, the new tokens of the next prompt (``Dialogue``) beside those of the whole
conversation (``Renderer.encode``), in one process; the ids must agree before anything is timed.

Drift: the same sampled ids are carried to the next prompt in three ways: kept as they are; decoded
and encoded again; read, written by the template and encoded again. What a model does at some
temperature is imitated by cutting a share of its tokens in two (the same text in other tokens), or
by one newline instead of two in front of a call.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from regreen.templates import (
    ByteTokenizer,
    Dialogue,
    JsonTokenizer,
    Renderer,
    Tokenizer,
    qwen_vocabulary,
    tool_format,
)

TURNS = 100
DRIFT_FORMATS = ("qwen3_coder", "hermes")
SHARES = (0.0, 0.001, 0.01)
TURNS_A_ROLLOUT = 8


def tool(name: str, keys: Sequence[str]) -> dict[str, Any]:
    words = "Says what it is for, when to use it, and when another tool serves better. "
    fields = {key: {"type": "string", "description": words * 2} for key in keys}
    schema = {"type": "object", "properties": fields, "required": list(keys)}
    function = {"name": name, "description": words * 22, "parameters": schema}
    return {"type": "function", "function": function}


TOOLS = [tool("edit", ["path", "old", "new"]), tool("bash", ["command"])]
TOOLS += [tool(f"tool_{index}", ["path", "pattern", "mode"]) for index in range(13)]


def code(rng: random.Random) -> str:
    """Two million characters of the standard library, in random order."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    rng.shuffle(paths)
    found, size = [], 0
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")
        found.append(text)
        size += len(text)
        if size > 2_000_000:
            break
    return "".join(found)


class Talk:
    """Edits of about 1.4 kB answered by results of about 2.2 kB, all different."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.code = code(self.rng)

    def part(self, size: int) -> str:
        at = self.rng.randrange(len(self.code) - size)
        return self.code[at : at + size].strip()

    def opening(self) -> list[dict[str, Any]]:
        return [
            {"role": "system", "content": "You mend a repository."},
            {"role": "user", "content": "The totals are wrong. " * 20},
        ]

    def answer(self, turn: int) -> dict[str, Any]:
        arguments = {"path": f"src/part_{turn}.py", "old": self.part(700), "new": self.part(700)}
        call = {"id": f"call_{turn}", "function": {"name": "edit", "arguments": arguments}}
        return {"role": "assistant", "content": "I change the sum.", "tool_calls": [call]}

    def results(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        calls = message.get("tool_calls") or ()
        rows = [
            {"role": "tool", "tool_call_id": call["id"], "content": self.part(2200)}
            for call in calls
        ]
        return rows or [{"role": "user", "content": "Go on."}]


def speed(tokenizer: Tokenizer, rounds: int) -> dict[str, Any]:
    """Milliseconds of the 101st prompt: only what is new, and the whole."""
    write, talk = Renderer(tool_format("qwen3_coder"), tokenizer), Talk(1)
    dialogue = Dialogue(write, TOOLS, talk.opening())

    def turn(number: int) -> tuple[list[int], list[dict[str, Any]]]:
        message = talk.answer(number)
        return write.completion(message, TOOLS), talk.results(message)

    for number in range(TURNS):
        ids, rows = turn(number)
        dialogue.sampled(ids)
        made = dialogue.messages[-1]["tool_calls"][0]["id"]
        dialogue.append(*({**row, "tool_call_id": made} for row in rows))
    messages = list(dialogue.messages)
    whole = write.encode(messages, TOOLS, add_generation_prompt=True).ids
    if whole != dialogue.prompt_ids:
        sys.exit("growing by turns and encoding the whole differ: nothing to compare")
    more = [turn(TURNS + extra) for extra in range(rounds)]
    clock, times = time.perf_counter, []
    for ids, rows in more:
        marks = [clock()]
        dialogue.sampled(ids)
        marks.append(clock())
        made = dialogue.messages[-1]["tool_calls"][0]["id"]
        dialogue.append(*({**row, "tool_call_id": made} for row in rows))
        assert dialogue.new_ids
        marks.append(clock())
        count = len(dialogue.prompt_ids)
        marks.append(clock())
        write.encode(messages, TOOLS, add_generation_prompt=True)
        marks.append(clock())
        times.append([(after - before) * 1e3 for before, after in pairwise(marks)])
    steps = ("sampled", "appended", "copied", "whole")
    found = {
        name: statistics.median(row)
        for name, row in zip(steps, zip(*times, strict=True), strict=True)
    }
    return {
        "tokens": len(whole),
        "tokens_a_turn": (count - len(whole)) // rounds,
        "milliseconds": found,
        "appended_over_whole": found["appended"] / found["whole"],
    }


def oddly(rng: random.Random, tokenizer: Tokenizer, ids: Sequence[int], share: float) -> list[int]:
    """The same text with a share of its tokens cut in two."""
    specials, found = set(tokenizer.specials.values()), []
    for token in ids:
        text = tokenizer.decode([token])
        whole = token in specials or len(text) < 2 or "\ufffd" in text
        if whole or rng.random() >= share:
            found.append(token)
        else:
            at = rng.randrange(1, len(text))
            found += [*tokenizer.encode(text[:at]), *tokenizer.encode(text[at:])]
    return found


def completion(write: Renderer, message: dict[str, Any], *, spaced: bool) -> list[int]:
    """Ids of a completion; ``spaced`` puts one newline where the template puts two."""
    if not spaced:
        return write.completion(message, TOOLS)
    call = write.completion({**message, "content": ""}, TOOLS)
    return [*write.tokenizer.encode(message["content"] + "\n"), *call]


def drift(name: str, tokenizer: Tokenizer, share: float, rollouts: int, spaced: bool) -> Any:
    """Share of next prompts that do not begin with what was sampled, by the way it was carried."""
    write, plain, talk = Renderer(tool_format(name), tokenizer), plain_encoder(), Talk(2)
    broken = {"kept": 0, "encoded_again": 0, "written_again": 0}
    offered = TOOLS[:2]
    for _ in range(rollouts):
        dialogue = Dialogue(write, offered, talk.opening())
        for number in range(TURNS_A_ROLLOUT):
            ids = completion(write, talk.answer(number), spaced=spaced)
            ids = oddly(talk.rng, tokenizer, ids, share)
            before = dialogue.prompt_ids + ids
            dialogue.sampled(ids)
            dialogue.append(*talk.results(dialogue.messages[-1]))
            size, after = len(before), dialogue.prompt_ids
            written = write.encode(dialogue.messages, offered, add_generation_prompt=True).ids
            broken["kept"] += after[:size] != before
            broken["encoded_again"] += plain(tokenizer.decode(after))[:size] != before
            broken["written_again"] += written[:size] != before
    return {way: count / rollouts / TURNS_A_ROLLOUT for way, count in broken.items()}


def plain_encoder() -> Callable[[str], list[int]]:
    """The vocabulary's own encoding of rendered text, as servers do it."""
    from tokenizers import Tokenizer as Inner

    inner = Inner.from_file(str(qwen_vocabulary()))
    return lambda text: inner.encode(text, add_special_tokens=False).ids


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rollouts", type=int, default=20)
    options = parser.parse_args()
    qwen = JsonTokenizer(qwen_vocabulary())
    byte = ByteTokenizer(tool_format("qwen3_coder").chat.specials)
    found: dict[str, Any] = {"speed": {}, "drift": {}}
    for label, tokenizer in (("qwen", qwen), ("bytes", byte)):
        row = speed(tokenizer, options.rounds)
        found["speed"][label] = row
        print(f"{label}: {TURNS} turns, {row['tokens']:,} tokens, {row['tokens_a_turn']} a turn")
        for way, value in row["milliseconds"].items():
            print(f"  {way:12} {value:9.3f} ms")
        print(f"  appended / whole {row['appended_over_whole']:.3%}")
    print(f"{'prompts that lost what was sampled':36}{'kept':>10}{'encoded':>10}{'written':>10}")
    cases = [(share, False) for share in SHARES] + [(0.0, True)]
    for name in DRIFT_FORMATS:
        for share, spaced in cases:
            row = drift(name, qwen, share, options.rollouts, spaced)
            how = "one newline" if spaced else f"{share:.1%} of tokens cut"
            found["drift"][f"{name}, {how}"] = row
            print(f"  {name + ', ' + how:34}" + "".join(f"{row[way]:10.1%}" for way in row))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
