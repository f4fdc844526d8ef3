"""A finished group as one file, so that what was sampled is not lost with the trainer.

Arrays and what is said of them stand in one npz; it is written under another name and renamed, so a
file of the right name is whole.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regreen.core.errors import UsageError
from regreen.core.trajectory import ErrorRecord, Trajectory
from regreen.store.atomic import disk_error, replacing
from regreen.store.jsonl import encode_row
from regreen.train.trace import Group, Played, Trace

__all__ = ["GroupFolder"]

_SCHEMA, _VERSION = "regreen.group", 1
_ARRAYS = ("ids", "sampled", "logprobs", "penalties", "versions", "experts")


class GroupFolder:
    """The groups of a run that no checkpoint contains yet.

    Args:
        path: made at the first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, group: Group) -> None:
        """Keep a group.

        Raises:
            InfrastructureError: the disk is full.
        """
        arrays: dict[str, Any] = {}
        rows = [_row(at, played, arrays) for at, played in enumerate(group.rollouts)]
        head = {
            "schema_name": _SCHEMA, "schema_version": _VERSION, "problem": group.problem,
            "place": group.place, "purpose": group.purpose, "seconds": group.seconds,
            "rollouts": rows,
        }  # fmt: skip
        text = np.frombuffer(json.dumps(head).encode(), np.uint8)
        target = self._file(group.place)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with replacing(target) as file:
                np.savez(file, head=text, **arrays)
        except OSError as error:
            raise disk_error(error, target) from error

    def read(self, place: int) -> Group | None:
        """The group at a place of the plan; None where none was kept.

        Raises:
            UsageError: the file is damaged or of another version.
        """
        path = self._file(place)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as found:
                head = json.loads(found["head"].tobytes())
                if (head.pop("schema_name"), head.pop("schema_version")) != (_SCHEMA, _VERSION):
                    what = "this group was written by another version"
                    raise UsageError(what, where=str(path), mend="delete it; it is played again")
                rows = [_played(row, found) for row in head.pop("rollouts")]
                return Group(**head, rollouts=tuple(rows))
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            what = f"this group cannot be read: {error}"
            raise UsageError(what, where=str(path), mend="delete it; it is played again") from error

    def choose(self, step: int, places: Sequence[int]) -> None:
        """Note which groups a batch takes, so that it takes them again.

        Raises:
            InfrastructureError: the disk is full.
        """
        target = self._batch(step)
        try:
            with replacing(target) as file:
                file.write(json.dumps(list(places)).encode())
        except OSError as error:
            raise disk_error(error, target) from error

    def chosen(self, step: int) -> list[int] | None:
        """The groups that a batch took before; None where it was never put together."""
        path = self._batch(step)
        if not path.is_file():
            return None
        places: list[int] = json.loads(path.read_bytes())
        return places

    def forget(self, before: int, step: int = 0) -> None:
        """Remove what a checkpoint contains.

        Args:
            before: groups of earlier places.
            step: notes of earlier batches.
        """
        if self.path.is_dir():
            for path in self.path.glob("*.npz"):
                if path.stem.isdigit() and int(path.stem) < before:
                    path.unlink(missing_ok=True)
            for path in self.path.glob("batch-*.json"):
                if int(path.stem.removeprefix("batch-")) < step:
                    path.unlink(missing_ok=True)
            for path in self.path.glob(".*.tmp"):  # of a process that was killed
                path.unlink(missing_ok=True)

    def _batch(self, step: int) -> Path:
        return self.path / f"batch-{step:06}.json"

    def _file(self, place: int) -> Path:
        return self.path / f"{place:08}.npz"


def _row(at: int, played: Played, arrays: dict[str, Any]) -> dict[str, Any]:
    for number, trace in enumerate(played.traces):
        for name in _ARRAYS:
            value = getattr(trace, name)
            if value is not None:
                arrays[f"{at}.{number}.{name}"] = value
    return {
        "at": at,
        "rollout_id": played.rollout_id,
        "traces": len(played.traces),
        "reward": played.reward,
        "finished": played.finished,
        "resolved": played.resolved,
        "hacked": played.hacked,
        "turns": played.turns,
        "fault": None if played.fault is None else played.fault.model_dump(),
        "earlier": [fault.model_dump() for fault in played.earlier],
        "trajectory": _text(played.trajectory),
    }


def _played(row: dict[str, Any], arrays: Any) -> Played:
    at, count = row.pop("at"), row.pop("traces")
    fault, record = row.pop("fault"), row.pop("trajectory")
    earlier = [ErrorRecord.model_validate(one) for one in row.pop("earlier", ())]
    traces = []
    for number in range(count):
        names = [name for name in _ARRAYS if f"{at}.{number}.{name}" in arrays]
        traces.append(Trace(**{name: arrays[f"{at}.{number}.{name}"] for name in names}))
    return Played(
        **row,
        traces=tuple(traces),
        fault=None if fault is None else ErrorRecord.model_validate(fault),
        earlier=tuple(earlier),
        trajectory=None if record is None else Trajectory.model_validate(json.loads(record)),
    )


def _text(record: Trajectory | None) -> str | None:
    """A record as JSON; half a surrogate pair, such as a model may write, is an escape in it."""
    return None if record is None else encode_row(record.model_dump()).decode()
