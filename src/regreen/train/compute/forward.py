"""Sequences side by side through the model, and how likely it finds the tokens that count.

Sequences are laid end to end without padding and kept apart by borders. The last token of each is
not computed, as nothing follows it; logits are made only where a token is predicted that counts.

Shapes: N tokens computed, M tokens predicted, V vocabulary, L sparse layers, K experts of a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from regreen.model import Borders, Decoder, Output
from regreen.model.moe import Routing
from regreen.model.precision import widened

__all__ = ["Flat", "Scores", "flatten", "score"]

_LOGITS = 1 << 24
"""Logits held at once, about; a larger product is computed in parts and again in the backward."""


@dataclass(frozen=True, eq=False)
class Flat:
    """Sequences laid end to end, each without its last token."""

    ids_N: Tensor
    """Token ids, int64."""
    borders: Borders
    """The sequences."""
    predicting_M: Tensor
    """Flat places whose next token counts, int64, ascending."""
    target_M: Tensor
    """Those next tokens, int64."""
    sequence_M: Tensor
    """Which sequence each belongs to, int64."""
    experts: tuple[Tensor, ...] | None = None
    """(N, K) per sparse layer, int64, to be replayed; None leaves them to the routers."""

    def to(self, device: torch.device | str) -> Flat:
        """The same on a device."""
        experts = None if self.experts is None else tuple(one.to(device) for one in self.experts)
        return Flat(
            self.ids_N.to(device), self.borders, self.predicting_M.to(device),
            self.target_M.to(device), self.sequence_M.to(device), experts,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scores:
    """What the model says of the tokens that count."""

    logprob_M: Tensor
    """Natural log-probability of each at the given temperature, with its gradient."""
    entropy_M: Tensor
    """Entropy in nats of the distribution it comes from, without a gradient."""
    routings: list[Routing]
    """What the routers did, for the balance loss."""
    output: Output
    """What the model computed, for the layer that predicts the token after the next."""


def flatten(
    sequences: Sequence[NDArray[np.integer]],
    counted: Sequence[NDArray[np.bool_]],
    experts: Sequence[NDArray[np.integer]] | None = None,
) -> Flat:
    """Lay sequences end to end.

    Args:
        sequences: token ids (T,) of each, at least two.
        counted: (T,) whether each token's log-probability is wanted; the first's never is.
        experts: (L, T - 1, K) of each.
    """
    lengths = tuple(len(ids) - 1 for ids in sequences)
    ids = np.concatenate([ids[:-1] for ids in sequences]).astype(np.int64)
    following = np.concatenate([ids[1:] for ids in sequences]).astype(np.int64)
    wanted = np.concatenate([mask[1:] for mask in counted]).astype(bool)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    places = np.flatnonzero(wanted)
    replayed = None
    if experts is not None:
        layers = np.concatenate(experts, axis=1).astype(np.int64)
        replayed = tuple(torch.from_numpy(layer.copy()) for layer in layers)
    return Flat(
        torch.from_numpy(ids), Borders(lengths), torch.from_numpy(places),
        torch.from_numpy(following[places]), torch.from_numpy(owner[places]), replayed,
    )  # fmt: skip


def score(model: Decoder, flat: Flat, *, temperature: float = 1.0) -> Scores:
    """Log-probabilities of the tokens that count, with gradients where they are enabled."""
    output = model(flat.ids_N[None], borders=flat.borders, chosen=slice(0, 0), replay=flat.experts)
    hidden_MD = output.hidden_ND[flat.predicting_M]
    step = max(1, _LOGITS // model.config.vocab_size)
    if len(hidden_MD) <= step:
        logprob_M, entropy_M = _score(model, hidden_MD, flat.target_M, temperature)
        return Scores(logprob_M, entropy_M, output.routings, output)
    parts = [
        checkpoint(
            _score, model, hidden_MD[at : at + step], flat.target_M[at : at + step], temperature,
            use_reentrant=False,
        )
        for at in range(0, len(hidden_MD), step)
    ]  # fmt: skip
    logprobs, entropies = zip(*parts, strict=True)
    return Scores(torch.cat(logprobs), torch.cat(entropies), output.routings, output)


def _score(
    model: Decoder, hidden_MD: Tensor, target_M: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    logits_MV = widened(model.unembed(hidden_MD))
    if temperature != 1.0:
        logits_MV = logits_MV / temperature
    all_MV = logits_MV.log_softmax(-1)
    with torch.no_grad():
        entropy_M = -(all_MV.exp() * all_MV).sum(-1)
    return all_MV.gather(1, target_M[:, None])[:, 0], entropy_M
