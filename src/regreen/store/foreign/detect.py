"""Which program wrote a file, by its content, and its trajectories.

A file that none of the readers knows is refused with the list of those there are: an audit that
passes over what it cannot read would call it honest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory
from regreen.store.atif import from_atif
from regreen.store.atomic import disk_error
from regreen.store.foreign.mini_swe_agent import from_mini, is_mini
from regreen.store.foreign.open_hands import from_open_hands, is_open_hands
from regreen.store.foreign.swe_agent import from_swe_agent, is_swe_agent
from regreen.store.rows import to_record
from regreen.store.run import RunDirectory
from regreen.store.trajectory_sets import read_trajectories

__all__ = ["FORMATS", "read_document", "read_foreign", "trajectory_places"]

Reader = Callable[[Mapping[str, Any], str, str], Trajectory]


def _is_atif(document: Mapping[str, Any]) -> bool:
    version = str(document.get("schema_version", ""))
    return version.upper().startswith("ATIF") and "steps" in document


def _is_ours(document: Mapping[str, Any]) -> bool:
    return document.get("schema_name") == "regreen.trajectory" or "rollout_id" in document


FORMATS: dict[str, tuple[Callable[[Mapping[str, Any]], bool], Reader]] = {
    "regreen": (_is_ours, lambda row, name, where: to_record(Trajectory, row, where)),
    "ATIF": (_is_atif, lambda row, name, where: from_atif(row, where)),
    "mini-swe-agent": (is_mini, from_mini),
    "SWE-agent": (is_swe_agent, from_swe_agent),
    "OpenHands": (is_open_hands, from_open_hands),
}
"""Name to ``(is it this, read it)``, asked in this order."""
_SUFFIXES = (".traj", ".json", ".jsonl", ".parquet")
_NO_TRAJECTORY = {"lock.json", "preds.json", "report.json", "results.json", "metadata.json"}


def read_document(document: Any, name: str, where: str) -> Trajectory:
    """The trajectory in one JSON document of any known kind.

    Args:
        document: what the file holds.
        name: the instance, for formats that do not say.
        where: what errors call the file.

    Raises:
        UsageError: no reader knows it, or one does and the document does not follow its format.
    """
    if isinstance(document, list) and document:
        document = {"events": document}
    if isinstance(document, Mapping):
        for kind, (is_it, read) in FORMATS.items():
            if not is_it(document):
                continue
            try:
                return read(document, name, where)
            except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
                what = f"this {kind} file does not follow its format: {_told(error)}"
                mend = "restore the file, or export it again"
                raise UsageError(what, where=where, mend=mend) from error
    what = "this is no trajectory that regreen knows"
    mend = f"give a run directory, or a file of {', '.join(FORMATS)}"
    raise UsageError(what, where=where, mend=mend)


def read_foreign(path: Path) -> Iterator[Trajectory]:
    """All trajectories at a path: a run, a file of a known kind, or a directory of such.

    Raises:
        UsageError: nothing is there, a file cannot be read, or no reader knows it.
    """
    for place in trajectory_places(path):
        if place.is_dir():
            with RunDirectory.open(place) as run:
                yield from run.trajectories()
        else:
            yield from _file(place)


def trajectory_places(path: Path) -> list[Path]:
    """The run or the files that a path stands for.

    Raises:
        UsageError: a directory holds none.
    """
    if not path.is_dir() or (path / "lock.json").exists():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix in _SUFFIXES and file.is_file() and file.name not in _NO_TRAJECTORY
    )
    if not found:
        what = "this directory holds no trajectories"
        mend = f"name one with files that end in {', '.join(_SUFFIXES)}"
        raise UsageError(what, where=str(path), mend=mend)
    return found


def _file(path: Path) -> Iterator[Trajectory]:
    if path.suffix == ".parquet":
        yield from read_trajectories(path)
        return
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise disk_error(error, path) from error
    except UnicodeDecodeError as error:
        what = f"this is not UTF-8 text (byte {error.start})"
        raise UsageError(what, where=str(path), mend="name a trajectory's JSON file") from error
    if path.suffix != ".jsonl":
        name = path.name.removesuffix(path.suffix).removesuffix(".traj")
        yield read_document(_json(text, str(path)), name, str(path))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}:{number}"
            yield read_document(_json(line, where), f"{path.stem}-{number}", where)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        what = f"this is not JSON: {error}"
        raise UsageError(what, where=where, mend="restore or export the file again") from error


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
