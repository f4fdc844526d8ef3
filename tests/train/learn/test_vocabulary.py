"""The vocabulary makes a call's framing one token and keeps apart what is thought about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regreen.templates import JsonTokenizer, tool_format
from regreen.templates.tokens.renderer import Renderer
from regreen.train.learn.vocabulary import train_vocabulary

CALL = {"id": "1", "type": "function"}


def talk(operator: str, name: str) -> list[dict[str, Any]]:
    edit = {**CALL, "function": {"name": "edit", "arguments": {"operator": operator}}}
    return [
        {"role": "user", "content": "Repair f.py."},
        {"role": "assistant", "content": "", "tool_calls": [edit]},
        {"role": "tool", "tool_call_id": "1", "content": f"return {name} {operator} ta"},
    ]


def test_framing_is_one_token_and_operators_stand_alone(tmp_path: Path) -> None:
    talks = [talk(operator, name) for operator in ("+", "==", "<") for name in ("ba", "ke")] * 20
    path = tmp_path / "tokenizer.json"

    train_vocabulary(talks, "qwen3_coder", path)

    tokenizer = JsonTokenizer(path)
    form = tool_format("qwen3_coder")
    rendered = Renderer(form, tokenizer).encode(talks[2], None)
    pieces = [tokenizer.decode([token]) for token in rendered.ids]
    sampled = [piece for piece, mask in zip(pieces, rendered.loss_mask(), strict=True) if mask]
    assert len(sampled) == 4
    assert sampled[1] == "=="
    assert sampled[3] == "<|im_end|>"
    assert pieces.count("==") == 2
    assert "".join(pieces) == form.render(talks[2], None)
