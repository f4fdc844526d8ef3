"""Counts of what became of candidates, as a funnel for people."""

from __future__ import annotations

from collections import Counter

from regreen.core.funnel import Funnel, OperatorRow
from regreen.tasks.inject.candidate import Candidate, Finding

__all__ = ["Tally"]


class Tally:
    """Counts findings; combinations are a row of their own."""

    def __init__(self) -> None:
        self.examined = 0
        self.verified = 0
        self._status: Counter[str] = Counter()
        self._rows: dict[str, Counter[str]] = {}
        self._cpu: Counter[str] = Counter()

    def add(self, candidate: Candidate, finding: Finding) -> None:
        """Count one finding."""
        self.examined += 1
        self.verified += finding.status == "verified"
        self._status[finding.status] += 1
        single = len(candidate.operators) == 1
        operator = candidate.operators[0].partition(":")[0] if single else "(combined)"
        row = self._rows.setdefault(operator, Counter())
        row["candidates"] += 1
        row["screened"] += finding.status not in ("survived", "import_break", "hang", "crash")
        row["verified"] += finding.status == "verified"
        self._cpu[operator] += finding.cpu  # type: ignore[assignment]

    def refuse(self, operator: str, reason: str) -> None:
        """Count a candidate that was never made, for example an answer that cannot be used."""
        self.examined += 1
        self._status[reason] += 1
        self._rows.setdefault(operator, Counter())["candidates"] += 1

    def funnel(self, name: str, *, tasks: int, cpu: float) -> Funnel:
        """The funnel so far.

        Args:
            name: the source.
            tasks: tasks kept; verified candidates beyond the limit are not.
            cpu: CPU seconds of the whole job, environment excluded.
        """
        screened = sum(row["screened"] for row in self._rows.values())
        rejected = {k: v for k, v in sorted(self._status.items()) if k != "verified"}
        if self.verified > tasks:
            rejected["over_limit"] = self.verified - tasks
        return Funnel(
            name=name,
            steps=(
                ("candidates", self.examined),
                ("screened", screened),
                ("verified", self.verified),
                ("tasks", tasks),
            ),
            rejected=rejected,
            by_operator=tuple(
                OperatorRow(
                    operator=operator,
                    candidates=row["candidates"],
                    screened=row["screened"],
                    verified=row["verified"],
                    seconds=round(float(self._cpu[operator]), 3),
                )
                for operator, row in sorted(self._rows.items())
            ),
            cpu_seconds=round(cpu, 3),
            cpu_seconds_per_candidate=round(cpu / self.examined, 4) if self.examined else 0.0,
        )
