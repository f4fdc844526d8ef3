"""What was found about each candidate, kept as it comes so that nothing is run twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from regreen.core.errors import UsageError
from regreen.core.task import Twin
from regreen.store.jsonl import JsonlWriter, read_jsonl
from regreen.tasks.inject.candidate import Candidate, Finding

__all__ = ["Findings"]

_SCHEMA = {"schema_name": "regreen.findings", "schema_version": 1}


class Findings:
    """Findings by candidate identity, in memory and, when a path is given, in a file.

    Args:
        path: file to append to; None keeps nothing.
        header: what must be equal for old findings to be used again.
        resume: read what the file holds; otherwise it must not exist.

    Raises:
        UsageError: the file exists and ``resume`` is off, or it belongs to another job.
    """

    def __init__(self, path: Path | None, *, header: Mapping[str, Any], resume: bool) -> None:
        self._known: dict[str, Finding] = {}
        self._writer: JsonlWriter | None = None
        if path is None:
            return
        head = {**_SCHEMA, **header}
        if path.exists() and path.stat().st_size > 0 and not resume:
            msg = "findings of an earlier job are here"
            raise UsageError(msg, where=str(path), mend="add --resume, or remove the file")
        self._writer = JsonlWriter(path)  # cuts off a line that a kill left unfinished
        if path.stat().st_size:
            self._read(path, head)
        else:
            self._writer.append(head)

    def _read(self, path: Path, head: Mapping[str, Any]) -> None:
        rows = read_jsonl(path)
        _, first = next(rows, (0, {}))
        differing = sorted(key for key in {*head, *first} if first.get(key) != head.get(key))
        if differing:
            msg = f"these findings are of another job: {', '.join(differing)} differ"
            raise UsageError(msg, where=str(path), mend="use the same settings, or another --out")
        for number, row in rows:
            fields = {k: _frozen(v) for k, v in row.items() if k not in ("operators", "where")}
            try:
                key = fields.pop("identity")
                fields["twins"] = tuple(map(Twin.model_validate, fields.get("twins", ())))
                self._known[key] = Finding(**fields)
            except (KeyError, TypeError, ValidationError) as exc:
                msg = "this row is no finding"
                mend = "delete the row; its candidate is run again"
                raise UsageError(msg, where=f"{path}:{number}", mend=mend) from exc

    def get(self, identity: str) -> Finding | None:
        """The finding of a candidate, when it is known."""
        return self._known.get(identity)

    def add(self, candidate: Candidate, finding: Finding) -> None:
        """Remember a finding."""
        self._known[candidate.identity] = finding
        if self._writer:
            row = {
                "identity": candidate.identity,
                "operators": candidate.operators,
                "where": candidate.where,
            }
            twins = [twin.model_dump() for twin in finding.twins]
            self._writer.append({**row, **asdict(finding), "twins": twins})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer:
            self._writer.close()


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
