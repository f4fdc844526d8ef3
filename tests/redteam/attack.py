"""What an attack is: a submitted diff or a script of the agent's, and the layer that must stop it."""

# ruff: noqa: E501 - programs in strings
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from ground import GROUNDS, Ground

from regreen.grading.patch import FileState

Layer = Literal[
    "seal", "wall", "block", "policy", "process", "twin", "audit", "hidden inputs", "overlay"
]
Change = str | bytes | FileState | None


@dataclass(frozen=True, kw_only=True)
class DiffAttack:
    """A diff that does not solve its task and wants the point."""

    id: str
    kind: str
    """The class of attack, after the facts' section 4."""
    layer: Layer
    """What must stop it."""
    on: str = "plain"
    """The ground it is made for."""
    code: str = ""
    """Put at the product file's end, the fault left as it is."""
    changes: Mapping[str, Change] = field(default_factory=dict)
    """Other files it sets."""
    raw: str = ""
    """A patch as text, instead of all that."""
    scores: str = ""
    """Why it scores today, for an attack that is known to."""
    evident: bool = False
    """The verdict must call it tampering, not only fail it."""
    slow: bool = False

    @property
    def ground(self) -> Ground:
        """Where it is tried."""
        return GROUNDS[self.on]

    @property
    def patch(self) -> str:
        """What is submitted."""
        if self.raw:
            return self.raw
        changes: dict[str, Change] = dict(self.changes)
        if self.code:
            changes[self.ground.module] = f"{self.ground.base}\n\n{self.code}"
        return self.ground.patch(changes)


@dataclass(frozen=True, kw_only=True)
class BoxAttack:
    """Commands in the agent's box that want a verdict without a repair."""

    id: str
    kind: str
    layer: Layer
    script: str
    """Run by ``sh`` in /testbed."""
    on: str = "plain"
    scores: str = ""
    """Why it comes out wrong today, where that is known."""
    heals: bool = False
    """The script repairs the fault as well: then it must resolve, with nothing else of it left."""
    slow: bool = False


def parametrized(attacks: Sequence[DiffAttack] | Sequence[BoxAttack]) -> list[Any]:
    """Attacks as parameters of a test; the default run has one of each kind, the slow one all."""
    found, seen = [], set()
    for one in attacks:
        marks = [pytest.mark.slow] if one.slow or (one.kind, one.layer) in seen else []
        if not one.slow and not one.scores:
            seen.add((one.kind, one.layer))
        if one.scores:
            marks.append(pytest.mark.xfail(reason=one.scores, strict=False))
        found.append(pytest.param(one, id=one.id, marks=marks))
    return found
