"""CPU seconds of changes that are worked on at once in one process.

Only the process and the children that it has seen end can be measured, so what is spent while
several changes are under way is shared among them evenly: exact for one, and right in sum.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Meter", "cpu_seconds"]


def cpu_seconds() -> float:
    """Of this process and of every one it has started and seen end."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


@dataclass(slots=True)
class Meter:
    """Shares out what is spent.

    Args:
        read: CPU seconds so far.
    """

    read: Callable[[], float] = cpu_seconds
    _shares: dict[str, float] = field(default_factory=dict)
    _last: float = 0.0

    def begin(self, name: str) -> None:
        """Work on a change begins."""
        self._share()
        self._shares[name] = 0.0

    def end(self, name: str) -> float:
        """Work on a change has ended; its CPU seconds."""
        self._share()
        return self._shares.pop(name)

    def _share(self) -> None:
        now = self.read()
        for name in self._shares:
            self._shares[name] += (now - self._last) / len(self._shares)
        self._last = now
