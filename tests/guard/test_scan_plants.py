"""Each planted leak is named, and none survives sealing."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from regreen.guard.scan import KINDS, scan, scan_report
from regreen.guard.seal import seal


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plants", Path(__file__).parent / "plants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["plants"] = module
    spec.loader.exec_module(module)
    return module


plants = _load()
STRUCTURE = {"hook", "remote", "credential", "future_commit"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plants.make_repository(tmp_path_factory.mktemp("plants") / "purse")


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "purse", symlinks=True))


def test_an_ordinary_repository_leaks_nothing(repository: Path) -> None:
    for name in plants.GOLDS:
        gold = plants.make_gold(repository, name)

        report = scan_report(repository, gold.patch)

        assert report.leaks == ()
        assert report.unreadable == ()
        assert report.scanned["evidence"] > 0


def _named(repository: Path, name: str, gold_name: str) -> None:
    gold = plants.make_gold(repository, gold_name)
    kind, put = plants.PLANTS[name]
    put(repository, gold)

    leaks = scan(repository, gold.patch)

    assert kind in {leak.kind for leak in leaks}, leaks
    assert all(leak.kind in KINDS for leak in leaks)
    holding = scan(repository, gold.patch, only_fix=True)
    if kind in STRUCTURE:
        assert holding == ()
    else:
        assert kind in {leak.kind for leak in holding}, holding


@pytest.mark.parametrize("name", sorted(plants.PLANTS))
def test_the_smallest_fix_is_named(repository: Path, name: str) -> None:
    _named(repository, name, "operator")


@pytest.mark.slow
@pytest.mark.parametrize("gold_name", ["lines", "deletion"])
@pytest.mark.parametrize("name", sorted(plants.PLANTS))
def test_other_fixes_are_named(repository: Path, name: str, gold_name: str) -> None:
    _named(repository, name, gold_name)


@pytest.mark.parametrize("gold_name", sorted(plants.GOLDS))
def test_sealing_leaves_none_of_them(repository: Path, gold_name: str, tmp_path: Path) -> None:
    gold = plants.make_gold(repository, gold_name)
    last = "pack_with_half_an_index"  # git itself refuses to work on with it
    for name in sorted(plants.PLANTS, key=lambda name: (name == last, name)):
        put = plants.PLANTS[name][1]
        if name != "fix_in_the_past":
            put(repository, gold)
    assert len(scan(repository, gold.patch)) >= 35

    sealed = seal(
        repository, tmp_path / "sealed", commit=plants.git(repository, "rev-parse", "HEAD")
    )

    report = scan_report(sealed.path, gold.patch)
    assert report.leaks == ()
    assert report.unreadable == ()
    assert plants.git(sealed.path, "status", "--porcelain") == ""
    assert plants.git(sealed.path, "rev-list", "--all", "--count") == "1"
    assert sealed.tree == plants.git(repository, "rev-parse", "HEAD^{tree}")


def test_sealing_forgets_a_fix_of_the_past(repository: Path, tmp_path: Path) -> None:
    gold = plants.make_gold(repository, "lines")
    plants.PLANTS["fix_in_the_past"][1](repository, gold)

    whole = seal(repository, tmp_path / "whole", history=True)
    alone = seal(repository, tmp_path / "alone")

    assert {leak.kind for leak in scan(whole.path, gold.patch)} == {"history"}
    assert scan(alone.path, gold.patch) == ()
