"""What one packed document does to another: our decoder beside transformers' on the same weights.

    python benchmarks/leak.py [--json FILE]

Two documents of 100 and 90 tokens stand in one row. "Error" is how far the second one's logits are
from those it has alone; "effect" is how much they change when the first document is replaced;
"gradient" is the largest gradient of the second document's loss at the first one's embeddings.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regreen.model.borders import Borders
from regreen.model.checkpoint import save_checkpoint
from regreen.model.config import ModelConfig
from regreen.model.decoder import Decoder
from regreen.model.shapes import SHAPES

LENGTHS = (100, 90)
Logits = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """One way of computing the packed row."""

    model: str
    inputs: str
    error: float
    effect: float
    gradient: float
    scale: float


def measure(model: str, inputs: str, packed: Logits, alone: Logits, embedding: Any) -> Row:
    torch.manual_seed(1)
    first, other, second = (torch.randint(0, 512, (1, n)) for n in (*LENGTHS[:1], *LENGTHS))
    held: list[Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        output.retain_grad()
        held.append(output)
        return output

    hook = embedding.register_forward_hook(keep)
    logits = packed(torch.cat((first, second), 1))[0, LENGTHS[0] :]
    logits.float().logsumexp(-1).sum().backward()
    gradient = held[0].grad
    assert gradient is not None
    leaked = gradient.view(-1, gradient.shape[-1])[: LENGTHS[0]].abs().max()
    hook.remove()
    logits = logits.detach()
    with torch.no_grad():
        reference = alone(second)[0]
        replaced = packed(torch.cat((other, second), 1))[0, LENGTHS[0] :]
    return Row(
        model,
        inputs,
        float((logits - reference).abs().max()),
        float((logits - replaced).abs().max()),
        float(leaked),
        float(reference.abs().max()),
    )


def shapes() -> dict[str, ModelConfig]:
    base = SHAPES["1m"]
    kinds = {
        "hybrid": (),
        "attention": ("full_attention",) * 4,
        "DeltaNet": ("linear_attention",) * 4,
    }
    return {kind: base.model_copy(update={"layer_types": types}) for kind, types in kinds.items()}


def rows() -> list[Row]:
    from transformers import Qwen3NextForCausalLM

    found = []
    positions = torch.cat([torch.arange(length) for length in LENGTHS])[None]
    for kind, config in shapes().items():
        torch.manual_seed(0)
        ours = Decoder(config)
        with tempfile.TemporaryDirectory() as folder:
            save_checkpoint(ours, Path(folder))
            theirs = Qwen3NextForCausalLM.from_pretrained(folder, dtype=torch.float32)
        embedding = theirs.get_input_embeddings()
        if kind != "DeltaNet":

            def alone(x: Tensor, model: Any = theirs) -> Tensor:
                return model(input_ids=x, use_cache=False).logits

            for inputs, more in (
                ("nothing", {}),
                ("positions restart", {"position_ids": positions}),
            ):

                def packed(x: Tensor, model: Any = theirs, more: Any = more) -> Tensor:
                    return model(input_ids=x, use_cache=False, **more).logits

                found.append(measure(f"transformers, {kind}", inputs, packed, alone, embedding))
        found.append(
            measure(
                f"regreen, {kind}",
                "borders",
                lambda x, model=ours: model(x, borders=Borders(LENGTHS)).logits,
                lambda x, model=ours: model(x).logits,
                ours.embedding,
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    table = rows()
    print(f"{'model':26} {'inputs':18} {'error':>9} {'effect':>9} {'gradient':>9}  logits up to")
    for row in table:
        numbers = f"{row.error:9.1e} {row.effect:9.1e} {row.gradient:9.1e}"
        print(f"{row.model:26} {row.inputs:18} {numbers}  {row.scale:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in table], indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
