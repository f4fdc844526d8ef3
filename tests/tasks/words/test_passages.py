"""Texts come apart into prose and code and together again; units and sentences are found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.tasks.words.passages import join, map_units, passages, sentences, tidy

PROSE = ("", "Some words.", "- item", "    indented()", "# Title", ">>> f(1)")
FENCES = ("```python", "```", "~~~")
FRAMES = ("Traceback (most recent call last):", '  File "a.py", line 1, in f', "ValueError: no")
LINES = st.sampled_from((*PROSE, *FENCES, *FRAMES))


def kinds(text: str) -> list[tuple[bool, tuple[str, ...]]]:
    return [(part.code, part.lines) for part in passages(text)]


@given(st.lists(LINES, max_size=12))
def test_no_line_is_lost_or_added_but_the_end_of_a_fence(lines: list[str]) -> None:
    text = "\n".join(lines)
    again = join(passages(text))
    assert again.replace("```", "").replace("~~~", "").split() == (
        text.replace("```", "").replace("~~~", "").split()
    )
    assert join(passages(again)) == again


def test_fences_indented_blocks_prompts_and_tracebacks_are_code() -> None:
    text = (
        "I did this:\n\n```py\nf(1)\n```\nor\n\n    f(2)\n\nand\n>>> f(3)\n4\n\nthen\n"
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    x()\nValueError: no\n'
        "The end."
    )
    code = [lines for is_code, lines in kinds(text) if is_code]
    assert code == [
        ("f(1)",),
        ("    f(2)",),
        (">>> f(3)", "4"),
        (
            "Traceback (most recent call last):",
            '  File "a.py", line 1, in f',
            "    x()",
            "ValueError: no",
        ),
    ]


def test_a_nested_list_is_no_code() -> None:
    assert [code for code, _ in kinds("- one\n\n    - below it\n\n    more of it")] == [False]


def test_a_fence_that_never_ends_holds_the_rest() -> None:
    assert kinds("a\n```\nb\nc")[1] == (True, ("b", "c"))


def test_units_are_paragraphs_items_and_headings() -> None:
    seen: list[str] = []
    lines = ["# Head", "first", "second", "", "- one", "  more", "- two"]
    assert list(map_units(lines, lambda unit: seen.append(unit) or unit)) == lines
    assert seen == ["Head", "first\nsecond", "one\n  more", "two"]


def test_an_emptied_unit_takes_its_bullet_along() -> None:
    assert map_units(["- one", "- two"], lambda unit: "" if unit == "one" else unit) == ("- two",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three?", ["One. ", "Two! ", "Three?"]),
        ("See e.g. The docs. Then go.", ["See e.g. The docs. ", "Then go."]),
        ("Version 1.2 of a.b.c fails", ["Version 1.2 of a.b.c fails"]),
        ("It fails. `f` is wrong.", ["It fails. ", "`f` is wrong."]),
        ("", []),
    ],
)
def test_sentences(text: str, found: list[str]) -> None:
    assert sentences(text) == found


def test_tidy_drops_headings_that_lead_nowhere() -> None:
    assert tidy("# A\n\n## B\n\n\n\n## C\nwords  \n\n# D\n") == "# A\n\n## C\nwords"
