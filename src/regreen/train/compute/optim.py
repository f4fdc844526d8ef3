"""One update of the weights: clip the gradients, refuse those that are not finite, step, forget.

A gradient that is not finite is never applied in part: the whole step is refused, counted, and the
first parameter concerned is named, because a NaN in one matrix is a fault in the loss of all. Norms
are summed in float64 over all ranks, so that every rank of a sharded model takes the same decision.

Weight decay acts on matrices and, as the published model does, on the zero-centred norms, whose
weight is a deviation from one and may well be drawn to nought (facts of Qwen3-Next). It leaves
alone what is neutral elsewhere: the gated norms of Gated DeltaNet (neutral at one), the decay rates
`a_log` and the biases `dt_bias`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from regreen.core.errors import UsageError
from regreen.model.norm import RMSNorm
from regreen.train.compute.parallel import joined, reshard

__all__ = ["OptimConfig", "Optimiser", "Update", "decayed"]

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class OptimConfig(BaseModel):
    """AdamW (Loshchilov and Hutter, 1711.05101) with a schedule and clipping."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=1e-6, gt=0.0)
    """The rate behind the warm-up."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of the first and of the second moment."""
    epsilon: float = Field(default=1e-8, gt=0.0)
    """Added to the root of the second moment."""
    weight_decay: float = Field(default=0.1, ge=0.0)
    """Share of a decayed weight that is taken off, times the rate, at each step."""
    max_grad_norm: float = Field(default=1.0, gt=0.0)
    """The gradient's norm over all parameters is scaled down to this; infinity never scales."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the rate goes on behind the warm-up, down to `final_share` of it at `steps`."""
    warm_up: int = Field(default=0, ge=0)
    """Steps over which the rate rises in equal parts; the first step has one part."""
    steps: int | None = Field(default=None, gt=0)
    """Steps until the end of the schedule, warm-up included; later ones keep the last rate."""
    final_share: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of `learning_rate` at the end of a linear or cosine schedule."""

    @model_validator(mode="after")
    def _fits(self) -> OptimConfig:
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            msg = f"betas {self.betas} must be at least 0 and below 1"
            raise ValueError(msg)
        if self.schedule != "constant" and self.steps is None:
            msg = f"a {self.schedule} schedule needs steps: where it ends"
            raise ValueError(msg)
        if self.steps is not None and self.warm_up >= self.steps:
            msg = f"warm_up of {self.warm_up} steps leaves nothing of {self.steps}"
            raise ValueError(msg)
        return self

    def rate(self, step: int) -> float:
        """The learning rate of a step, the first being 0."""
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        if self.schedule == "constant" or self.steps is None:
            return self.learning_rate
        done = min((step - self.warm_up) / (self.steps - self.warm_up), 1.0)
        share = 1.0 - done if self.schedule == "linear" else (1.0 + math.cos(math.pi * done)) / 2
        return self.learning_rate * (self.final_share + (1.0 - self.final_share) * share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What one `Optimiser.apply` did."""

    grad_norm: float
    """Norm of the gradients of all parameters on all ranks, before clipping; may be NaN or inf."""
    lr: float
    """The learning rate of the step."""
    applied: bool
    """Whether the weights changed; they do not without any gradient either."""
    refused: str = ""
    """The first parameter whose gradient is not finite; empty where all are."""


