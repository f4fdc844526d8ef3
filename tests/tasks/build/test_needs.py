"""What two trees must share to share an environment, and what may differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.tasks.build.needs import kin_digest, needs_digest
from regreen.tasks.repo.discovery import find_suite

BASE = {
    "setup.py": (
        "from setuptools import setup\nsetup(name='p', version='1', install_requires=['a'])\n"
    ),
    "p/__init__.py": "",
    "p/fast.c": "int x;\n",
    "tests/test_p.py": "import p\n\n\ndef test_p():\n    assert p\n",
}


def digests(root: Path, **changed: str) -> tuple[str, str]:
    for name, text in {**BASE, **changed}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    suite = find_suite(root)
    return needs_digest(root, suite), kin_digest(root, suite)


SETUP = BASE["setup.py"]


@pytest.mark.parametrize(
    "changed",
    [
        {"setup.py": SETUP.replace("'1'", "'2'")},
        {"setup.py": f"# why\n'''Set up.'''\n{SETUP}"},
        {"setup.py": SETUP.replace("name='p'", "name='p', classifiers=['x']")},
        {"README.md": "p\n"},
        {"p/core.py": "x = 1\n"},
        {"tests/test_more.py": "import os\n\n\ndef test_os():\n    assert os\n"},
        {"tests/data.c": "int y;\n"},
    ],
)
def test_what_installs_nothing_changes_nothing(tmp_path, changed):
    plain = digests(tmp_path / "1")
    assert digests(tmp_path / "2", **changed) == plain


@pytest.mark.parametrize(
    "changed",
    [
        {"setup.py": SETUP.replace("['a']", "['a', 'b']")},
        {"setup.py": SETUP.replace("['a']", "['a'] if x else []")},
        {"setup.py": "def (\n"},
        {"setup.py": f"{SETUP}x = {' + '.join(['a'] * 700)}\n"},
        {"setup.py": f"{SETUP}x = {'-' * 100_000}1\n"},
        {"requirements.txt": "b\n"},
        {"tox.ini": "[testenv]\ndeps = b\n"},
        {"tests/test_more.py": "import attr\n\n\ndef test_a():\n    assert attr\n"},
    ],
)
def test_what_has_to_be_installed_counts_and_kin_keep_their_name(tmp_path, changed):
    needs, kin = digests(tmp_path / "1")
    others, same = digests(tmp_path / "2", **changed)
    assert needs != others
    assert (
        kin == same or "'p'" not in changed.get("setup.py", "'p'") or "x = " in changed["setup.py"]
    )


def test_what_is_compiled_parts_kin(tmp_path):
    needs, kin = digests(tmp_path / "1")
    others, other_kin = digests(tmp_path / "2", **{"p/fast.c": "int y;\n"})
    assert needs != others
    assert kin != other_kin


@pytest.mark.parametrize("target", ["/proc/kcore", "/dev/zero", "fast2.c", "nowhere.c"])
def test_links_out_of_the_tree_are_not_read(tmp_path, target):
    plain = digests(tmp_path / "1")
    (tmp_path / "2/p").mkdir(parents=True)
    (tmp_path / "2/p/fast2.c").symlink_to(target)
    assert digests(tmp_path / "2") == plain


def test_the_place_of_a_tree_does_not_count(tmp_path):
    assert digests(tmp_path / "1") == digests(tmp_path / "elsewhere/2")
