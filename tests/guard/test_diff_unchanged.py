"""What both versions share is blanked, line for line, and nothing else."""

from __future__ import annotations

from regreen.guard.diff.unchanged import without_unchanged

_LONG = "".join(f"def f{n}(a):\n    return a + {n}\n\n\n" for n in range(400))


def test_only_what_changed_is_left() -> None:
    before = "import os\n\n\n" + _LONG + "@cache\ndef g():\n    return 1\n"
    after = before.replace("return a + 7\n", "return a - 7\n").replace("@cache\n", "@other\n")

    old, new = without_unchanged(before, after)

    assert [line for line in old.split("\n") if line] == [
        "import os", "def f7(a):", "    return a + 7", "@cache", "def g():", "    return 1",
    ]  # fmt: skip
    assert len(old.split("\n")) == len(new.split("\n")) == len(before.split("\n"))
    assert new.split("\n").index("    return a - 7") == after.split("\n").index("    return a - 7")


def test_a_second_copy_is_new() -> None:
    after = _LONG + "def f1(a):\n    return a + 1\n"

    _, new = without_unchanged(_LONG, after)

    assert "def f1(a):" in new


def test_what_is_no_python_stays() -> None:
    assert without_unchanged("def (", "x" * 9000 + "(") == ("def (", "x" * 9000 + "(")
