"""Python behind the language protocol: spans, blanking, meaning, names, declarations."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from regreen.core.errors import UsageError
from regreen.tasks.language import LANGUAGES, language
from regreen.tasks.language.python import Python
from regreen.tasks.repo.semantics import meaning

PYTHON = Python()
TEXT = '''\
"""A module."""
import functools


class Basket:
    """Holds things."""

    def __init__(self, items):
        self.items = list(items)

    @functools.cache
    def total(self, tax=0.0):
        """The sum.

        With tax.
        """
        if not self.items and tax > 0:  # nothing to pay
            return 0
        return sum(self.items) * (1 + tax)

    def stub(self):
        raise NotImplementedError


async def fetch(url): return await url


def outer(a):
    def inner(b):
        return a + b
    return inner
'''


def named(text: str = TEXT):
    return {one.name: one for one in PYTHON.functions("m.py", text)}


def test_functions_and_methods_are_listed_and_stubs_and_inner_ones_are_not():
    assert list(named()) == ["Basket.__init__", "Basket.total", "fetch", "outer"]


def test_a_span_holds_the_whole_function_and_nothing_else():
    total = named()["Basket.total"]
    lines = TEXT[total.start : total.end].split("\n")
    assert lines[0] == "    @functools.cache"
    assert lines[-1] == "        return sum(self.items) * (1 + tax)"
    assert (total.line, total.body_line, total.end_line) == (11, 17, 19)
    assert total.docs == "The sum.\n\nWith tax."
    assert total.signature == "@functools.cache\ndef total(self, tax=0.0)"
    assert total.complexity == 4


@pytest.mark.parametrize(
    "text",
    [TEXT, TEXT.replace("\n", "\r\n"), TEXT.replace("The sum", "Die Größe \U0001f600"),
     TEXT.replace("class Basket", "\f\nclass Basket"), TEXT.rstrip("\n")],
    ids=["plain", "crlf", "wide", "form feed", "no end"],
)  # fmt: skip
def test_blanking_keeps_signature_and_docs_and_all_other_functions(text):
    for name, function in named(text).items():
        blanked = PYTHON.blank(text, function)
        # a blanked function does nothing, so it is listed no more; the others are as they were
        rest = {one.name: one for one in PYTHON.functions("m.py", blanked)}
        assert set(rest) == set(named(text)) - {name}
        node = next(
            one
            for one in ast.walk(ast.parse(blanked))
            if getattr(one, "name", "") == name.rpartition(".")[2]
        )
        assert ast.unparse(node).endswith("raise NotImplementedError")
        assert (ast.get_docstring(node) or "") == function.docs
        gone = text[function.start : function.end]
        assert blanked.startswith(text[: function.start])
        assert blanked.endswith(text[function.end :])
        assert len(blanked) != len(text), gone


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        ("nothing to pay", "free", ["unchanged"]),
        ("The sum", "A sum", ["unchanged"]),
        ("(1 + tax)", "( 1+tax )", ["unchanged"]),
        ("(self, items)", "(self, items: list)", ["unchanged"]),
        ("(1 + tax)", "(1 - tax)", []),
        ("(1 + tax)", "(1 + taxx)", ["unknown_name"]),
        ("(1 + tax)", "(1 + tax", ["unreadable"]),
        ("    return inner", "    return inner\nreturn 1", ["unreadable"]),
        ("sum(self.items)", "functools.reduce(int.__add__, self.items)", []),
    ],
)
def test_what_a_change_means(old, new, kinds):
    changed = TEXT.replace(old, new)
    assert changed != TEXT
    assert [fault.kind for fault in PYTHON.faults("m.py", TEXT, changed)] == kinds


def test_mining_and_writing_agree_on_what_changes_nothing():
    for old, new in (("nothing to pay", "free"), ("(1 + tax)", "(1 - tax)"), ("items)", "items )")):
        changed = TEXT.replace(old, new)
        same = meaning(TEXT.encode(), changed.encode()) == "none"
        faults = PYTHON.faults("m.py", TEXT, changed)
        assert same == any(fault.kind == "unchanged" for fault in faults)


def test_names_that_were_unknown_before_are_no_fault():
    text = "def f():\n    return unknown(1)\n"
    assert PYTHON.faults("m.py", text, text.replace("1", "2")) == ()
    starred = "from os import *\n\n\ndef f():\n    return getcwd()\n"
    assert PYTHON.faults("m.py", starred, starred.replace("getcwd", "getpid")) == ()


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("Basket", "class Basket"),
        ("Basket.total", "@functools.cache\ndef total"),
        ("fetch", "async def fetch"),
        ("LIMIT", "LIMIT = 3"),
        ("hidden", "def hidden"),
        ("absent", ""),
        ("Basket.absent", ""),
    ],
)
def test_a_declared_name_s_text(name, begins):
    text = TEXT + "\nLIMIT = 3\ntry:\n    pass\nexcept ImportError:\n    def hidden(): ...\n"
    found = PYTHON.declaration(text, name)
    assert found.startswith(begins)
    assert bool(found) == bool(begins)


def test_a_text_that_is_no_python_declares_nothing_and_lists_nothing():
    assert PYTHON.declaration("def (", "f") == ""
    with pytest.raises(UsageError, match="not valid Python"):
        PYTHON.functions("m.py", "def (")


def test_the_suite_and_the_library_of_a_tree(tmp_path: Path):
    for name in ("bag/__init__.py", "bag/core.py", "tests/test_bag.py", "tests/data.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    found = PYTHON.sources(tmp_path)
    assert found.library == ("bag/__init__.py", "bag/core.py")
    assert found.tests == ("tests/data.py", "tests/test_bag.py")
    assert found.paths == ("tests",)


def test_a_language_is_found_by_name_or_dotted_path():
    assert isinstance(language(), Python)
    assert isinstance(language(LANGUAGES["python"]), Python)
    for name in ("cobol", "regreen.nothing:Class", "regreen.tasks.language.python:Absent"):
        with pytest.raises(UsageError, match="there is no language") as caught:
            language(name)
        assert "python" in caught.value.mend
