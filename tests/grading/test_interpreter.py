"""An environment says which Python it is for; it cannot say what a box is to be shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regreen.grading.interpreter import EnvironmentPython, version_of


def environment(root: Path, text: str) -> tuple[Path, ...]:
    root.mkdir(exist_ok=True)
    (root / "pyvenv.cfg").write_text(text)
    return (root,)


def installed(root: Path, version: str) -> Path:
    library = root / "lib" / f"python{version}"
    library.mkdir(parents=True)
    (library / "os.py").write_text("")
    return root


@pytest.mark.parametrize(
    ("version", "legacy", "twins", "hashed"),
    [
        ("2.7.18.final.0", True, False, False),
        ("3.6.15", True, True, False),
        ("3.8.18", True, True, True),
        ("3.9.0", False, True, True),
        ("3.13.0rc1", False, True, True),
        ("", False, True, True),
    ],
)
def test_the_version_decides_how_tests_are_run(
    tmp_path: Path, version: str, legacy: bool, twins: bool, hashed: bool
) -> None:
    found = EnvironmentPython.of(environment(tmp_path / "env", f"version_info = {version}\n"))

    assert (found.legacy, found.takes_twins, found.hashes_bytecode) == (legacy, twins, hashed)
    assert ("clock" in found.perturbs) is not legacy
    assert found.binds == ()


def test_an_interpreter_elsewhere_is_shown_to_boxes(tmp_path: Path) -> None:
    home = installed(tmp_path / "python", "3.8")
    uv = environment(tmp_path / "a", f"home = {home}/bin\nversion_info = 3.8.18\n")
    old = environment(
        tmp_path / "b", f"home = {home}\nbase-prefix = {home}\nversion_info = 3.8.1\n"
    )

    assert EnvironmentPython.of(uv).binds == ((home, str(home)),)
    assert EnvironmentPython.of(old).binds == ((home, str(home)),)


def test_the_running_interpreter_needs_no_bind(tmp_path: Path) -> None:
    home = Path(sys.base_prefix)
    version = ".".join(str(one) for one in sys.version_info[:3])
    found = EnvironmentPython.of(
        environment(tmp_path / "env", f"home = {home}/bin\nversion = {version}\n")
    )

    assert (found.prefix, found.binds) == (home, ())


@pytest.mark.parametrize("kind", ["root", "above", "nothing", "linked", "relative"])
def test_a_build_cannot_have_other_directories_shown(tmp_path: Path, kind: str) -> None:
    home = installed(tmp_path / "safe" / "python", "3.8")
    secret = tmp_path / "secret"
    (secret / "lib").mkdir(parents=True)
    if kind == "linked":
        (secret / "lib" / "python3.8").symlink_to(home / "lib" / "python3.8")
    named = {"root": Path("/"), "above": tmp_path, "relative": Path("../secret")}.get(kind, secret)
    lowers = environment(tmp_path / "env", f"base-prefix = {named}\nversion_info = 3.8.1\n")

    assert EnvironmentPython.of(lowers).binds == ()


def test_lowers_without_the_file_tell_nothing(tmp_path: Path) -> None:
    assert EnvironmentPython.of((tmp_path,)) == EnvironmentPython()
    assert version_of("not a version") == ()