def decayed(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, bool]]:
    """Every parameter that is trained, and whether weight decay acts on it."""
    centred = {
        f"{name}.weight" if name else "weight"
        for name, module in model.named_modules()
        if isinstance(module, RMSNorm)
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name, parameter, name in centred or parameter.dim() > 1


class Optimiser:
    """AdamW over a model's parameters, sharded or not; made after sharding.

    Its moments are made at once, so that memory they do not find is missed before the first step,
    and so that the state has one form from the beginning.
    """

    def __init__(self, model: nn.Module, config: OptimConfig) -> None:
        self.config = config
        self.step_number = 0
        """Updates that were applied."""
        self.num_refused = 0
        """Updates that were refused."""
        self._model = model
        known = list(decayed(model))
        self._parameters = {name: parameter for name, parameter, _ in known}
        if not known:
            msg = "the model has no parameter to train"
            raise UsageError(msg, where="optimiser", mend="leave requires_grad on for some")
        groups = [
            {"params": [p for _, p, on in known if on], "weight_decay": config.weight_decay},
            {"params": [p for _, p, on in known if not on], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.rate(0),
            betas=config.betas,
            eps=config.epsilon,
            fused=all(p.device.type in {"cpu", "cuda"} for _, p, _ in known),
        )
        for _, parameter, _ in known:
            self._adam.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter.detach()),
                "exp_avg_sq": torch.zeros_like(parameter.detach()),
            }

    def apply(self) -> Update:
        """Update the weights by the gradients that stand in them, and clear these.

        Every rank of a sharded model calls it. A parameter whose gradient is nought everywhere
        stays as it is, as one does that has none: which of the two it is depends on sharding.
        """
        reshard(self._model)
        rate = self.config.rate(self.step_number)
        given = {n: p.grad for n, p in self._parameters.items() if p.grad is not None}
        squares = self._squares(given)
        norm = math.sqrt(sum(squares.values()))
        bad = next((name for name, square in squares.items() if not math.isfinite(square)), "")
        moved = [name for name, square in squares.items() if square]
        update = Update(grad_norm=norm, lr=rate, applied=bool(moved) and not bad, refused=bad)
        if update.applied:
            self._step(moved, norm, rate)
            self.step_number += 1
        self.num_refused += bool(bad)
        for parameter in self._parameters.values():
            parameter.grad = None
        return update

    def state_dict(self) -> dict[str, Any]:
        """Moments under their parameter's name, the optimiser's own tensors; and counters."""
        state = self._adam.state
        moments = {
            name: {kind: state[parameter][kind] for kind in _MOMENTS}
            for name, parameter in self._parameters.items()
        }
        return {"moments": moments, "step_number": self.step_number, "refused": self.num_refused}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of `state_dict`; tensors are copied.

        Raises:
            UsageError: it is of other parameters.
        """
        moments = state["moments"]
        if different := set(moments) ^ set(self._parameters):
            msg = f"the optimiser's state is of another model: {min(different)} has no counterpart"
            raise UsageError(msg, where="optimiser", mend="load the model it was saved with")
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                for kind in _MOMENTS:
                    self._adam.state[parameter][kind].copy_(moments[name][kind])
        self.step_number, self.num_refused = int(state["step_number"]), int(state["refused"])

    def _squares(self, given: Mapping[str, Tensor]) -> dict[str, float]:
        """The sum of each gradient's squares over all ranks."""
        if not given:
            return {}
        squares_P = torch.stack([_square(_own(gradient)) for gradient in given.values()])
        cut = [hasattr(gradient, "to_local") for gradient in given.values()]
        if any(cut):
            added_P = joined().add_up(squares_P.clone())
            squares_P = torch.where(torch.tensor(cut, device=squares_P.device), added_P, squares_P)
        return dict(zip(given, squares_P.tolist(), strict=True))

    def _step(self, moved: Sequence[str], norm: float, rate: float) -> None:
        kept = set(moved)
        for name, parameter in self._parameters.items():
            if name not in kept:
                parameter.grad = None
        if norm > self.config.max_grad_norm:
            gradients = [_own(self._parameters[name].grad) for name in moved]
            torch._foreach_mul_(gradients, self.config.max_grad_norm / norm)
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()


def _own(gradient: Any) -> Tensor:
    """This rank's part of it."""
    own: Tensor = gradient.to_local() if hasattr(gradient, "to_local") else gradient
    return own


def _square(part: Tensor) -> Tensor:
    """The sum of squares in float64, of a shard that may be empty."""
    norm: Tensor = torch.linalg.vector_norm(part.detach(), dtype=torch.float64)
    return norm.square()
