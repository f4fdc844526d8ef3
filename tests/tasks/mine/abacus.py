"""The history of a small library: for every pitfall of mining, one commit that has it."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

from story import Story

CORE = '''\
"""Sums."""


def add(one, other):
    return one - other


def halve(number):
    while number > 1:
        pass
    return number / 2


def first(words):
    return next(iter(set(words)))


def join(parts):
    return "".join(parts)
'''
TESTS = """\
from abacus.core import join


def test_join():
    assert join(["a", "b"]) == "ab"
"""
IDS = """\
import pytest

from abacus.core import join


@pytest.mark.parametrize("text", ["a b", "c [d]", "e\\nf", "g::h", "ü", "[100%]"],
                         ids=["a b", "c [d]", "e\\nf", "g::h", "ü", "PASSED [100%]"])
def test_join_upper(text):
    assert join([text], upper=True) == text.upper()
"""
LOOPBACK = """

def test_loopback():
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname(), timeout=5):
            pass
"""


def fixed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def tell(root: Path) -> Story:
    """Write the history."""
    story = Story(root)
    core, tests = CORE, TESTS
    story.commit(
        "root",
        "Begin",
        {
            "abacus/__init__.py": '__version__ = "0.1"\n',
            "abacus/core.py": core,
            "abacus/testing.py": "def check(value):\n    return value\n",
            "tests/test_core.py": tests,
            "tests/typing_edit.py": "raise SystemExit(input())\n",
            "README.md": "Abacus\n",
            "LICENSE": "Permission is hereby granted, free of charge, to any person\n",
        },
    )
    core = fixed(core, "one - other", "one + other")
    tests = fixed(tests, "import join", "import add, join") + (
        "\n\ndef test_add():\n    assert add(2, 3) == 5\n"
    )
    story.commit(
        "plain",
        "Add numbers instead of subtracting them\n\nadd(2, 3) gave -1.",
        {"abacus/core.py": core, "tests/test_core.py": tests, "README.md": "Abacus adds\n"},
    )
    story.commit("docs", "Say more", {"README.md": "Abacus: it counts, see tests\n"})
    story.commit(
        "version",
        "Release 0.2",
        {
            "abacus/__init__.py": '__version__ = "0.2"\n',
            "tests/test_version.py": (
                "import abacus\n\n\ndef test_version():\n    assert abacus.__version__\n"
            ),
        },
    )
    core = fixed(core, "    return number / 2", "    # a half\n    return  number/2")
    story.commit(
        "format",
        "Lay out",
        {"abacus/core.py": core, "tests/test_lay.py": "def test_lay():\n    assert True\n"},
    )
    core = fixed(core, "    # a half\n    return  number/2", "    return number / 2")
    _pull_requests(story, core)
    return story


@functools.cache
def _lucky() -> tuple[str, str]:
    """Two words whose set begins with the smaller under hash seed 0, and not under seed 1."""
    ask = "print([next(iter({f'a{n}', f'b{n}'}))[0] for n in range(99)])"
    told = [
        subprocess.run(
            [sys.executable, "-c", ask],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (0, 1)
    ]
    pairs = list(zip(*map(ast.literal_eval, told), strict=True))
    place = pairs.index(("a", "b"))
    return f"a{place}", f"b{place}"


def _pull_requests(story: Story, core: str) -> None:
    story.git("checkout", "-q", "-b", "loops")
    core = fixed(core, "    while number > 1:\n        pass\n", "")
    story.commit("work", "Stop", {"abacus/core.py": core})
    tests = "from abacus.core import halve\n\n\ndef test_halve():\n    assert halve(4) == 2\n"
    story.commit("work2", "Test it", {"tests/test_halve.py": tests + LOOPBACK})
    story.merge(
        "hang", "Merge pull request #7 from bob/loops\n\nStop when halving\n\nIt hung.", "loops"
    )
    story.commit(
        "testing",
        "Return copies from the checker (#8)",
        {
            "abacus/testing.py": "def check(value):\n    return list(value)\n",
            "tests/test_testing.py": (
                "from abacus.testing import check\n\n\ndef test_copy():\n"
                "    given = [1]\n    assert check(given) is not given\n\n\n"
                "def test_equal():\n    assert check([1]) == [1]\n"
            ),
        },
    )
    story.git("checkout", "-q", "-b", "stable", "HEAD~1")
    story.commit(
        "stable",
        "On stable",
        {"abacus/extra.py": "X = 1\n", "tests/test_extra.py": "def test_x():\n    assert 1\n"},
    )
    story.merge("sync", "Merge branch 'stable'", "stable")
    core = fixed(core, "next(iter(set(words)))", "min(words)")
    story.commit(
        "hash",
        "Take the first word in order\n\nIt depended on the run.",
        {
            "abacus/core.py": core,
            "tests/test_first.py": (
                "from abacus.core import first\n\n\ndef test_first():\n"
                f"    assert first({_lucky()!r}) == {min(_lucky())!r}\n\n\n"
                "def test_one():\n    assert first(['a']) == 'a'\n"
            ),
        },
    )
    core = fixed(
        core,
        'def join(parts):\n    return "".join(parts)',
        'def join(parts, upper=False):\n    text = "".join(parts)\n'
        "    return text.upper() if upper else text",
    )
    story.commit("ids", "Join in capitals", {"abacus/core.py": core, "tests/test_ids.py": IDS})
    core += "\n\ndef triple(number):\n    return 3 * number\n"
    story.commit(
        "imports",
        "Add triple",
        {
            "abacus/core.py": core,
            "tests/test_triple.py": (
                "from abacus.core import triple\n\n\n"
                "def test_triple():\n    assert triple(2) == 6\n"
            ),
        },
    )
    chance = core + "\n\ndef pick(words):\n    return next(iter(set(words)))\n"
    story.commit(
        "chance",
        "Pick the last word",
        {
            "abacus/core.py": chance,
            "tests/test_pick.py": (
                "def test_pick():\n    from abacus.core import pick\n\n"
                f"    assert pick({_lucky()!r}) == {max(_lucky())!r}\n"
            ),
        },
    )
    _oddities(story, core)


def _oddities(story: Story, core: str) -> None:
    story.commit(
        "gone",
        "Drop a test",
        {"abacus/extra.py": "X = 2\n", "tests/test_extra.py": None},
    )
    story.commit(
        "binary",
        "Add a table",
        {
            "abacus/extra.py": "X = 3\n",
            "abacus/table.bin": b"\0\1\2",
            "tests/test_x.py": "from abacus.extra import X\n\n\ndef test_x():\n    assert X == 3\n",
        },
    )
    story.commit(
        "latin",
        "Speak French",
        {
            "abacus/latin.py": "# coding: latin-1\nX = 'é'\n".encode("latin-1"),
            "tests/test_latin.py": "def test_l():\n    from abacus.latin import X\n    assert X\n",
        },
    )
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
    story.commit(
        "lfs",
        "Store a sample",
        {
            "abacus/extra.py": "X = 4\n",
            "tests/sample.dat": pointer,
            "tests/test_x.py": "from abacus.extra import X\n\n\ndef test_x():\n    assert X == 4\n",
        },
    )
    (story.root / "abacus/alias.py").symlink_to("core.py")
    story.commit(
        "link",
        "Alias the core",
        {"abacus/extra.py": "X = 5\n", "tests/test_y.py": "def test_y():\n    assert 1\n"},
    )
    story.commit(
        "network",
        "Ask the world",
        {
            "abacus/extra.py": "X = 7\n",
            "tests/test_world.py": (
                "import socket\n\n\ndef test_world():\n"
                "    socket.create_connection(('192.0.2.1', 80), timeout=1)\n"
            ),
        },
    )
    broken = fixed(core, "one + other", "one - other")
    story.commit("break", "Break it", {"abacus/core.py": broken})
    story.commit(
        "again",
        "Add numbers again (backport)",
        {
            "abacus/core.py": core,
            "tests/test_again.py": (
                "from abacus.core import add\n\n\ndef test_again():\n    assert add(1, 1) == 2\n"
            ),
        },
    )
    story.commit(
        "nothing",
        "Rename a local",
        {
            "abacus/extra.py": "Y = 7\nX = Y\n",
            "tests/test_same.py": (
                "from abacus import extra\n\n\ndef test_same():\n    assert extra\n"
            ),
        },
    )
    story.commit(
        "lottery",
        "Draw a winner",
        {
            "abacus/extra.py": "Y = 8\nX = Y\n\n\ndef draw():\n    return True\n",
            "tests/test_draw.py": (
                "import random\n\nfrom abacus import extra\n\n\ndef test_draw():\n"
                "    assert extra.draw() and random.random() < 0.3\n\n\n"
                "def test_y():\n    assert extra.X\n"
            ),
        },
    )
    story.commit(
        "endless",
        "Wait for the end",
        {
            "abacus/extra.py": "X = 9\n\n\ndef wait():\n    while True:\n        pass\n",
            "tests/test_wait.py": (
                "from abacus import extra\n\n\ndef test_wait():\n    extra.wait()\n"
            ),
        },
    )
    head = story.git("rev-parse", "HEAD")
    story.git("update-index", "--add", "--cacheinfo", f"160000,{head},abacus/vendored")
    story.days += 1
    story.write({"abacus/extra.py": "X = 6\n", "tests/test_z.py": "def test_z():\n    assert 1\n"})
    story.git("add", "abacus/extra.py", "tests/test_z.py")
    story.git("commit", "-q", "-m", "Vendor a module")
    story.names["submodule"] = story.git("rev-parse", "HEAD")
