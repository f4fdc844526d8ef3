"""Objects that git itself would never write, put into a repository as they are."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

from hypothesis import strategies as st
from story import Story

BEGIN = {
    "p/__init__.py": "",
    "p/core.py": "def f():\n    return 1\n",
    "tests/test_core.py": "from p.core import f\n\n\ndef test_f():\n    assert f() == 1\n",
}
FIX = {
    "p/core.py": "def f():\n    return 2\n",
    "tests/test_core.py": "from p.core import f\n\n\ndef test_f():\n    assert f() == 2\n",
}
PERSON = b"Ada <ada@example.org> 1700000000 +0000"


def put(story: Story, kind: str, data: bytes) -> str:
    """Write an object whose content nobody checks; its id."""
    full = b"%s %d\0%s" % (kind.encode(), len(data), data)
    name = hashlib.sha1(full, usedforsecurity=False).hexdigest()
    folder = story.root / ".git/objects" / name[:2]
    folder.mkdir(exist_ok=True)
    (folder / name[2:]).write_bytes(zlib.compress(full))
    return name


def put_tree(story: Story, entries: Sequence[tuple[bytes, bytes, str]]) -> str:
    """Write a tree of modes, names and ids."""
    rows = (b"%s %s\0" % (mode, name) + bytes.fromhex(one) for mode, name, one in entries)
    return put(story, "tree", b"".join(rows))


def put_commit(
    story: Story,
    tree: str,
    parents: Sequence[str],
    *,
    message: bytes = b"Fix it\n",
    person: bytes = PERSON,
    more: bytes = b"",
) -> str:
    """Write a commit and let main end at it."""
    lines = b"".join(b"parent %s\n" % one.encode() for one in parents)
    people = b"author %s\ncommitter %s\n" % (person, person)
    head = b"tree %s\n" % tree.encode() + lines + people + more
    name = put(story, "commit", head + b"\n" + message)
    (story.root / ".git/refs/heads/main").write_text(f"{name}\n")
    return name


_NAMES = st.sampled_from(["a", "b", "a.b", "-x", "x y", "q\"'", "n\nl", "ü", "A", "\udcff"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(_PATHS, st.binary(max_size=8), min_size=1, max_size=6).filter(
    lambda files: not any(one.startswith(f"{other}/") for one in files for other in files)
)
