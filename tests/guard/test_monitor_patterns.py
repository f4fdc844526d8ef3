"""Every shipped pattern finds its examples and passes every honest example of every other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regreen.core.errors import UsageError
from regreen.guard.monitor import audit, broken_examples, load_patterns, shipped_patterns
from regreen.guard.monitor.example import rollout_of
from regreen.guard.monitor.pattern import Example
from regreen.guard.monitor.reference import reference_page

PATTERNS = shipped_patterns()
HAND_MADE = {"tamper"}
"""Kinds of evidence whose own tests stand elsewhere."""


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.id)
def test_a_pattern_does_what_its_examples_say(pattern):
    assert broken_examples(pattern) == []
    kinds = {kind for clause in pattern.any for kind in clause.where}
    assert pattern.match or kinds <= HAND_MADE
    assert pattern.reason.endswith(".")


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.id)
def test_what_is_honest_for_one_pattern_is_honest_for_all(pattern):
    for steps in pattern.no_match:
        trajectory, task = rollout_of(steps, pattern.repo)
        assert audit(trajectory, task=task, patterns=PATTERNS) == (), steps


def test_a_confirmed_pattern_leads_to_more_than_a_label():
    assert all(p.intervention != "label" and p.risk == "high" for p in PATTERNS if p.confirmed)
    assert all(p.amount > 0 for p in PATTERNS if p.intervention == "penalise")


def test_a_pattern_of_ones_own_is_a_file(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(
        "[[pattern]]\n"
        'id = "mine.cargo-cult"\nfamily = "mine"\ntitle = "sings"\nreason = "We do not sing."\n'
        'risk = "low"\n'
        "any = [ { where = 'words', match = '(?i)la la' } ]\n"
        "match = [ { words = 'La la la' } ]\nno_match = [ { words = 'last' } ]\n"
    )
    (mine,) = load_patterns(path)

    assert broken_examples(mine) == []
    assert mine in shipped_patterns([mine])
    trajectory, task = rollout_of([Example(words="first la la then")], "a/b")
    (incident,) = audit(trajectory, task=task, patterns=[mine])
    assert (incident.rule, incident.turn, incident.confirmed) == ("mine.cargo-cult", 0, False)
    assert incident.span == (6, 11)


def test_one_with_a_shipped_id_replaces_it():
    changed = PATTERNS[0].model_copy(update={"confirmed": False, "intervention": "label"})

    assert len(shipped_patterns([changed])) == len(PATTERNS)
    assert changed in shipped_patterns([changed])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[[pattern]]\nid = 'x'\n", "family"),
        ("[[pattern]]\nid = 'X Y'\n", "id"),
        ("pattern = 3\n", "array of tables"),
        ("[[pattern]\n", "cannot be read"),
        ("[[patern]]\nid='a'\n", "array of tables"),
        (
            "[[pattern]]\nid='a'\nfamily='f'\ntitle='t'\nreason='r'\nrisk='low'\n"
            "any=[{where='wrods'}]\n",
            "where",
        ),
        (
            "[[pattern]]\nid='a'\nfamily='f'\ntitle='t'\nreason='r'\nrisk='low'\n"
            "any=[{where='words',match='('}]\n",
            "regular expression",
        ),
    ],
)
def test_a_file_that_is_not_well_formed_is_refused_in_three_lines(tmp_path, text, word):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=word) as caught:
        load_patterns(path)
    assert len(caught.value.lines()) == 3


def test_an_example_that_does_not_hold_is_told():
    wrong = PATTERNS[0].model_copy(update={"match": ((Example(words="hello"),),)})

    assert "is not found" in broken_examples(wrong)[0]


def test_the_reference_page_is_current():
    page = reference_page(PATTERNS)
    path = Path(__file__).parents[2] / "docs" / "reference" / "monitor-patterns.md"
    if os.environ.get("REGREEN_WRITE_GOLDEN"):
        path.write_text(page)

    assert path.read_text() == page, "if meant, REGREEN_WRITE_GOLDEN=1 make test"
    assert all(f"`{pattern.id}`" in page for pattern in PATTERNS)
    assert "| `where` | Kinds of event. |" in page


def test_the_pattern_on_the_reference_page_works(tmp_path):
    page = reference_page(())
    path = tmp_path / "mine.toml"
    path.write_text(page.split("```toml\n")[1].split("```")[0])

    assert [broken_examples(pattern) for pattern in load_patterns(path)] == [[]]
