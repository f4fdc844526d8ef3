"""Images of environments and tasks: what they show, what no layer holds, and that they run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import image_reader
import pytest

from regreen.core.task import Environment
from regreen.sandbox.bwrap import find_bwrap
from regreen.sandbox.overlay import write_layer
from regreen.tasks.build.images import divide, export
from regreen.tasks.build.oci import ImageLayout, write_archive
from regreen.tasks.build.standalone import standalone_parts

FILES = {
    "calc.py": "def add(a, b):\n    return a + b\n",
    "test_calc.py": "import calc, ssl, sqlite3, ctypes, zoneinfo, subprocess\n"
    "def test_add(): assert calc.add(1, 2) == 3\n"
    "def test_shell():\n"
    "    assert subprocess.check_output('echo a | sed s/a/b/', shell=True) == b'b\\n'\n",
}


def record(workroom: Any, **more: Any) -> Environment:
    return Environment(
        source="pypi:calc==1",
        commit="c" * 40,
        repo_layer="",
        env_layer=workroom.built.env.digest,
        python=workroom.built.python,
        test_command=("test_calc.py",),
        **more,
    )


def test_an_image_for_a_named_base_points_at_its_interpreter(workroom: Any, tmp_path: Path) -> None:
    place = workroom.place(FILES)
    layout = ImageLayout(tmp_path / "layout")
    made = export(
        layout,
        "calc",
        record(workroom, options=("-p", "no:cacheprovider")),
        tree=place.tree,
        env=place.env,
        root=(),
        store=workroom.store,
    )

    settings = image_reader.unpack(tmp_path / "layout", "calc", tmp_path / "root")
    manifest, _ = image_reader.image(tmp_path / "layout", "calc")
    minor = ".".join(workroom.built.python.split(".")[:2])
    assert (tmp_path / "root/opt/env/bin/python").readlink() == Path(
        f"/usr/local/bin/python{minor}"
    )
    assert "home = /usr/local/bin\n" in (tmp_path / "root/opt/env/pyvenv.cfg").read_text()
    assert (tmp_path / "root/testbed/calc.py").read_text() == FILES["calc.py"]
    assert settings["WorkingDir"] == "/testbed"
    assert settings["Cmd"] == ["pytest", "test_calc.py"]
    assert "PYTEST_ADDOPTS=-p no:cacheprovider" in settings["Env"]
    base = manifest["annotations"]["org.opencontainers.image.base.name"]
    assert base == f"docker.io/library/python:{workroom.built.python}-slim"
    assert [one.title for one in made.layers][-1] == "tree"


def test_tasks_share_what_all_of_them_show_and_hold_nothing_else(tmp_path: Path) -> None:
    healthy = tmp_path / "healthy"
    write_layer(healthy, {"a.py": b"right", "b.py": b"b", "test_a.py": b"answer", "docs/x": b"x"})
    (healthy / "link").symlink_to("a.py")
    trees = []
    for number in range(3):
        broken = tmp_path / f"broken{number}"
        write_layer(broken, {"a.py": f"wrong {number}".encode(), "test_a.py": None})
        trees.append((broken, healthy))
    divided = divide(trees, tmp_path / "scratch")

    for number, (own, common) in enumerate(divided):
        assert (own / "a.py").read_text() == f"wrong {number}"
        assert sorted(path.name for path in own.rglob("*")) == ["a.py"]
        assert (common / "link").readlink() == Path("a.py")
        assert sorted(path.name for path in common.rglob("*")) == ["b.py", "docs", "link", "x"]
    assert len({common for _, common in divided}) == 1
    (alone,) = divide(trees[:1], tmp_path / "other")
    assert (alone[1] / "a.py").read_text() == "wrong 0"


@pytest.fixture(scope="module")
def archive(
    workroom: Any, with_boxes: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An image with a root of its own, written twice."""
    root = tmp_path_factory.mktemp("archive")
    place = workroom.place(FILES)

    async def work(boxes: Any) -> None:
        for number in (1, 2):
            parts = await standalone_parts(place, store=workroom.store, provider=boxes)
            layout = ImageLayout(root / f"layout{number}")
            export(
                layout,
                "regreen-test-calc",
                record(workroom),
                tree=place.tree,
                env=place.env,
                root=parts,
                store=workroom.store,
            )
            write_archive(layout.root, root / f"image{number}.tar")

    with_boxes(work)
    return root / "image1.tar"


