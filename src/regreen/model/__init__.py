"""The policy: a hybrid of Gated DeltaNet and gated attention with a mixture of experts.

Names are imported when they are first used: counting a model's parameters from its configuration
needs no torch, and importing torch takes longer than the counting.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regreen.model.borders import Borders, MissingBordersError
    from regreen.model.cache import Cache
    from regreen.model.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
    from regreen.model.config import ModelConfig, Yarn
    from regreen.model.decoder import Decoder, Output
    from regreen.model.moe import balance_loss
    from regreen.model.shapes import SHAPES

__all__ = [
    "SHAPES",
    "Borders",
    "Cache",
    "CheckpointError",
    "Decoder",
    "MissingBordersError",
    "ModelConfig",
    "Output",
    "Yarn",
    "balance_loss",
    "load_checkpoint",
    "save_checkpoint",
]

_HOMES = {
    "SHAPES": "shapes",
    "Borders": "borders",
    "Cache": "cache",
    "CheckpointError": "checkpoint",
    "Decoder": "decoder",
    "MissingBordersError": "borders",
    "ModelConfig": "config",
    "Output": "decoder",
    "Yarn": "config",
    "balance_loss": "moe",
    "load_checkpoint": "checkpoint",
    "save_checkpoint": "checkpoint",
}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"regreen.model.{_HOMES[name]}"), name)
