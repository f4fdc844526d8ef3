"""Trees made to break a scan, and the corners where a fix was once overlooked."""

from __future__ import annotations

import base64
import binascii
import gzip
import os
import quopri
import sqlite3
import subprocess
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from regreen.guard.scan import scan, scan_report

BASE = "def total(items, fee):\n    result = sum(items)\n    return result - fee\n"
FIXED = BASE.replace("- fee", "+ fee")
PATCH = """--- a/purse/money.py
+++ b/purse/money.py
@@ -1,3 +1,3 @@
 def total(items, fee):
     result = sum(items)
-    return result - fee
+    return result + fee
"""
ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b.c",
}


def git(root: Path, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        input=stdin, env=ENV, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def project(root: Path, text: str = BASE, *, repository: bool = True) -> Path:
    (root / "purse").mkdir(parents=True)
    (root / "purse" / "money.py").write_text(text)
    if repository:
        git(root, "init", "-q", "-b", "main")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "purse")
    return root


def remove(root: Path) -> None:
    subprocess.run(["rm", "-rf", str(root)], check=True)


def deep(root: Path, depth: int) -> None:
    """Folders in folders, made step by step since the whole path is longer than allowed."""
    at = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def test_a_tree_deeper_than_python_recurses_is_scanned(tmp_path: Path) -> None:
    root = project(tmp_path / "tree")
    deep(root, 1500)
    try:
        (root / "z.py").write_text(FIXED)
        report = scan_report(root, PATCH)
    finally:
        remove(root / "d")

    assert [leak.where for leak in report.leaks] == ["z.py"]
    assert report.unreadable == ()


def test_paths_longer_than_the_system_takes_are_noted(tmp_path: Path) -> None:
    root = project(tmp_path / "tree")
    deep(root, 2200)
    try:
        report = scan_report(root, PATCH)
    finally:
        remove(root / "d")

    assert report.leaks == ()
    assert any("too long" in note for note in report.unreadable)


def test_a_link_to_a_git_directory_is_followed(tmp_path: Path) -> None:
    root = project(tmp_path / "tree")
    git(root, "hash-object", "-w", "--stdin", stdin=FIXED)
    (root / ".git").rename(tmp_path / "kept")
    (root / ".git").symlink_to(tmp_path / "kept")

    leaks = scan(root, PATCH, only_fix=True)

    assert [leak.kind for leak in leaks] == ["worktree"]
    assert "repaired content" in leaks[0].evidence


WRAPPED = base64.encodebytes(PATCH.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"hello world\n\n{WRAPPED}",
        f"hello\n{WRAPPED}",
        f"Content-Transfer-Encoding: base64\n\n{WRAPPED}",
        f"Content-Transfer-Encoding: base64\r\n\r\n{WRAPPED}".replace("\n", "\r\n"),
        f"a\n\n{WRAPPED}\n\nthanks\n",
        f"src/x/{base64.b64encode(PATCH.encode()).decode()}",
        f"key {base64.b64encode(PATCH.encode()).decode()}",
        "hello world\n\n" + base64.encodebytes(gzip.compress(FIXED.encode(), mtime=0)).decode(),
    ],
)
def test_words_before_base64_do_not_hide_it(tmp_path: Path, text: str) -> None:
    root = project(tmp_path / "tree", repository=False)
    (root / "mail.txt").write_bytes(text.encode())

    assert {leak.kind for leak in scan(root, PATCH)} == {"encoded"}


def test_a_compressed_file_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    root = project(tmp_path / "tree", repository=False)
    filler = "".join(f"line {number * number}\n" for number in range(3000))
    (root / "x.gz").write_bytes(gzip.compress((FIXED + filler).encode(), mtime=0)[:-2000])

    report = scan_report(root, PATCH)

    assert [leak.kind for leak in report.leaks] == ["archive"]
    assert any("x.gz" in note for note in report.unreadable)


HIDDEN = b"""import os
from importlib import import_module

import pytest


class Holder:
    def __init__(self, *args, **kwargs):
        self.kept = args


def iseven(x):
    return x % 2 == 0


def test_fee_is_added():
    assert Holder(1, 2).kept == (1, 2)
    with pytest.raises(ValueError, match="the fee of a purse is never below zero"):
        Holder(fee=-1)
"""


def test_common_lines_of_a_hidden_test_are_no_leak(tmp_path: Path) -> None:
    root = project(tmp_path / "tree", repository=False)
    (root / "purse" / "other.py").write_text(
        "import os\nfrom importlib import import_module\n\nimport pytest\n\n\nclass Other:\n"
        "    def __init__(self, *args, **kwargs):\n        self.kept = args\n\n\n"
        "def iseven(x):\n    return x % 2 == 0\n\n\ndef test_fee_is_added():\n    assert True\n"
    )

    assert scan(root, PATCH, forbidden={"hidden test tests/test_fee.py": HIDDEN}) == ()


