"""The facts of a run that stand at the head of its reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from regreen.store.run import RunDirectory

__all__ = ["RunFacts"]


@dataclass(frozen=True)
class RunFacts:
    """What a reader must know to judge the numbers."""

    name: str
    """Name of the run; by default its directory's."""
    config: dict[str, Any] = field(default_factory=dict)
    """The resolved configuration."""
    lock: dict[str, Any] = field(default_factory=dict)
    """Versions, taskset digest, configuration digest, seeds."""

    @classmethod
    def of(cls, run: RunDirectory) -> RunFacts:
        """The facts of a run on disk."""
        return cls(run.path.resolve().name, run.config, run.lock)

    def rows(self) -> list[tuple[str, str]]:
        """Dotted key and value of everything, the lock first."""
        return [
            (key, value if isinstance(value, str) else repr(value))
            for source in (self.lock, self.config)
            for key, value in _leaves(source, "")
            if key not in ("schema_name", "schema_version")
        ]


def _leaves(values: dict[str, Any], path: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        nested = isinstance(value, dict) and value
        found += _leaves(value, f"{path}{key}.") if nested else [(path + key, value)]
    return found
