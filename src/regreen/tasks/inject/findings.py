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
from regreen.store.job_log import JobLog
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
        self._log: JobLog | None = None
        if path is None:
            return
        head = {**_SCHEMA, **header}
        self._log = JobLog(path, header=head, resume=resume, name="findings")
        for where, row in self._log.rows():
            fields = {k: _frozen(v) for k, v in row.items() if k not in ("operators", "where")}
            try:
                key = fields.pop("identity")
                fields["twins"] = tuple(map(Twin.model_validate, fields.get("twins", ())))
                self._known[key] = Finding(**fields)
            except (KeyError, TypeError, ValidationError) as exc:
                msg = "this row is no finding"
                mend = "delete the row; its candidate is run again"
                raise UsageError(msg, where=where, mend=mend) from exc

    def get(self, identity: str) -> Finding | None:
        """The finding of a candidate, when it is known."""
        return self._known.get(identity)

    def add(self, candidate: Candidate, finding: Finding) -> None:
        """Remember a finding."""
        self._known[candidate.identity] = finding
        if self._log:
            row = {
                "identity": candidate.identity,
                "operators": candidate.operators,
                "where": candidate.where,
            }
            twins = [twin.model_dump() for twin in finding.twins]
            self._log.append({**row, **asdict(finding), "twins": twins})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._log:
            self._log.close()


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