@pytest.mark.parametrize(
    "piece",
    [
        HIDDEN.decode(),
        HIDDEN.decode().replace("import os\n", "import sys\n"),
        "".join(f"+{line}\n" for line in HIDDEN.decode().splitlines()[14:]),
        "def test_fee_is_added():\n    assert Holder(1, 2).kept == (1, 2)\n",
        'with pytest.raises(ValueError, match="the fee of a purse is never below zero"):\n',
    ],
)
@pytest.mark.parametrize("repository", [True, False])
def test_what_a_hidden_test_alone_says_is_found(
    tmp_path: Path, piece: str, repository: bool
) -> None:
    root = project(tmp_path / "tree", repository=repository)
    (root / "note.txt").write_text(piece)

    leaks = scan(root, PATCH, forbidden={"hidden test tests/test_fee.py": HIDDEN}, only_fix=True)

    assert {leak.kind for leak in leaks} == {"hidden_test"}


def gold_of(root: Path, *flags: str) -> str:
    """The diff of what was changed in a working tree, which is put back."""
    git(root, "add", "-A")
    patch = git(root, "diff", "--cached", "-M", *flags, "HEAD") + "\n\n"
    git(root, "reset", "-q", "--hard")
    return patch


def test_a_patch_that_names_no_content_is_said_to_be_unsought(tmp_path: Path) -> None:
    root = project(tmp_path / "tree")
    git(root, "mv", "purse/money.py", "purse/cash.py")

    report = scan_report(root, gold_of(root))

    assert report.leaks == ()
    assert report.scanned["evidence"] == 0
    assert report.unreadable == ("the patch: nothing in this patch can be looked for",)


@pytest.mark.parametrize("flag", ["--full-index", "--binary"])
def test_a_binary_fix_is_known_by_its_id(tmp_path: Path, flag: str) -> None:
    old, new = bytes(range(256)) * 9, bytes(range(255, -1, -1)) * 9
    root = project(tmp_path / "tree")
    (root / "purse" / "d.bin").write_bytes(old)
    git(root, "add", "-A")
    git(root, "commit", "-q", "--amend", "-m", "purse")
    (root / "purse" / "d.bin").write_bytes(new)
    patch = gold_of(root, flag)
    git(root, "reflog", "expire", "--expire=now", "--all")
    git(root, "gc", "-q", "--prune=now")

    assert scan(root, patch) == ()
    (root / "backup").write_bytes(new)
    assert [leak.where for leak in scan(root, patch)] == ["backup"]
    (root / "backup").unlink()
    git(root, "hash-object", "-w", "--stdin", stdin=FIXED)
    (root / "purse" / "d.bin").write_bytes(new)
    remove(root / ".git")
    assert [leak.kind for leak in scan(root, patch)] == ["fixed_tree"]


def test_an_import_at_the_top_is_sought_where_it_belongs(tmp_path: Path) -> None:
    root = project(tmp_path / "tree", "import sys\n\n\n" + BASE)
    (root / "purse" / "money.py").write_text("import os\nimport sys\n\n\n" + BASE)
    patch = gold_of(root)
    remove(root / ".git")

    assert scan(root, patch) == ()
    (root / "purse" / "money.py").write_text("import os\nimport sys\n\n\n" + BASE)
    assert [leak.kind for leak in scan(root, patch)] == ["fixed_tree"]
    (root / "purse" / "money.py").write_text("import os\nimport sys\n\n\n" + BASE + "\n\n# 2\n")
    assert [leak.kind for leak in scan(root, patch)] == ["fixed_tree"]


@pytest.mark.parametrize("name", ["index", "config"])
def test_what_git_cannot_read_of_its_own_is_noted(tmp_path: Path, name: str) -> None:
    root = project(tmp_path / "tree")
    assert scan_report(root, PATCH).unreadable == ()
    (root / ".git" / name).write_text("[[[ no such thing\n")

    report = scan_report(root, PATCH)

    assert [note.partition(":")[0] for note in report.unreadable] == [f".git/{name}"]


def uuencoded(data: bytes) -> bytes:
    lines = (binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45))
    return b"begin 644 fix\n" + b"".join(lines) + b"`\nend\n"


def dump(data: bytes) -> bytes:
    pieces = [(at, data[at : at + 16]) for at in range(0, len(data), 16)]
    rows = (f"{at:08x}: {piece.hex(' ', 2)}  {'.' * 16}\n" for at, piece in pieces)
    return "".join(rows).encode()


@pytest.mark.parametrize(
    "data",
    [
        uuencoded(PATCH.encode()),
        b"Subject: fix\n\n"
        + quopri.encodestring(("wide = 1 # " * 9 + "\n" + FIXED).encode(), True),
        quopri.encodestring((FIXED + "# caf\u00e9\n").encode()),
        dump(PATCH.encode()),
        "".join(f"\\u{ord(letter):04x}" for letter in FIXED).encode(),
        "".join(f"\\x{ord(letter):02x}" for letter in FIXED).encode(),
    ],
)
def test_older_disguises_are_seen_through(tmp_path: Path, data: bytes) -> None:
    root = project(tmp_path / "tree", repository=False)
    (root / "x.txt").write_bytes(data)

    assert scan(root, PATCH)


def test_deflated_values_of_a_data_base_are_read(tmp_path: Path) -> None:
    root = project(tmp_path / "tree", repository=False)
    with closing(sqlite3.connect(root / "x.db")) as base, base:
        base.execute("create table t (a, b)")
        base.execute("insert into t values ('k', ?)", (zlib.compress(PATCH.encode()),))

    assert [leak.kind for leak in scan(root, PATCH)] == ["archive"]
