"""Our readers beside SGLang's detectors on the same texts: exactness, and cost per delta.

    pip download --no-deps -d wheels sglang==0.5.23 && unzip -d unpacked wheels/sglang*.whl
    pip install --target extra orjson partial-json-parser
    PYTHONPATH=extra python benchmarks/beside_sglang.py unpacked [--cases 300]

The detectors run alone, as their wheel has them; the server's types around them are stood in for.
Only calls are compared, and SGLang reads whole texts, as ours does. It says nothing of calls that
it drops, so a dropped call counts as right where "incomplete" would be.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import random
import statistics
import sys
import time
import types
from collections.abc import Callable
from typing import Any, Optional

from hostile import ambiguous, contested, outcome
from hostile_cases import COMMON, KITS, Case, Wire, hostile, malformed
from pydantic import BaseModel
from templates import stream, writing

from regreen.templates import ParsedMessage, ToolCall, tool_format, tool_table

DETECTORS = {
    "qwen3_coder": ("qwen3_coder_detector", "Qwen3CoderDetector"),
    "glm46": ("glm4_moe_detector", "Glm4MoeDetector"),
    "minimax_m2": ("minimax_m2", "MinimaxM2Detector"),
    "deepseekv32": ("deepseekv32_detector", "DeepSeekV32Detector"),
    "hermes": ("hermes_detector", "HermesDetector"),
}


class Function(BaseModel):
    """The server's type of a function tool."""

    name: str
    description: Optional[str] = None  # noqa: UP045 - read at run time
    parameters: Any = None
    strict: bool = False


class Tool(BaseModel):
    """The server's type of a tool."""

    type: str = "function"
    function: Function


class Nothing:
    """Stands for settings and helpers of the server that are not there: false, empty, callable."""

    def __getattr__(self, name: str) -> Nothing:
        return self

    def __call__(self, *_: Any, **__: Any) -> Nothing:
        return self

    def __bool__(self) -> bool:
        return False


def load(root: str) -> dict[str, Callable[[], Any]]:
    """The detectors of an unpacked wheel, by our names."""
    logging.disable(logging.ERROR)
    parts = ("sglang", "sglang.srt", "sglang.srt.function_call")
    for name in (*parts, "sglang.srt.entrypoints", "sglang.srt.entrypoints.openai"):
        module = types.ModuleType(name)
        module.__path__ = [f"{root}/{name.replace('.', '/')}"] if name in parts else []
        sys.modules[name] = module
    protocol = types.ModuleType("sglang.srt.entrypoints.openai.protocol")
    vars(protocol).update(Tool=Tool, Function=Function, ToolChoice=Any)
    environ = types.ModuleType("sglang.srt.environ")
    vars(environ).update(envs=Nothing())
    utils = types.ModuleType("sglang.srt.utils")
    vars(utils).update(__path__=[], __getattr__=lambda _: Nothing())
    sys.modules |= {module.__name__: module for module in (protocol, environ, utils)}
    return {
        name: getattr(importlib.import_module(f"sglang.srt.function_call.{module}"), kind)
        for name, (module, kind) in DETECTORS.items()
    }


def theirs(detector: Any, case: Case, text: str, tools: list[Tool]) -> str:
    """How SGLang's reading of a case is to be judged."""
    try:
        found = detector.detect_and_parse(text, tools).calls
        calls = tuple(ToolCall(call.name, json.loads(call.parameters)) for call in found)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "error"
    return outcome(case, ParsedMessage(content=case.content or "", tool_calls=calls))


def exactness(name: str, make: Callable[[], Any], count: int) -> None:
    """Print the shares of right readings, ours and theirs."""
    form, kit = tool_format(name), KITS.get(name, COMMON)
    wire = Wire(form, kit, tool_table(kit.tools))
    tools = [Tool(**tool) for tool in kit.tools]
    for family, cases in (("hostile", hostile), ("malformed", malformed)):
        total = ours = right = wrong = 0
        for case in cases(wire, random.Random(f"{name} 0 {family}"), count):
            read = form.parse(case.text, wire.table, truncated=case.truncated)
            own = outcome(case, read)
            doubt = ambiguous(wire, case, read) or contested(wire, case, read)
            if family == "hostile" and own != "exact" and doubt:
                continue
            text = case.text
            for stop in form.chat.stops:
                text = text.removesuffix(stop)
            other = theirs(make(), case, text, tools)
            dropped = other == "text" and "incomplete" in case.right
            total, ours = total + 1, ours + (own in case.right)
            right, wrong = right + (other in case.right or dropped), wrong + (other == "half")
        print(
            f"{name:14}{family:11}{total:5} cases   ours {ours / total:6.1%}   "
            f"SGLang {right / total:6.1%}, {wrong} complete with wrong arguments"
        )


def speed(make: Callable[[], Any]) -> None:
    """Print microseconds per delta of a string argument in qwen3_coder, in turns."""
    form = tool_format("qwen3_coder")
    for size in (1_000, 16_000, 64_000):
        text, offered = writing(form, size)
        tools = [Tool(**tool) for tool in offered]
        pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
        ours, other = [], []
        for _ in range(3):
            ours.append(stream(form, text, offered))
            detector, start = make(), time.perf_counter()
            for piece in pieces:
                detector.parse_streaming_increment(piece, tools)
            other.append((time.perf_counter() - start) / len(pieces) * 1e6)
        print(
            f"{len(pieces):6} deltas: ours {statistics.median(ours):5.2f} us, "
            f"SGLang {statistics.median(other):6.2f} us"
        )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("unpacked", help="directory with the unpacked wheel")
    parser.add_argument("--cases", type=int, default=300)
    options = parser.parse_args()
    detectors = load(options.unpacked)
    for name, make in detectors.items():
        exactness(name, make, options.cases)
    speed(detectors["qwen3_coder"])


if __name__ == "__main__":
    main()
