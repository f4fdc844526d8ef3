"""Checkpoints from which a run goes on as if nothing had happened.

A checkpoint is a folder `step-000100`: the model in the Hugging Face layout, which engines and
other tools read; the optimiser by `torch.distributed.checkpoint`, one format for one process and
many, so that a run may go on with another number of ranks; and `state.json`, in which the loop
keeps what it needs to draw the same next batch. It is written under another name, synchronised, and
renamed as the last act: a folder with the right name is whole, any other is left from a run that
was ended.
"""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from regreen.core.errors import UsageError
from regreen.model import Decoder
from regreen.train.compute.optim import Optimiser
from regreen.train.compute.parallel import World, joined, reshard
from regreen.train.weights.folders import (
    WRITING,
    clear,
    first_line,
    publish,
    remove,
    save_model,
    synchronise,
    together,
    undo,
)
from regreen.train.weights.sender import fill

__all__ = ["Checkpoints"]

_WHOLE = re.compile(r"step-(\d{6,})")
_OPTIMISER, _STATE = "optimiser", "state.json"


class _State(BaseModel):
    """The content of `state.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: str = "regreen.checkpoint"
    """What the file is."""
    version: int = 1
    """Its form; a reader refuses another."""
    step: int
    """Updates of the run that had been made."""
    ranks: int
    """Processes that wrote it."""
    step_number: int
    """Updates that the optimiser had applied."""
    refused: int
    """Updates that it had refused."""
    rng: list[dict[str, str]]
    """State of torch's generators of each rank, by device, in base64."""
    extra: dict[str, Any]
    """What the loop gave."""


