"""Changes of small real git repositories, one in Python and one in Perl."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regreen.tasks.build.repaired import repaired_tree
from regreen.tasks.builder.states import ChangeStates
from regreen.tasks.repo.sources import resolve

sys.path.insert(0, str(Path(__file__).parent))
PRICES = '''\
"""Prices."""


def total(prices, discount=0):
    """The sum of all prices.

    A discount is a share between 0 and 1.
    """
    # the discount is taken once
    amount = sum(prices)
    return amount
'''
MENDED = PRICES.replace("    return amount\n", "    return amount * (1 - discount)\n")
OLD_TESTS = "import prices\n\n\ndef test_sum():\n    assert prices.total([1, 2]) == 3\n"
NEW_TESTS = (
    OLD_TESTS + "\n\ndef test_discount():\n    assert prices.total([10, 10], discount=0.5) == 10\n"
)
PERL = """\
package Words;
use strict;
use warnings;

sub count {
    my ($text) = @_;
    my @words = split / /, $text;
    return scalar @words;
}

1;
"""
PERL_MENDED = PERL.replace("split / /, $text", "grep { length } split /\\s+/, $text")


def make_change(
    root: Path, before: Mapping[str, str], after: Mapping[str, str], *, tests: tuple[str, ...]
) -> tuple[str, str, str]:
    """Two commits; returns the first one's id, the gold patch and the test patch."""
    root.mkdir(parents=True)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.autocrlf=0"]

    def run(*words: str) -> str:
        done = subprocess.run([*git, *words], cwd=root, check=True, capture_output=True, text=True)
        return done.stdout

    run("init", "-q")
    for files in (before, after):
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        run("add", "-A")
        run("commit", "-q", "-m", "A change")
    base = run("rev-parse", "HEAD~1").strip()
    excluded = [f":(exclude){name}" for name in tests]
    gold = run("diff", "HEAD~1", "HEAD", "--", ".", *excluded)
    return base, gold, run("diff", "HEAD~1", "HEAD", "--", *tests) if tests else ""


def states_of(
    workroom: Any,
    root: Path,
    before: Mapping[str, str],
    after: Mapping[str, str],
    *,
    tests: tuple[str, ...] = (),
    **more: Any,
) -> ChangeStates:
    base, gold, test_patch = make_change(root, before, after, tests=tests)
    checkout = resolve(str(root), store=workroom.store, commit=base)
    states = ChangeStates(
        instance_id=f"{root.name}-1",
        repo=f"me/{root.name}",
        source=str(root),
        commit=base,
        statement="What is asked for does not happen.",
        patch=gold,
        test_patch=test_patch,
        base=checkout.tree,
        healthy=repaired_tree(checkout.tree, gold, test_patch, store=workroom.store),
        env=workroom.built.env,
    )
    return replace(states, **more)


@pytest.fixture(scope="session")
def prices(workroom: Any, tmp_path_factory: pytest.TempPathFactory) -> ChangeStates:
    """A Python change with tests."""
    return states_of(
        workroom,
        tmp_path_factory.mktemp("change") / "prices",
        {"prices.py": PRICES, "tests/test_prices.py": OLD_TESTS, "README.md": "Prices.\n"},
        {
            "prices.py": MENDED,
            "tests/test_prices.py": NEW_TESTS,
            "currency.py": "NAME = 'euro in full'\n",
        },
        tests=("tests/test_prices.py",),
    )


@pytest.fixture(scope="session")
def words(workroom: Any, tmp_path_factory: pytest.TempPathFactory) -> ChangeStates:
    """A Perl change without tests."""
    return states_of(
        workroom,
        tmp_path_factory.mktemp("change") / "words",
        {"lib/Words.pm": PERL, "README": "Words.\n"},
        {"lib/Words.pm": PERL_MENDED},
        language="perl",
        env=None,
    )


@pytest.fixture(scope="session")
def make_states(workroom: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    def make(name: str, before: Mapping[str, str], after: Mapping[str, str], **more: Any) -> Any:
        root = tmp_path_factory.mktemp("change") / name
        return states_of(workroom, root, before, after, **more)

    return make
