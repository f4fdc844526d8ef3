"""``regreen tasks build``: accepted or refused by what the suite does, and what is written then."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regreen.cli.main import main
from regreen.core.task import Task
from regreen.grading.patch import FileState, patch_between, text_patch
from regreen.sandbox.layers import LayerStore
from regreen.store.taskset import write_tasks
from regreen.tasks.build.repository import make_ready

HEALTHY = "def add(a, b):\n    return a + b\n"
BROKEN = HEALTHY.replace("+", "-")
TESTS = "import calc\n\n\ndef test_add():\n    assert calc.add(1, 2) == 3\n"
FILES = {"calc.py": HEALTHY, "test_calc.py": TESTS, "notes.txt": "kept\n"}


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["tasks", "build", *arguments])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    return code, out.getvalue(), err.getvalue()


def write(root: Path, files: dict[str, str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGREEN_HOME", str(home))
        yield home


def test_a_whole_suite_is_accepted_and_exported(here: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "calc", FILES)
    target = tmp_path / "out"
    code, out, err = run(
        str(source), "--installed", "--json", "--dockerfile", str(target / "Dockerfile"),
        "--oci", str(target / "calc.tar"),
    )  # fmt: skip

    assert code == 0, err
    found = json.loads(out)
    assert found["rung"] == "installed"
    assert found["acceptance"]["accepted"] is True
    assert (found["acceptance"]["found"], found["acceptance"]["collected"]) == (1, 1)
    assert found["layers"]["tree"] == sum(len(text) for text in FILES.values())
    assert "ADD testbed.tar.gz /" in (target / "Dockerfile").read_text()
    assert "/opt/env/lib/python" in (target / "Dockerfile").read_text()
    with tarfile.open(target / "testbed.tar.gz") as tree:
        assert "testbed/calc.py" in tree.getnames()
    with tarfile.open(target / "calc.tar") as image:
        assert {"oci-layout", "index.json"} <= set(image.getnames())
    assert sorted(path.name for path in target.iterdir()) == [
        "Dockerfile",
        "calc.tar",
        "testbed.tar.gz",
    ]
    code, out, _ = run(str(source), "--installed")
    assert code == 0
    assert "1 of 1 test functions collected" in out


def test_a_suite_that_is_not_whole_is_refused_and_nothing_is_written(
    here: Path, tmp_path: Path
) -> None:
    lost = "import absent_library\n\n\ndef test_b():\n    pass\n"
    source = write(tmp_path / "calc", FILES | {"test_lost.py": lost})
    image = tmp_path / "calc.tar"
    code, out, err = run(str(source), "--installed", "--oci", str(image))

    assert code == 1
    assert "1 of 2 test functions collected" in out
    last = err.rstrip().splitlines()[-3:]
    assert [line.split(":")[0].strip() for line in last] == ["error", "where", "mend"], err
    assert "test_lost.py (1 function, ModuleNotFoundError" in last[0]
    assert not image.exists()
    code, out, _ = run(str(source), "--installed", "--json")
    assert code == 1
    assert json.loads(out)["acceptance"]["missing"] == ["test_lost.py"]


def test_a_taskset_becomes_images_that_hold_no_answer(
    here: Path, tmp_path: Path, with_boxes: Callable[..., Any]
) -> None:
    store = LayerStore(here / "store")
    source = write(tmp_path / "calc", FILES)

    async def work(boxes: Any) -> Any:
        return await make_ready(str(source), store=store, provider=boxes, installed=True)

    environment = with_boxes(work).environment()
    rows = [
        Task(
            instance_id=f"calc-{number}",
            repo="me/calc",
            base_commit=str(number) * 40,
            patch=text_patch("calc.py", broken, HEALTHY),
            test_patch=patch_between({}, {"test_calc.py": FileState(TESTS.encode())}),
            problem_statement="add(1, 2) should be 3",
            FAIL_TO_PASS=("test_calc.py::test_add",),
            PASS_TO_PASS=(),
            environment=environment,
        )
        for number, broken in enumerate((BROKEN, BROKEN.replace("a -", "b -")))
    ]
    write_tasks(tmp_path / "tasks.jsonl", rows)
    code, out, err = run(str(tmp_path / "tasks.jsonl"), "--oci", str(tmp_path / "images"), "--json")

    assert code == 0, err
    found = json.loads(out)
    assert (found["tasks"], found["environments"]) == (2, 1)
    assert [row["name"] for row in found["images"]] == ["calc-0", "calc-1"]
    layers = [{one["digest"]: one["title"] for one in row["layers"]} for row in found["images"]]
    assert set(layers[0]) ^ set(layers[1]) == {
        digest for row in layers for digest, title in row.items() if title == "over the tree"
    }
    for digest in {digest for row in layers for digest in row}:
        blob = tmp_path / "images/blobs/sha256" / digest.partition(":")[2]
        with tarfile.open(blob) as layer:
            for member in layer:
                assert not member.name.endswith("test_calc.py")
                content = layer.extractfile(member) if member.isfile() else None
                assert content is None or HEALTHY.encode() not in content.read()
    code, out, err = run(str(tmp_path / "tasks.jsonl"))
    assert code == 0, err
    assert "environments: 1 of 2 tasks" in out