class Checkpoints:
    """The checkpoints of one run.

    In a run of several ranks each of them calls every method, in the same order.

    Args:
        folder: where they lie; made at the first save.
        keep: how many of the newest stay.
        beside: files that stand in every checkpoint, by name, the vocabulary for example.
    """

    def __init__(
        self, folder: Path, keep: int = 2, *, beside: Mapping[str, bytes] | None = None
    ) -> None:
        if keep < 1:
            msg = f"cannot keep {keep} checkpoints"
            raise UsageError(msg, where="keep", mend="keep at least one")
        self.folder = folder
        self.keep = keep
        self._beside = dict(beside or {})

    def save(
        self, step: int, model: Decoder, optimiser: Optimiser, extra: Mapping[str, Any]
    ) -> Path:
        """Write a checkpoint, then remove the oldest beyond `keep`.

        Args:
            step: updates that were made; names the folder. One of the same step is replaced.
            model: whole or cut over ranks.
            optimiser: of this model.
            extra: what the loop needs to go on, as JSON; the first rank's is kept.

        Returns:
            The folder.

        Raises:
            InfrastructureError: the disk is full or failing; older checkpoints are untouched.
            UsageError: the folder cannot be written, or `extra` is not JSON.
        """
        here = joined()
        reshard(model)
        final = self.folder / f"step-{step:06}"
        writing = self.folder / f"{WRITING}{final.name}"
        rng = here.gather(_rng())
        with together(here, writing):
            if here.first:
                clear(self.folder)
                writing.mkdir(parents=True)
        save_model(model, writing, here)
        state = optimiser.state_dict()
        with together(here, writing):
            _save_tensors(state["moments"], writing / _OPTIMISER, here)
        with together(here, writing):
            if here.first:
                counters = {name: state[name] for name in ("step_number", "refused")}
                kept = _State(step=step, ranks=here.size, rng=rng, extra=dict(extra), **counters)
                for name, content in self._beside.items():
                    (writing / name).write_bytes(content)
                (writing / _STATE).write_text(_json(kept), encoding="utf-8")
                synchronise(writing)
                publish(writing, final)
                remove(self._whole()[: -self.keep])
        return final

    def latest(self) -> Path | None:
        """The newest whole checkpoint; None where there is none."""
        here = joined()
        if here.first:
            undo(self.folder)
        found = self._whole() if here.first else []
        return here.broadcast(found[-1] if found else None)

    def load(self, path: Path, model: Decoder, optimiser: Optimiser) -> dict[str, Any]:
        """Put model, optimiser and torch's random numbers where a checkpoint left them.

        Args:
            path: one of this or another folder.
            model: of the same shape; it may be cut over another number of ranks.
            optimiser: of this model.

        Returns:
            What was given as `extra`.

        Raises:
            UsageError: no whole checkpoint, or one of another model.
        """
        here = joined()
        state = _read_state(path)
        with together(here, path):
            fill(model, path)
        known = optimiser.state_dict()
        try:
            _load_tensors(known["moments"], path / _OPTIMISER, here)
        except (OSError, RuntimeError) as error:
            msg = f"the optimiser's state cannot be read: {first_line(error)}"
            raise UsageError(msg, where=str(path), mend="resume from another one") from error
        counters = {"step_number": state.step_number, "refused": state.refused}
        optimiser.load_state_dict({**known, **counters})
        if here.rank < len(state.rng):
            _set_rng(state.rng[here.rank])
        return state.extra

    def _whole(self) -> list[Path]:
        """Whole checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        found = [p for p in self.folder.iterdir() if _WHOLE.fullmatch(p.name)]
        whole = [path for path in found if (path / _STATE).is_file()]
        return sorted(whole, key=lambda path: int(path.name.removeprefix("step-")))


def _save_tensors(tensors: dict[str, Any], folder: Path, here: World) -> None:
    from torch.distributed.checkpoint.state_dict_saver import save

    with _in_concert():
        save(tensors, checkpoint_id=folder, no_dist=here.size == 1)


def _load_tensors(tensors: dict[str, Any], folder: Path, here: World) -> None:
    """Overwrite the tensors."""
    from torch.distributed.checkpoint.state_dict_loader import load

    with _in_concert():
        load(tensors, checkpoint_id=folder, no_dist=here.size == 1)


@contextmanager
def _in_concert() -> Iterator[None]:
    """Raise what went wrong on a rank; without a warning that there is but one.

    Torch wraps errors in an exception that no `except Exception` catches.
    """
    from torch.distributed.checkpoint.api import CheckpointException

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        try:
            yield
        except CheckpointException as error:
            cause: BaseException = next(iter(error.failures.values()))[0]
            while cause.__context__ is not None and not isinstance(cause, OSError):
                cause = cause.__context__
            if isinstance(cause, OSError):
                raise cause from error
            raise RuntimeError(first_line(cause)) from error


def _json(state: _State) -> str:
    try:
        return json.dumps(state.model_dump(), indent=1) + "\n"
    except (TypeError, ValueError) as error:
        msg = f"what a checkpoint is to remember is not JSON: {error}"
        raise UsageError(msg, where="extra", mend="give plain numbers, texts and lists") from error


def _read_state(path: Path) -> _State:
    try:
        state = _State.model_validate_json((path / _STATE).read_bytes())
    except OSError as error:
        msg = "this is no whole checkpoint: state.json cannot be read"
        raise UsageError(msg, where=str(path), mend="name a folder step-…") from error
    except ValidationError as error:
        msg = f"state.json is not understood: {error.errors()[0]['msg']}"
        raise UsageError(msg, where=str(path), mend="use the version that wrote it") from error
    if (state.schema_name, state.version) != ("regreen.checkpoint", 1):
        msg = f"state.json is {state.schema_name} version {state.version}, not one this reads"
        raise UsageError(msg, where=str(path), mend="use the version that wrote it")
    return state


def _rng() -> dict[str, str]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return {
        name: base64.b64encode(state.numpy().tobytes()).decode() for name, state in states.items()
    }


def _set_rng(states: Mapping[str, str]) -> None:
    setters: dict[str, Callable[[torch.Tensor], None]] = {"cpu": torch.set_rng_state}
    if torch.cuda.is_available():
        setters["cuda"] = torch.cuda.set_rng_state
    for name, setter in setters.items():
        if name in states:
            raw = bytearray(base64.b64decode(states[name]))
            setter(torch.frombuffer(raw, dtype=torch.uint8))