@pytest.mark.slow
def test_an_image_with_a_root_runs_alone(archive: Path, tmp_path: Path) -> None:
    layout = image_reader.opened(archive, tmp_path / "layout")
    settings = image_reader.unpack(layout, "regreen-test-calc", tmp_path / "root")
    variables = [word for pair in settings["Env"] for word in ("--setenv", *pair.split("=", 1))]

    done = subprocess.run(
        [find_bwrap().path, "--bind", str(tmp_path / "root"), "/", "--proc", "/proc", "--dev",
         "/dev", "--unshare-all", "--die-with-parent", "--clearenv", *variables, "--chdir",
         settings["WorkingDir"], "--", "sh", "-c", '"$@"; ls -d /work /srv', "sh",
         *settings["Cmd"]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert done.stderr.count("No such file") == 2


@pytest.mark.slow
def test_the_root_holds_no_packages_of_this_machine(archive: Path, tmp_path: Path) -> None:
    layout = image_reader.opened(archive, tmp_path / "layout")
    image_reader.unpack(layout, "regreen-test-calc", tmp_path / "root")
    sites = [
        path
        for name in ("site-packages", "dist-packages", "_bundled")
        for path in (tmp_path / "root").rglob(name)
        if any(path.iterdir())
    ]

    assert [path.relative_to(tmp_path / "root").parts[:2] for path in sites] == [("opt", "env")]
    home, prefix = Path.home(), Path(sys.base_prefix)
    inside = (tmp_path / "root" / home.relative_to("/")).rglob("*")
    shown = [Path("/", path.relative_to(tmp_path / "root")) for path in inside]
    assert [one for one in shown if not (one in prefix.parents or one.is_relative_to(prefix))] == []


@pytest.mark.slow
def test_a_second_export_gives_the_same_bytes(archive: Path) -> None:
    assert archive.read_bytes() == archive.with_name("image2.tar").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("podman"), reason="podman is not installed")
def test_podman_runs_the_image(archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rp") as short:  # podman takes 50 characters at most
        folder = Path(short)
        (folder / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
            'log_driver = "none"\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\n'
            'events_logger = "none"\n'
        )
        loaded = podman(folder, "load", "-q", "-i", str(archive))
        if loaded.returncode:
            pytest.skip(f"podman does not work here: {loaded.stderr[-200:]}")
        done = podman(folder, "run", "--rm", "--network", "none", "localhost/regreen-test-calc")
        podman(folder, "rmi", "-af")

    assert "2 passed" in done.stdout, done.stdout + done.stderr


def podman(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    stores = ["--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
    return subprocess.run(
        ["podman", *stores, *words],
        env={**os.environ, "CONTAINERS_CONF": f"{folder}/containers.conf"},
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_manifest_is_canonical_json(workroom: Any, tmp_path: Path) -> None:
    place = workroom.place(FILES)
    for name in ("one", "two"):
        export(
            ImageLayout(tmp_path / name, compression="zstd"),
            "calc",
            record(workroom),
            tree=place.tree,
            env=place.env,
            root=(),
            store=workroom.store,
        )
    index = [(tmp_path / name / "index.json").read_text() for name in ("one", "two")]
    assert index[0] == index[1]
    manifest, _ = image_reader.image(tmp_path / "one", "calc")
    assert {row["mediaType"].rpartition("+")[2] for row in manifest["layers"]} == {"zstd"}
    assert json.loads(index[0])["schemaVersion"] == 2
