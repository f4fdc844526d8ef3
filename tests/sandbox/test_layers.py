"""The store of layers: equal trees are one, names lead back, a full disk is said plainly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regreen.core.errors import InfrastructureError
from regreen.sandbox.layers import LayerStore
from regreen.sandbox.overlay import write_layer


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
