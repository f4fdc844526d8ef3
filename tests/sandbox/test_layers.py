"""The store of layers: equal trees are one, names lead back, a full disk is said plainly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regreen.core.errors import InfrastructureError
from regreen.sandbox.layers import Layer, LayerStore
from regreen.sandbox.overlay import write_layer


def filled(store: LayerStore, text: str) -> Layer:
    staged = store.stage()
    (staged / "file").write_text(text)
    return store.commit(staged)


def test_equal_trees_are_one_layer(tmp_path: Path) -> None:
    store = LayerStore(tmp_path)
    layers = []
    for _ in range(2):
        staged = store.stage()
        write_layer(staged, {"a/b": b"1", "gone": None})
        layers.append(store.commit(staged))
    assert layers[0] == layers[1] == store.get(layers[0].digest)
    assert not list((tmp_path / "staging").iterdir())


def test_an_alias_leads_to_its_layer(tmp_path: Path) -> None:
    store = LayerStore(tmp_path)
    assert store.alias("key") is None
    layer = store.commit(store.stage())
    store.remember("key", layer)
    assert LayerStore(tmp_path).alias("key") == layer
    assert store.get("0" * 64) is None
    assert store.get("") is None


def test_an_unusable_store_names_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError) as caught:
        LayerStore(tmp_path / "file" / "store")
    assert caught.value.where == os.fspath(tmp_path / "file" / "store")
    assert caught.value.mend


def test_an_empty_layer_is_never_replaced(tmp_path: Path) -> None:
    store = LayerStore(tmp_path)
    first = store.commit(store.stage())
    inode = first.path.stat().st_ino

    again = store.commit(store.stage())

    assert again == first
    assert again.path.stat().st_ino == inode
    assert not any((tmp_path / "staging").iterdir())


def test_a_scratch_store_leaves_only_what_was_adopted(tmp_path: Path) -> None:
    store = LayerStore(tmp_path)
    old = filled(store, "old")
    store.remember("key", old)
    with store.scratch() as scratch:
        assert scratch.get(old.digest) == scratch.alias("key") == filled(scratch, "old") == old
        kept, gone = filled(scratch, "kept"), filled(scratch, "gone")
        scratch.remember("other", gone)
        assert scratch.get(gone.digest) == scratch.alias("other") == gone
        assert store.get(gone.digest) is store.alias("other") is None
        adopted = scratch.lasting.adopt(kept)
        assert scratch.get(kept.digest) == adopted == store.adopt(adopted)
    assert store.get(kept.digest) == adopted
    assert (adopted.path / "file").read_text() == "kept"
    assert store.get(gone.digest) is None
    assert not any((tmp_path / "staging").iterdir())
