"""Scripts refused for their text, and honest ones that are not."""

from __future__ import annotations

import pytest
from builder_scripts import CHEATS, HIDDEN, HONEST

from regreen.sandbox.overlay import merged_tree
from regreen.tasks.builder.findings import KINDS, REASONS
from regreen.tasks.builder.reading import read_script
from regreen.tasks.builder.states import ChangeStates


def kinds(script: str, states: ChangeStates) -> tuple[str, ...]:
    tree = frozenset(merged_tree((states.base.path,))) | frozenset(states.resolved)
    return tuple(found.kind for found in read_script(script, states, tree=tree))


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_named(name: str, prices: ChangeStates) -> None:
    kind, script = CHEATS[name]
    assert kind in kinds(script, prices)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_script_passes(name: str, prices: ChangeStates) -> None:
    assert kinds(HONEST[name], prices) == ()


def test_what_is_hidden_from_a_reader_is_left_to_the_runs(prices: ChangeStates) -> None:
    assert {name: kinds(script, prices) for name, (_, script) in HIDDEN.items()} == dict.fromkeys(
        HIDDEN, ()
    )


def test_other_uses_of_the_same_programs_are_fine(prices: ChangeStates) -> None:
    fine = (
        "git init -q /tmp/r && cd /tmp/r && git status && python /testbed/prices.py | grep x",
        "cat prices.py | python -",
        "cp prices.py /tmp/p.py && python /tmp/p.py > /tmp/o && grep -q 3 /tmp/o",
        "python prices.py < README.md | sort | uniq -c | diff - /tmp/expected",
        "[ -d node_modules ] || exit 4; node prices.js | jq .total",
        "find tests -name 'test_*.py' -print0 | xargs -0 python -m pytest -q",
        "ls > /dev/null; python -c 'print(1)' | grep -q 1",
        "echo 1 > /tmp/marker; python prices.py; [ -f /tmp/marker ]",
    )
    assert {script: kinds(script, prices) for script in fine} == dict.fromkeys(fine, ())


def test_a_line_that_the_tests_hold_too_is_nobodys_secret(make_states) -> None:
    line = "VALUE = compute_the_value(7, 'seven')"
    states = make_states(
        "line",
        {"a.py": "x = 1\n"},
        {"a.py": f"x = 1\n{line}\n", "test_a.py": f"{line}\n"},
        tests=("test_a.py",),
    )
    assert "holds_gold" not in kinds(f'python -c "{line}"', states)


def test_every_kind_has_its_sentence() -> None:
    assert set(REASONS) == set(KINDS)
