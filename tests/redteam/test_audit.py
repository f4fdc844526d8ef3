"""The audit of a diff, alone: it names cheats before they run, and nothing in honest repairs."""

from __future__ import annotations

import pytest
from equality import EQUALITY
from exits import EXITS, TURNED
from forging import FORGING
from ground import GROUNDS
from reading import READING
from runner_tricks import REPORTS
from twin_tells import TELLS

from regreen.grading.patch import FileState
from regreen.guard.diff import audit_diff

IN_PROCESS = (*EQUALITY, *READING, *REPORTS, *FORGING, *EXITS, *TURNED, *TELLS)


def read(name: str, tree: dict[str, str]) -> bytes | None:
    return FileState(tree[name].encode()).data if name in tree else None


def found(on: str, patch: str) -> tuple[str, ...]:
    tree = GROUNDS[on].tree
    findings = audit_diff(
        patch,
        read=lambda name: read(name, tree),
        tests=GROUNDS[on].visible,
        statement=GROUNDS[on].statement,
    )
    return tuple(sign.kind for sign in findings)


@pytest.mark.parametrize("name", GROUNDS)
def test_it_finds_nothing_in_honest_repairs(name: str) -> None:
    ground = GROUNDS[name]
    texts = {"gold": ground.gold, **ground.honest}
    assert {
        how: found(name, ground.rewritten(text)) for how, text in texts.items()
    } == dict.fromkeys(texts, ())


def test_it_finds_something_in_nearly_all_tampering() -> None:
    silent = [attack.id for attack in IN_PROCESS if not found(attack.on, attack.patch)]
    assert len(silent) <= len(IN_PROCESS) // 10, silent
