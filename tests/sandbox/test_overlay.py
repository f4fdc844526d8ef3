"""Overlay directories as data, checked against the kernel's own view where that is the judge."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.sandbox.layers import OPAQUE, LayerStore, tree_digest
from regreen.sandbox.overlay import (
    copy_difference,
    copy_layer,
    copy_merged,
    merged_file,
    merged_tree,
    read_changes,
    write_layer,
)

names = st.sampled_from(["a", "b", "c", "d e", "ü", ".hidden"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


def prefix_free(files: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """Drop what lies below another entry: a file is not a directory."""
    return {
        path: content
        for path, content in files.items()
        if not any(path.startswith(f"{other}/") for other in files)
    }


layers = st.dictionaries(paths, st.none() | st.binary(max_size=8), max_size=6).map(prefix_free)


def shown(tree: dict[str, Path]) -> dict[str, bytes]:
    return {path: source.read_bytes() for path, source in tree.items()}


@settings(max_examples=25, deadline=None)
@given(layers)
def test_what_is_written_is_what_is_read(files: dict[str, bytes | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_layer(Path(folder), files)
        changes = read_changes(Path(folder))
        found = {
            change.path: None if change.kind == "deleted" else change.source.read_bytes()
            for change in changes
            if change.kind in {"file", "deleted"}
        }
        assert found == files
        assert [change.path for change in changes] == sorted(
            (change.path for change in changes), key=lambda path: path.split("/")
        )


@settings(max_examples=25, deadline=None)
@given(st.lists(layers, min_size=1, max_size=3))
def test_a_stack_copied_differs_in_nothing(stack: list[dict[str, bytes | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lowers = [Path(folder, str(index)) for index in range(len(stack))]
        for lower, files in zip(lowers, stack, strict=True):
            write_layer(lower, files)
        tree = merged_tree(lowers)
        for path in {path for files in stack for path in files}:
            found = merged_file(lowers, path)
            assert (found if found is None or not found.is_dir() else None) == tree.get(path)
        copy = Path(folder, "copy")
        copy_merged(lowers, copy)
        assert shown(merged_tree([copy])) == shown(tree)
        store = LayerStore(Path(folder, "store"))
        assert read_changes(copy_difference(lowers, copy, store).path) == []


@settings(max_examples=25, deadline=None)
@given(layers, layers)
def test_a_difference_on_its_stack_shows_the_tree(
    before: dict[str, bytes | None], after: dict[str, bytes | None]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lower, tree = Path(folder, "lower"), Path(folder, "tree")
        write_layer(lower, before)
        write_layer(tree, {path: data for path, data in after.items() if data is not None})
        layer = copy_difference([lower], tree, LayerStore(Path(folder, "store")))
        assert shown(merged_tree([layer.path, lower])) == shown(merged_tree([tree]))


@pytest.mark.parametrize("name", ["/absolute", "../out", "a/../../b", ""])
def test_a_layer_is_not_left(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        write_layer(tmp_path / "layer", {name: b""})


def test_opaque_directories_hide_and_count(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    write_layer(lower, {"d/old": b"1", "kept": b"2"})
    write_layer(upper, {"d/new": b"3"})
    plain = tree_digest(upper)
    os.setxattr(upper / "d", OPAQUE, b"y")
    assert tree_digest(upper) != plain
    assert [(change.path, change.kind) for change in read_changes(upper)] == [
        ("d", "opaque"),
        ("d/new", "file"),
    ]
    assert sorted(merged_tree([upper, lower])) == ["d/new", "kept"]
    assert merged_file([upper, lower], "d/old") is None
    assert merged_file([upper, lower], "kept") == lower / "kept"


def test_the_digest_sees_what_matters_and_no_times(tmp_path: Path) -> None:
    digests = []
    for index, (mode, content) in enumerate([(0o644, b"x"), (0o755, b"x"), (0o644, b"y")]):
        folder = tmp_path / str(index)
        write_layer(folder, {"f": content})
        (folder / "f").chmod(mode)
        digests.append(tree_digest(folder))
    os.utime(tmp_path / "0" / "f", (0, 0))
    assert tree_digest(tmp_path / "0") == digests[0]
    assert len(set(digests)) == 3


def test_a_copied_layer_is_the_same_layer(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    write_layer(upper, {"d/x": b"1", "gone": None})
    (upper / "link").symlink_to("d/x")
    (upper / "d/x").chmod(0o755)
    os.setxattr(upper / "d", OPAQUE, b"y")
    os.mkfifo(upper / "pipe")
    layer = copy_layer(upper, LayerStore(tmp_path / "store"))
    (upper / "pipe").unlink()
    assert layer.digest == tree_digest(upper) == tree_digest(layer.path)
    assert stat.S_ISCHR((layer.path / "gone").lstat().st_mode)


def test_the_kernel_agrees(in_box: Callable[..., Any], lower: Path, tmp_path: Path) -> None:
    """What a box shows of three stacked layers is what ``merged_tree`` says, and what it writes."""
    middle, top = tmp_path / "middle", tmp_path / "top"
    write_layer(middle, {"pkg/core.py": None, "pkg/extra.py": b"e", "b/c": b"1", "b/d": b"2"})
    write_layer(top, {"b/e": b"3", "a.txt": b"top"})
    os.setxattr(top / "b", OPAQUE, b"y")
    from regreen.sandbox.base import Mount

    stack = (top, middle, lower)

    async def story(box: Any) -> list[str]:
        listed = await box.exec(["find", ".", "-type", "f", "-printf", "%P\n"])
        await box.exec(["/bin/sh", "-c", "rm pkg/extra.py; rm -r b; mkdir b; echo n >b/n"])
        after = (box.upper("/testbed"), *stack)
        assert sorted(merged_tree(after)) == ["a.txt", "b/n", "pkg/__init__.py"]
        return sorted(listed.stdout.decode().splitlines())

    mounts = (Mount(target="/testbed", lowers=stack),)
    assert in_box(story, mounts=mounts) == sorted(merged_tree(stack))
