"""Copies of the answer under other names: found in real archives, and nothing else is."""

from __future__ import annotations

import difflib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.guard.index.screen import gold_screen, repaired_stretches

BROKEN = "import os\n\n\ndef add(a, b):\n    return a - b\n\n\ndef zero():\n    return 0\n"
FIXED = BROKEN.replace("a - b", "a + b")


def gold(before: str, after: str) -> str:
    rows = difflib.unified_diff(
        before.splitlines(True), after.splitlines(True), "a/calc.py", "b/calc.py"
    )
    return "".join(("diff --git a/calc.py b/calc.py\n", *rows))


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


COPY = {"carrier/_vendor/calc.py": ("# a licence\n\n" + FIXED + "\nmore = 1\n").encode()}
OLD = {"carrier/_vendor/calc.py": BROKEN.encode(), "carrier/calc.py": b"def add(a, b):\n    pass\n"}


@pytest.mark.parametrize(
    ("name", "data", "refused"),
    [
        ("carrier-1.0-py3-none-any.whl", zipped(COPY), True),
        ("carrier-1.0.zip", zipped(COPY), True),
        ("carrier-1.0.tar.gz", tarred(COPY), True),
        ("windows-1.0.zip", zipped({"c.py": FIXED.replace("\n", "\r\n").encode()}), True),
        ("outer-1.0.tar.gz", tarred({"bundled/carrier-1.0.whl": zipped(COPY)}), True),
        ("carrier-0.9-py3-none-any.whl", zipped(OLD), False),
        ("carrier-0.9.tar.gz", tarred(OLD), False),
        ("other-1.0.tar.gz", tarred({"a.py": b"print('a + b')\n"}), False),
        ("broken-1.0.zip", b"PK\3\4 no archive", False),
        ("broken-1.0.tar.gz", b"\x1f\x8b no archive", False),
        ("empty-1.0.zip", b"", False),
    ],
)
def test_copies_are_found(tmp_path: Path, name: str, data: bytes, refused: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    reason = gold_screen(gold(BROKEN, FIXED))(path, name)
    assert bool(reason) is refused
    assert not refused or name in reason


@pytest.mark.parametrize("patch", ["", "no patch", gold("x\n", "y\n"), gold("", "pass\n")])
def test_a_patch_without_telling_lines_screens_nothing(tmp_path: Path, patch: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(zipped({"a.py": b"y\npass\n"}))
    assert repaired_stretches(patch) == ()
    assert gold_screen(patch)(path, "a-1.0.zip") == ""


LINES = st.lists(st.from_regex(r"[a-z]{3,12} = [0-9]{1,5}", fullmatch=True), min_size=4, max_size=9)


@given(LINES, LINES)
@settings(max_examples=40)
def test_the_repaired_text_holds_each_stretch_and_the_broken_one_not(
    kept: list[str], changed: list[str]
) -> None:
    before = "\n".join((*kept, "broken here = 0", *changed, ""))
    after = before.replace("broken here = 0", "repaired here = 1")
    (stretch,) = repaired_stretches(gold(before, after))
    assert stretch in after.encode()
    assert stretch not in before.encode()
