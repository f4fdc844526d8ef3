"""What environments hold is indexed once for each of their packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.sandbox.layers import LayerStore
from regreen.tasks.prove import sealing
from regreen.tasks.prove.sealing import SealGate

SITE = "lib/python3.11/site-packages"
PATCH = """--- a/purse.py
+++ b/purse.py
@@ -1,2 +1,2 @@
 def total(items, fee):
-    return sum(items) - fee
+    return sum(items) + fee * len(items)
"""
BASE = {"purse.py": b"def total(items, fee):\n    return sum(items) - fee\n"}
FIXED = "def total(items, fee):\n    return sum(items) + fee * len(items)\n"


def layer(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_package_is_read_once_for_all_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    index = sealing.line_index

    def spy(files: list[Path]) -> object:
        read.extend(path.name for path in files)
        return index(files)

    monkeypatch.setattr(sealing, "line_index", spy)
    store = LayerStore(tmp_path / "store")
    shared = {f"{SITE}/shared/one.py": "x = 1\n", f"{SITE}/shared/deep/two.py": "y = 2\n"}
    first = layer(tmp_path / "first", {**shared, f"{SITE}/old.py": "z = 3\n", "pyvenv.cfg": "a"})
    second = layer(tmp_path / "second", {**shared, f"{SITE}/new.py": FIXED, "pyvenv.cfg": "a"})

    assert SealGate([first], store).leaks(PATCH, BASE) == ()
    before = list(read)
    leaks = SealGate([second], store).leaks(PATCH, BASE)

    assert sorted(before) == ["old.py", "one.py", "pyvenv.cfg", "two.py"]
    assert read[len(before) :] == ["new.py"]
    assert leaks == (f"{SITE}/new.py",)


def test_the_same_text_in_another_file_is_read_again(tmp_path: Path) -> None:
    store = LayerStore(tmp_path / "store")
    for number, name in enumerate(("a/one.py", "a/two.py", "b/one.py")):
        text = FIXED if number == 2 else "x = 1\n"
        root = layer(tmp_path / str(number), {f"{SITE}/{name}": text})
        assert bool(SealGate([root], store).leaks(PATCH, BASE)) == (number == 2)
