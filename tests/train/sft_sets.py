"""Small packed sets and a small model for the suites of fine-tuning; the same on every machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tests.packing.corpus import TOOLS, messages, write_jsonl

from regreen.model import Decoder, ModelConfig
from regreen.packing.rendering import Rendering, formats_used
from regreen.packing.settings import PackConfig
from regreen.packing.vocabulary import record_vocabulary
from regreen.packing.writer import PackJob, pack
from regreen.templates.diversity.draw import DiversityConfig

TWO_FORMATS = DiversityConfig(formats={"hermes": 1.0, "qwen25_coder": 1.0})
SIZE = 272
"""Ids of the small model: bytes and room for special tokens."""


def small_config(**changes: Any) -> ModelConfig:
    """A hybrid of two layers with four experts."""
    values: dict[str, Any] = {
        "vocab_size": SIZE,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "full_attention_interval": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "rope_theta": 10_000.0,
        "linear_num_key_heads": 1,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "intermediate_size": 64,
        "tie_word_embeddings": True,
    }
    return ModelConfig(**{**values, **changes})


def small_model(seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any) -> Decoder:
    torch.manual_seed(seed)
    return Decoder(small_config(**changes)).to(dtype)


def conversations(count: int, first: int = 0) -> list[list[dict[str, Any]]]:
    """Each says what it does, does it, and reads a result; of different lengths."""
    return [
        messages(
            f"You mend file {number}.",
            "Find the fault.",
            [
                (f"I look at part {step}.", [(f"cat part{step}.py", "x = 1\n" * (1 + number % 3))])
                for step in range(1 + number % 3)
            ],
        )
        for number in range(first, first + count)
    ]


def packed(
    out: Path,
    count: int = 8,
    *,
    first: int = 0,
    diversity: DiversityConfig | None = TWO_FORMATS,
    **given: Any,
) -> Path:
    """A set of ``count`` conversations and two texts, by the bytes' vocabulary."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"messages": rows, "tools": TOOLS} for rows in conversations(count, first)]
    chats = write_jsonl(out.parent / f"{out.name}.chats.jsonl", rows)
    texts = write_jsonl(
        out.parent / f"{out.name}.texts.jsonl",
        [{"text": f"note {number + first} " * 20} for number in range(2)],
    )
    return _pack(out, (chats, texts), diversity, **given)


def pack_rows(out: Path, rows: list[dict[str, Any]], **given: Any) -> Path:
    """A set of rows of trajectories, in one format."""
    source = write_jsonl(out.parent / f"{out.name}.jsonl", rows)
    return _pack(out, (source,), None, **{"tool_format": "hermes", **given})


def _pack(
    out: Path, sources: tuple[Path, ...], diversity: DiversityConfig | None, **given: Any
) -> Path:
    config = PackConfig(**{"tokenizer": "bytes", "capacity": 2048, **given})
    vocabulary = record_vocabulary(
        config.tokenizer, formats_used(config, diversity), config.end_of_text
    )
    rendering = Rendering(config=config, vocabulary=vocabulary, diversity=diversity)
    pack(PackJob(sources=sources, out=out, rendering=rendering))
    return out
