"""Scripts on trial in boxes: what they do where text and behaviour come apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from builder_scripts import HIDDEN, HONEST, PYTEST

from regreen.sandbox.base import SandboxProvider
from regreen.tasks.builder.check import Bench, check
from regreen.tasks.builder.findings import Attempt
from regreen.tasks.builder.settings import BuilderSettings
from regreen.tasks.builder.states import ChangeStates

QUICK = BuilderSettings(script_seconds=20, repeats=2)


@pytest.fixture(scope="module")
def tried(workroom: Any, with_boxes: Callable[..., Any]) -> Callable[..., dict[str, Attempt]]:
    def run(
        states: ChangeStates, scripts: dict[str, str], settings: BuilderSettings = QUICK
    ) -> dict[str, Attempt]:
        async def work(boxes: SandboxProvider) -> dict[str, Attempt]:
            bench = Bench(
                states=states,
                env=states.env or workroom.built.env,
                build=None,
                provider=boxes,
                store=workroom.store,
                settings=settings,
            )
            done = await asyncio.gather(*(check(script, bench) for script in scripts.values()))
            return dict(zip(scripts, done, strict=True))

        result: dict[str, Attempt] = with_boxes(work)
        return result

    return run


def kinds(attempts: dict[str, Attempt]) -> dict[str, set[str]]:
    return {name: {one.kind for one in each.findings} for name, each in attempts.items()}


def test_what_a_reader_misses_shows_when_it_runs(prices: ChangeStates, tried: Any) -> None:
    found = kinds(tried(prices, {name: script for name, (_, script) in HIDDEN.items()}))
    assert {name for name, (kind, _) in HIDDEN.items() if kind not in found[name]} == set(), found


def test_an_honest_script_is_accepted(prices: ChangeStates, tried: Any) -> None:
    attempts = tried(prices, {"own program": HONEST["own program"]})
    assert kinds(attempts) == {"own program": set()}
    trials = attempts["own program"].trials
    assert [trial.name for trial in trials] == [
        *("resolved", "bug", "decoy", "no_tests", "early_exit", "sealed", "resolved", "bug"),
    ]
    assert all(trial.right for trial in trials)
    assert "AssertionError" in trials[1].run.tail or "TypeError" in trials[1].run.tail


def test_an_unsteady_script_is_refused(prices: ChangeStates, tried: Any) -> None:
    moody = HONEST["own program"] + '[ "$PYTHONHASHSEED" = 0 ]\n'
    assert kinds(tried(prices, {"moody": moody})) == {"moody": {"unsteady"}}


@pytest.mark.slow
def test_every_honest_script_is_accepted_and_a_hang_is_a_failure(
    prices: ChangeStates, tried: Any
) -> None:
    hangs = PYTEST.rstrip() + " || sleep 60\n"
    attempts = tried(prices, HONEST | {"hangs": hangs}, BuilderSettings(script_seconds=8))
    assert kinds(attempts) == {name: set() for name in (*HONEST, "hangs")}
    assert attempts["hangs"].trials[1].run.timed_out
    assert "2 passed" in attempts["pytest"].trials[0].run.tail


PERL_CHECK = """\
cat > /tmp/check.pl <<'EOF'
use strict; use warnings;
use lib 'lib';
use Words;
my $found = Words::count("one  two");
die "counted $found\\n" unless $found == 2;
print "every check has run\\n";
EOF
perl /tmp/check.pl | grep -qx 'every check has run'
"""


def test_other_languages_are_judged_by_the_same_contract(words: ChangeStates, tried: Any) -> None:
    careless = PERL_CHECK.replace("| grep -qx 'every check has run'", "")
    matcher = "ls lib/*.pm | xargs grep -q 'grep { length }'\n"
    absence = "cd lib; ! ls | xargs grep -q 'split / /'\n"
    attempts = tried(
        words,
        {"honest": PERL_CHECK, "careless": careless, "matcher": matcher, "absence": absence},
    )
    assert kinds(attempts) == {
        "honest": set(),
        "careless": {"passes_early_exit"},
        "matcher": {"follows_text"},
        "absence": {"needs_text"},
    }
