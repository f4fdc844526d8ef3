"""Images as another reader sees them: the overlay's view, layer by layer, the same bytes again."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path

import image_reader
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import TaskError, UsageError
from regreen.guard.scan.image import opened_image
from regreen.sandbox.layers import OPAQUE, tree_digest
from regreen.sandbox.overlay import copy_merged
from regreen.tasks.build.oci import (
    Compression,
    ImageLayout,
    Part,
    image_name,
    write_archive,
    write_layer_file,
)

SETTINGS = {"Env": ["A=b"], "WorkingDir": "/testbed", "Cmd": ["true"]}
NAMES = st.sampled_from(["a", "b", "c", "ü x", "a/b", "a/c", "b/c", "a/b/c", "c/a/b", "\udcff"])
ENTRIES = st.dictionaries(
    NAMES, st.sampled_from(["file", "program", "link", "gone", "opaque", "empty"]), max_size=6
)


def lower(root: Path, entries: dict[str, str]) -> Path:
    """An overlay directory; entries that would lie below a file or a link are left out."""
    root.mkdir(parents=True)
    for name, kind in sorted(entries.items()):
        path = root / name
        above = [one for one in path.parents if one.is_relative_to(root)]
        if any(one.is_symlink() or (one.exists() and not one.is_dir()) for one in above):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind in ("file", "program"):
            path.write_text(f"{root.name} {kind}")
            path.chmod(0o755 if kind == "program" else 0o600)
        elif kind == "link":
            path.symlink_to("/nowhere/at all")
        elif kind == "gone":
            os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
        else:
            path.mkdir()
            if kind == "opaque":
                os.setxattr(path, OPAQUE, b"y")
    return root


def written(root: Path, *parts: Part, compression: Compression = "gzip") -> Path:
    ImageLayout(root, compression=compression).image(
        "x", parts, settings=SETTINGS, annotations={"b": "2", "a": "1"}
    )
    return root


@settings(max_examples=30)
@given(stack=st.lists(ENTRIES, min_size=1, max_size=3))
def test_an_image_shows_what_the_overlay_shows(
    stack: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("stack")
    lowers = [lower(root / f"layer{n}", entries) for n, entries in enumerate(stack)]
    copy_merged(lowers[::-1], root / "merged")
    layout = written(root / "layout", *(Part("/t", path, "x") for path in lowers))

    configured = image_reader.unpack(layout, "x", root / "unpacked")
    assert tree_digest(root / "unpacked" / "t") == tree_digest(root / "merged")
    assert configured == SETTINGS
    shutil.rmtree(root)


TREE = {"a/b": "file", "a/run": "program", "link": "link", "gone": "gone", "a/old": "opaque"}


def test_equal_layers_give_equal_bytes_wherever_and_whenever(tmp_path: Path) -> None:
    one, other = lower(tmp_path / "one/layer", TREE), lower(tmp_path / "other/layer", TREE)
    for path in other.rglob("*"):
        if not path.is_symlink() and path.name != "gone":
            os.utime(path, (1, 1))
    (other / "a/b").chmod(0o640)
    for name, tree in (("one", one), ("other", other)):
        layout = written(tmp_path / name / "layout", Part("/opt/x", tree, "x"))
        write_archive(layout, tmp_path / f"{name}.tar")
        write_layer_file(Part("/opt/x", tree, "x"), tmp_path / f"{name}.tar.gz")

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()
    layout = image_reader.opened(tmp_path / "one.tar", tmp_path / "again")
    image_reader.unpack(layout, "x", tmp_path / "root")
    assert (tmp_path / "root/opt/x/a/run").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_the_scanner_of_images_reads_it_too(tmp_path: Path, compression: Compression) -> None:
    below = lower(tmp_path / "below", {"secret": "file", "kept": "file"})
    above = lower(tmp_path / "above", {"secret": "gone"})
    layout = written(
        tmp_path / "layout", Part("/", below, "x"), Part("/", above, "y"), compression=compression
    )

    with opened_image(layout) as found:
        assert sorted(path.name for path in found.merged.iterdir()) == ["kept"]
        assert list(found.hidden.rglob("secret")) != []
        assert found.notes == []
    image_reader.unpack(layout, "x", tmp_path / "root")
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["kept"]


def test_images_of_one_layout_share_layers(tmp_path: Path) -> None:
    base, one, two = (lower(tmp_path / n, {n: "file"}) for n in ("base", "one", "two"))
    for name, top in (("task-1", one), ("task-2", two), ("task-1", one)):
        layout = ImageLayout(tmp_path / "layout")
        parts = [Part("/", base, "base"), Part("/t", top, "tree")]
        layout.image(name, parts, settings=SETTINGS, annotations={})

    first, _ = image_reader.image(tmp_path / "layout", "task-1")
    second, _ = image_reader.image(tmp_path / "layout", "task-2")
    assert first["layers"][0] == second["layers"][0]
    assert first["layers"][1] != second["layers"][1]
    # three layers, two configurations, two manifests, and nothing left over
    assert len(list(layout.blobs.iterdir())) == 7


def test_several_writers_lose_no_image(tmp_path: Path) -> None:
    tree = lower(tmp_path / "tree", TREE)

    def add(number: int) -> None:
        layout = ImageLayout(tmp_path / "layout")
        for name in range(5):
            layout.image(
                f"image-{number}-{name}", [Part("/", tree, "x")], settings={}, annotations={}
            )

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        for name in range(5):
            image_reader.image(tmp_path / "layout", f"image-{number}-{name}")


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    tree = lower(tmp_path / "tree", {"a": "file"})
    (tree / ".wh.note").write_text("a file whose name says that it is gone")
    with pytest.raises(TaskError, match="reserve") as caught:
        written(tmp_path / "layout", Part("/opt", tree, "x"))
    assert caught.value.where == "opt/.wh.note"
    assert list((tmp_path / "layout/blobs/sha256").iterdir()) == []

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="no image layout"):
        ImageLayout(tmp_path / "mine")
    with pytest.raises(UsageError):
        ImageLayout(tmp_path / "mine/letter.txt")


def test_names_are_taken_by_every_tool() -> None:
    assert image_name("toolz-b60b2c2.off_by_one.1f2e") == "toolz-b60b2c2.off_by_one.1f2e"
    odd = image_name("Django__Django/12 345")
    assert odd.startswith("django__django-12-345-")
    assert odd != image_name("django__django/12 345")
