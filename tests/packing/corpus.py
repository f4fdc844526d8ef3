"""Trajectories and texts for the packing suites, from small to longer than any row used there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "bash",
            "description": "Runs a command.",
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "string"}},
                "required": ["command"],
            },
        },
    }
]

WORDS = st.text("ab \né<|", max_size=30)
STEP = st.tuples(WORDS, st.lists(st.tuples(WORDS, st.text("xy\n", max_size=120)), max_size=2))


def messages(system: str, task: str, steps: list[Any]) -> list[dict[str, Any]]:
    """A conversation; a step is what is said, and the calls with their results."""
    rows: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    rows.append({"role": "user", "content": task})
    for place, (said, calls) in enumerate(steps):
        row: dict[str, Any] = {"role": "assistant", "content": said.strip()}
        if calls:
            row["tool_calls"] = [
                {
                    "id": f"c{place}-{number}",
                    "type": "function",
                    "function": {"name": "bash", "arguments": json.dumps({"command": command})},
                }
                for number, (command, _) in enumerate(calls)
            ]
        rows.append(row)
        rows += [
            {"role": "tool", "tool_call_id": f"c{place}-{number}", "content": result}
            for number, (_, result) in enumerate(calls)
        ]
    return rows


CONVERSATIONS = st.builds(messages, WORDS, WORDS, st.lists(STEP, min_size=1, max_size=6))


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
