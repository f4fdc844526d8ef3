"""The same policy with an output matrix of its own, for engines that do not share the embedding.

vLLM's Qwen3-Next leaves the output matrix of a tied checkpoint empty and then finds all tokens
equally likely, without a word; a checkpoint that names the matrix is read alike by every engine.
"""

from __future__ import annotations

import torch
from torch import nn

from regreen.model.decoder import Decoder

__all__ = ["untied"]


def untied(model: Decoder) -> Decoder:
    """A model that computes the same, its output matrix a copy; the rest of the weights is shared.

    Args:
        model: returned as it is where it has an output matrix already.
    """
    if model.output is not None:
        return model
    with torch.device("meta"):
        other = Decoder(model.config.model_copy(update={"tie_word_embeddings": False}))
    weights: dict[str, torch.Tensor] = dict(model.named_parameters())
    weights["output.weight"] = model.embedding.weight.t()
    for name, _ in list(other.named_parameters()):
        owner, _, attribute = name.rpartition(".")
        value = weights[name].detach()
        if name == "output.weight":
            value = value.clone(memory_format=torch.contiguous_format)
        setattr(other.get_submodule(owner), attribute, nn.Parameter(value))
    return other
