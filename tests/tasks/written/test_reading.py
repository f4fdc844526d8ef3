"""An answer changes one function and nothing else, and does not tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.tasks.language.python import Python
from regreen.tasks.written.prompts import MISTAKES, fence_for, mirror, modify, offered, rewrite
from regreen.tasks.written.reading import kind_of, read_file, read_function

PYTHON = Python()
TEXT = '''\
class Bag:
    """Things."""

    @property
    def size(self):
        """How many.

            And more.
        """
        if self.things is None:
            return 0
        return len(self.things)


def last(things):
    return things[-1] if things else None
'''
SIZE = next(one for one in PYTHON.functions("bag.py", TEXT) if one.name == "Bag.size")
BODY = TEXT[SIZE.start : SIZE.end]
BROKEN = BODY.replace("len(self.things)", "len(self.things) - 1")


def fenced(code: str, mark: str = "```") -> str:
    return f"{mark}python\n{code}\n{mark}"


def outdented(code: str) -> str:
    return "\n".join(line[4:] for line in code.split("\n"))


def kinds(answer: str) -> list[str]:
    return [one.kind for one in read_function(PYTHON, "bag.py", TEXT, SIZE, answer).faults]


@pytest.mark.parametrize(
    "answer",
    [
        fenced(BROKEN),
        fenced(outdented(BROKEN)),
        f"<think>one less, a bug</think>\nKind: off_by_one\n\n{fenced(BROKEN)}\n",
        fenced(f"\n{BROKEN}\n\n", "````"),
        fenced(BROKEN).replace("\n", "\r\n"),
    ],
    ids=["as it stood", "moved left", "with reasoning", "longer fence", "other line ends"],
)
def test_a_function_takes_the_place_of_the_old_one(answer):
    found = read_function(PYTHON, "bag.py", TEXT, SIZE, answer)
    assert found.faults == ()
    assert found.text == TEXT.replace(BODY, BROKEN)


def test_the_file_s_line_ends_stay():
    text = TEXT.replace("\n", "\r\n")
    size = next(one for one in PYTHON.functions("bag.py", text) if one.name == "Bag.size")
    found = read_function(PYTHON, "bag.py", text, size, fenced(BROKEN))
    assert found.faults == ()
    assert found.text == TEXT.replace(BODY, BROKEN).replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (BROKEN, "fence"),
        ("", "fence"),
        (fenced(""), "fence"),
        (fenced(BROKEN) + "\n" + fenced(BROKEN), "fence"),
        ("```python\n" + BROKEN, "fence"),
        (fenced(BODY), "unchanged"),
        (fenced(BODY.replace("if self", "# is it none?\n        if self")), "unchanged"),
        (fenced(BROKEN.replace("size(self)", "size(self, of=0)")), "signature"),
        (fenced(BROKEN.replace("    @property\n", "")), "signature"),
        (fenced(BROKEN.replace("def size", "async def size")), "signature"),
        (fenced(BROKEN.replace("How many", "How much")), "docs"),
        (fenced(BROKEN.replace("def size", "def length")), "shape"),
        (fenced(BROKEN + "\n\n    def other(self):\n        return 1"), "shape"),
        (fenced("import os\n\n" + outdented(BROKEN)), "shape"),
        (fenced(BROKEN.replace("- 1", "- (1")), "unreadable"),
        (fenced(BROKEN.replace("- 1", "- one")), "unknown_name"),
        (fenced(BROKEN.replace("- 1", "- 1  # off by one")), "telling"),
        (fenced(BROKEN.replace("- 1", "- 1  # should be without")), "telling"),
        (fenced(BROKEN.replace("return 0", "buggy = 0\n            return buggy")), "telling"),
        (fenced("    @property\n    def size(self):\n        raise NotImplementedError"), "shape"),
    ],
)
def test_an_answer_with_a_fault_is_not_used(answer, kind):
    assert kind in kinds(answer)


def test_words_that_stood_there_before_tell_nothing():
    text = TEXT.replace("return 0", "return 0  # should be rare: a bug elsewhere")
    size = next(one for one in PYTHON.functions("bag.py", text) if one.name == "Bag.size")
    answer = fenced(text[size.start : size.end].replace("len(self.things)", "len(self.things) + 1"))
    assert read_function(PYTHON, "bag.py", text, size, answer).faults == ()
    debug = BROKEN.replace("- 1", "- self.debug")  # no word of its own
    assert kinds(fenced(debug)) == []


def test_a_file_is_taken_whole_and_old_words_tell_nothing():
    old = TEXT + "# TODO: this is wrong\n"
    made = TEXT.replace("[-1]", "[0]") + "# TODO: this is wrong\n"
    found = read_file(PYTHON, "bag.py", TEXT, old, fenced(made.rstrip()))
    assert (found.text, found.faults) == (made, ())
    found = read_file(PYTHON, "bag.py", TEXT, TEXT, fenced(made.rstrip()))
    assert [one.kind for one in found.faults] == ["telling"]
    found = read_file(PYTHON, "bag.py", TEXT, old, fenced(TEXT.rstrip()))
    assert [one.kind for one in found.faults] == ["unchanged"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("Kind: off_by_one\n```\nx\n```", "off_by_one"),
        ("**Kind:** `edge_case`\n", "edge_case"),
        ("<think>Kind: bound</think>Kind: off_by_one", "off_by_one"),
        ("Kind: bound\n", ""),
        ("I chose off_by_one", ""),
        ("", ""),
    ],
)
def test_the_kind_is_one_of_those_offered(answer, kind):
    assert kind_of(answer, ("off_by_one", "edge_case")) == kind


def test_three_kinds_are_offered_and_every_kind_comes_up():
    assert all(len(set(offered(0, number))) == 3 for number in range(9))
    assert offered(1, "a") == offered(1, "a")
    assert {name for number in range(60) for name in offered(number)} == set(MISTAKES)


@given(st.text("`a\n", max_size=40))
def test_nothing_in_a_text_closes_its_fence(text):
    fence = fence_for(text)
    answer = f"{fence}\n{text}x\n{fence}"
    assert read_file(PYTHON, "m.txt", "", "", answer).faults[0].kind != "fence"


def test_who_rewrites_sees_signature_and_docs_and_neither_body_nor_purpose():
    said = "\n".join(str(one["content"]) for one in rewrite(PYTHON, "bag.py", TEXT, SIZE))
    assert "How many." in said
    assert "@property" in said
    assert "def last" in said
    assert "len(self.things)" not in said
    assert "mistake" not in said
    assert "bug" not in said


def test_who_modifies_sees_the_kinds_and_the_function():
    said = "\n".join(
        str(one["content"]) for one in modify(PYTHON, "bag.py", TEXT, SIZE, ("bound", "edge_case"))
    )
    assert MISTAKES["bound"] in said
    assert MISTAKES["off_by_one"] not in said
    assert BODY in said


def test_of_a_long_file_the_head_and_the_neighbourhood_are_shown():
    filler = "".join(f"\n\ndef f{number}(x):\n    return x + {number}\n" for number in range(3000))
    text = "import head\n" + filler + "\n\n" + TEXT + filler.replace("def f", "def g")
    size = next(one for one in PYTHON.functions("bag.py", text) if one.name == "Bag.size")
    said = str(rewrite(PYTHON, "bag.py", text, size)[1]["content"])
    assert len(said) < 30_000
    assert "import head" in said
    assert "How many." in said
    assert "def last" in said
    assert said.count("[...]") == 2


def test_who_undoes_a_change_sees_it_and_the_file():
    said = str(mirror(PYTHON, "bag.py", TEXT, "-old\n+new\n")[1]["content"])
    assert "-old\n+new" in said
    assert TEXT.rstrip() in said
