"""What counts as evidence, and what an honest place may hold."""

from __future__ import annotations

import inspect
import json
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.guard.scan import scan
from regreen.guard.scan.findings import reference_page
from regreen.guard.scan.hunks import applied, parse_patch
from regreen.guard.scan.index import LineIndex, Package, line_index, lines_of_patch, seal_check
from regreen.guard.scan.text import LEAST, NeedleSet, canonical, canonical_lines, stands_alone
from regreen.guard.scan.walk import files_below

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "leaks.md"
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
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from([b"\n", b"\r\n", b"\\n", b"  +-> ", b"return 1", b"# a comment", b"&lt;"]),
    ),
    max_size=12,
)
TEXTS = st.text(st.sampled_from("ab \\n\t\"'x{}<>&"), max_size=60)


def test_the_page_of_kinds_is_as_the_code_says() -> None:
    assert PAGE.read_text() == reference_page(), "make docs"


@given(text=TEXTS)
def test_quoting_changes_no_canonical_text(text: str) -> None:
    inner = json.dumps(text)[1:-1].encode()

    assert canonical(inner) == canonical(text.encode())
    assert b"".join(canonical_lines(text.encode())) == canonical(text.encode())


@settings(max_examples=40)
@given(
    needles=st.lists(st.binary(min_size=8, max_size=20), min_size=8, max_size=30, unique=True),
    filler=st.binary(max_size=50),
    picks=st.lists(st.integers(0, 7), max_size=5),
)
def test_many_needles_are_found_as_one_by_one(
    needles: list[bytes], filler: bytes, picks: list[int]
) -> None:
    text = filler.join(needles[pick] for pick in picks) + filler

    found = NeedleSet(needles).hits(text)

    assert found == {number for number, needle in enumerate(needles) if needle in text}


def test_parts_of_longer_words_are_no_hit() -> None:
    assert stands_alone(b"f(timeout=300)", b"f(timeout=30") is None
    assert stands_alone(b"x\nf(timeout=30\n0)", b"f(timeout=30") == 2


def test_patches_apply_both_ways_and_with_an_offset() -> None:
    files = parse_patch(PATCH)
    moved = b"# one\n# two\n" + BASE.encode()

    after = applied(files, lambda path: moved if path == "purse/money.py" else None)

    assert after is not None
    fixed = after["purse/money.py"]
    assert fixed is not None
    assert b"result + fee" in fixed
    assert applied(files, after.get, reverse=True) == {"purse/money.py": moved}
    assert applied(files, lambda _: b"something else\n") is None


def test_lines_of_the_base_are_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "purse").mkdir()
    (tmp_path / "purse" / "money.py").write_text(BASE)
    (tmp_path / "old.py").write_text(BASE)

    assert scan(tmp_path, PATCH) == ()


def test_a_foreign_library_may_share_a_line(tmp_path: Path) -> None:
    library = tmp_path / "lib" / "python3.11" / "site-packages" / "other"
    library.mkdir(parents=True)
    (library / "sums.py").write_text("def mean(a, fee):\n    result = 1\n    return result + fee\n")

    assert scan(tmp_path, PATCH) == ()


def test_copies_under_another_name_are_found_in_libraries(tmp_path: Path) -> None:
    library = tmp_path / "lib" / "python3.11" / "site-packages" / "vendored"
    library.mkdir(parents=True)
    (library / "_cash.py").write_text("import os\n" + FIXED)

    assert [leak.kind for leak in scan(tmp_path, PATCH)] == ["installed_copy"]


def test_forbidden_files_are_named_with_their_kind(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("#!/bin/sh\nexec verify --answer forty-two --strict\n")
    secret = b"exec verify --answer forty-two --strict\n"

    leaks = scan(tmp_path, PATCH, forbidden={"grader.sh": secret})

    assert [leak.kind for leak in leaks] == ["secret"]


def test_an_applied_patch_is_a_fixed_tree(tmp_path: Path) -> None:
    (tmp_path / "purse").mkdir()
    (tmp_path / "purse" / "money.py").write_text(FIXED)

    assert [leak.kind for leak in scan(tmp_path, PATCH)] == ["fixed_tree"]


def test_an_index_answers_for_a_layer(tmp_path: Path) -> None:
    clean, dirty = tmp_path / "clean", tmp_path / "dirty"
    for layer, text in ((clean, BASE), (dirty, FIXED)):
        (layer / "site-packages" / "purse").mkdir(parents=True)
        (layer / "site-packages" / "purse" / "money.py").write_text(text)
    base = {"purse/money.py": BASE.encode()}.get

    first, second = (
        Package(
            layer=layer,
            files=files_below(layer),
            index=LineIndex.from_bytes(line_index(files_below(layer)).to_bytes()),
        )
        for layer in (clean, dirty)
    )

    assert seal_check([first], PATCH, base, scratch=tmp_path) == ()
    found = seal_check([first, second], PATCH, base, scratch=tmp_path)
    assert [leak.kind for leak in found] == ["installed_copy"]
    assert second.index.holds(lines_of_patch(PATCH))


@settings(max_examples=200, deadline=None)
@given(PIECES, st.sampled_from([b"", b"a long line of padding\n" * 14000]))
def test_an_index_holds_every_line_and_pair_of_lines(parts: list[bytes], before: bytes) -> None:
    data = before + b"".join(parts)
    with TemporaryDirectory() as folder:
        path = Path(folder, "text")
        path.write_bytes(data)
        index = line_index([path])
    lines = [line for line in canonical_lines(data) if line]
    wanted = {line.lstrip(b"+-><|#*!") for line in lines} | set(lines)
    wanted |= {first + second for first, second in pairwise(lines)}
    wanted = {text for text in wanted if len(text) >= LEAST}

    assert set(index.holds(wanted)) == wanted
    assert index.holds([b"a line that nobody wrote"]) == []


def test_what_nobody_wrote_is_not_in_an_index(tmp_path: Path) -> None:
    source = Path(inspect.__file__)
    index = line_index([source])
    lines = canonical_lines(source.read_bytes())
    never = [first + b"x" + second for first, second in pairwise(lines) if second]

    assert index.holds(never) == []
    assert len(index.holds({line for line in lines if len(line) >= LEAST})) > 1000
