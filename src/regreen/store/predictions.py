"""Predictions as SWE-bench takes them: ``instance_id``, ``model_name_or_path``, ``model_patch``.

One prediction per task: where a run made several attempts, the caller chooses, because picking one
silently would change the score.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory
from regreen.store.atomic import disk_error, replacing
from regreen.store.jsonl import encode_row, read_jsonl
from regreen.store.rows import to_record

__all__ = ["Prediction", "read_predictions", "to_predictions", "write_predictions"]


def _text(value: Any) -> Any:  # JSON edge: other harnesses write null for no answer
    return "" if value is None else value


class Prediction(BaseModel):
    """One model's answer to one task (swebench 5.0)."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    instance_id: str
    """The task."""
    model_name_or_path: str = ""
    """Who answered; graders use it as a directory name. Ours can do without."""
    model_patch: Annotated[str, BeforeValidator(_text)]
    """The answer as a diff; empty when there is none."""


def to_predictions(trajectories: Iterable[Trajectory]) -> list[Prediction]:
    """One prediction per trajectory, named by its model, or by its agent when it has none."""
    return [
        Prediction(
            instance_id=trajectory.task,
            model_name_or_path=trajectory.model or trajectory.agent,
            model_patch=trajectory.patch,
        )
        for trajectory in trajectories
    ]


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Replace ``path``: JSON lines when it ends in ``.jsonl``, else one object keyed by task.

    Raises:
        UsageError: two predictions for one task.
    """
    rows = {item.instance_id: item.model_dump() for item in _once(predictions, str(path))}
    with replacing(path) as file:
        if path.suffix == ".jsonl":
            file.writelines(encode_row(row) for row in rows.values())
        else:
            file.write(json.dumps(rows, indent=2).encode() + b"\n")


def read_predictions(path: Path, *, several: bool = False) -> list[Prediction]:
    """Predictions from JSON lines, a JSON list, or a JSON object keyed by task.

    Args:
        path: the file.
        several: allow more than one answer to a task, as for a set of patches to be compared.

    Raises:
        UsageError: a row that is no prediction, or two for one task.
    """
    items = [to_record(Prediction, row, where) for where, row in _rows(path)]
    return items if several else list(_once(items, str(path)))


def _rows(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    if path.suffix == ".jsonl":
        return [(f"{path}:{number}", row) for number, row in read_jsonl(path)]
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise disk_error(error, path) from error
    except ValueError as error:
        what = f"this file is not JSON: {error}"
        mend = "name it .jsonl if it holds JSON lines"
        raise UsageError(what, where=str(path), mend=mend) from error
    found = list(document.values()) if isinstance(document, dict) else document
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        what = "this file holds no list of predictions"
        mend = "write one object per task, in a list or keyed by instance_id"
        raise UsageError(what, where=str(path), mend=mend)
    return [(f"{path}: prediction {number}", row) for number, row in enumerate(found, 1)]


def _once(predictions: Iterable[Prediction], where: str) -> Iterable[Prediction]:
    seen: set[str] = set()
    for prediction in predictions:
        if prediction.instance_id in seen:
            what = f"two predictions for {prediction.instance_id}"
            mend = "choose one attempt per task"
            raise UsageError(what, where=where, mend=mend)
        seen.add(prediction.instance_id)
        yield prediction
