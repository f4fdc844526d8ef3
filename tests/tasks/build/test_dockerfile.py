"""A Dockerfile from a record: read back by a parser of its own, and its commands really run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from regreen.core.errors import TaskError
from regreen.core.task import Environment
from regreen.sandbox.base import ExecResult
from regreen.sandbox.layers import Layer
from regreen.tasks.build.buildbox import build_spec
from regreen.tasks.build.dockerfile import added_files, built_here, dockerfile
from regreen.tasks.build.interpreters import find_interpreter

RECORD = Environment(
    source="https://example.org/me/demo.git",
    commit="c" * 40,
    repo_layer="",
    env_layer="",
    python="3.11.7",
    as_of="2025-06-02T00:00:00+00:00",
    requirements=("iniconfig==2.1.0", "packaging==25.0", "pluggy==1.6.0", "pytest==8.3.5"),
    install=(
        "uv venv --relocatable --python /somewhere/bin/python3.11 /opt/env",
        "uv pip install --python /opt/env/bin/python --exclude-newer 2025-06-02T00:00:00+00:00"
        " 'pytest<9'",
        "# /opt/env/lib/python3.11/site-packages/testbed.pth: /testbed /testbed/src",
    ),
    test_command=("tests", "tests with a \"name\""),
    options=("-c", "/dev/null", "-k", "a $b"),
    rung="plain",
)  # fmt: skip


def instructions(text: str) -> list[tuple[str, str]]:
    """Instructions and arguments, lines joined where a backslash ends them."""
    found = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            found.append((name, rest.strip()))
    return found


def test_the_text_names_image_commit_and_versions() -> None:
    found = instructions(dockerfile(RECORD, uv="0.9.0"))

    assert [name for name, _ in found[:5]] == ["ARG", "ARG", "FROM", "FROM", "COPY"]
    assert ("ARG", "PYTHON=3.11.7-slim") in found
    assert ("FROM", "docker.io/library/python:${PYTHON}") in found
    assert ("WORKDIR", "/testbed") in found
    runs = [rest for name, rest in found if name == "RUN"]
    assert "git" in shlex.split(runs[0])
    assert "c" * 40 in runs[1]
    assert runs[1].endswith("rm -rf /testbed/.git")
    assert "pytest==8.3.5" in shlex.split(runs[2])
    assert "--exclude-newer 2025-06-02T00:00:00+00:00" in runs[3]
    assert "/somewhere" not in dockerfile(RECORD)
    commands = [rest for name, rest in found if name == "CMD"]
    assert json.loads(commands[0]) == ["pytest", "tests", 'tests with a "name"']


def test_the_options_of_every_run_stand_in_a_variable() -> None:
    (line,) = (rest for name, rest in instructions(dockerfile(RECORD)) if "ADDOPTS" in rest)
    assert line == "PYTEST_ADDOPTS=\"-c /dev/null -k 'a \\$b'\""
    bare = dockerfile(RECORD.model_copy(update={"options": ()}))
    assert "ADDOPTS" not in bare


def test_the_same_record_gives_the_same_text() -> None:
    variables = {"B": "2", "A": "1 x"}
    text = dockerfile(RECORD, variables=variables, apt=("gcc", "git"))
    assert text == dockerfile(RECORD, variables=dict(sorted(variables.items())), apt=("git", "gcc"))
    assert "ca-certificates gcc git" in text
    assert "export A='1 x'" in text


def test_a_source_nobody_can_clone_comes_as_an_archive() -> None:
    text = dockerfile(RECORD.model_copy(update={"source": "/home/me/demo"}))
    assert ("ADD", "testbed.tar.gz /") in instructions(text)
    assert "git" not in " ".join(rest for _, rest in instructions(text))


def test_what_pip_made_for_an_old_python_is_made_by_pip_again() -> None:
    record = RECORD.model_copy(
        update={
            "python": "2.7.18",
            "install": (
                "uv tool run --python /somewhere/python --from virtualenv==20.15.1 virtualenv"
                " --quiet --no-download --python /somewhere/python2.7 /opt/env",
                "python -m pip install --quiet --no-compile setuptools==44.1.1",
            ),
        }
    )
    text = dockerfile(record)
    assert "/usr/local/bin/python2.7 -m virtualenv --quiet --no-download /opt/env" in text
    assert "/opt/env/bin/python -m pip install --constraint /opt/pins.txt --quiet" in text
    assert "/opt/env/bin/python -m pip freeze --exclude-editable" in text
    assert "somewhere" not in text
    assert not any(rest.startswith("uv") or "AS uv" in rest for _, rest in instructions(text))


@pytest.mark.parametrize(
    "change",
    [
        {"source": "https://a/b\nRUN touch /pwned"},
        {"options": ("-k", "x\nRUN touch /pwned")},
        {"rung": "x\rRUN touch /pwned"},
    ],
)
def test_no_field_can_add_an_instruction(change: dict[str, Any]) -> None:
    with pytest.raises(TaskError, match="line break") as caught:
        dockerfile(RECORD.model_copy(update=change))
    assert len(caught.value.lines()) == 3


def test_files_of_the_layers_are_written_as_they_are(tmp_path: Path) -> None:
    site = tmp_path / "env/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (site / "testbed.pth").write_text("/testbed\n")
    (site / "other.py").write_text("x = 1\n")
    shim = tmp_path / "shim/lib/python3.11/site-packages"
    shim.mkdir(parents=True)
    (shim / "shim.py").write_text("a = 'it''s %s \\n'\n\tb = \"$HOME\" \\\n")

    files = added_files([Layer("", tmp_path / "env"), Layer("", tmp_path / "shim")])
    assert set(files) == {
        "lib/python3.11/site-packages/testbed.pth",
        "lib/python3.11/site-packages/shim.py",
    }
    text = dockerfile(RECORD.model_copy(update={"options": ()}), files=files)
    script = "\n".join(
        rest.replace("/opt/env", str(tmp_path / "made"))
        for name, rest in instructions(text)
        if name == "RUN" and "printf %b" in rest
    )
    assert script.count("printf %b") == 2
    subprocess.run(["sh", "-c", script], check=True)
    for name, content in files.items():
        assert (tmp_path / "made" / name).read_text() == content


def test_a_compiler_is_asked_for_when_something_was_compiled(tmp_path: Path) -> None:
    info = tmp_path / "env/lib/python3.11/site-packages/x.dist-info"
    info.mkdir(parents=True)
    (info / "WHEEL").write_text("Tag: cp311-cp311-manylinux_2_17_x86_64\n")
    assert built_here(tmp_path / "env", None) == ()
    (tmp_path / "build").mkdir()
    assert built_here(tmp_path / "env", tmp_path / "build") == ()
    (tmp_path / "build/speed.cpython-311.so").touch()
    assert built_here(tmp_path / "env", tmp_path / "build") == ("gcc", "libc6-dev")
    (info / "WHEEL").write_text("Tag: cp311-cp311-linux_x86_64\n")
    assert built_here(tmp_path / "env", None) == ("gcc", "libc6-dev")


def replay(
    record: Environment, tmp_path: Path, with_boxes: Callable[..., Any], command: list[str]
) -> tuple[ExecResult, ExecResult]:
    """Run the RUN lines in a box with the network, then a command."""
    interpreter = find_interpreter()
    tree = tmp_path / "tree"
    (tree / "tests").mkdir(parents=True)
    (tree / "tests/test_a.py").write_text("import demo\ndef test_a(): assert demo.x == 1\n")
    (tree / "demo.py").write_text("x = 1\n")
    (tmp_path / "opt").mkdir()
    shutil.copy(find_uv_bin(), tmp_path / "opt/uv")
    minor = ".".join(interpreter.version.split(".")[:2])
    script = "\n".join(
        f"{rest} || exit 1".replace(f"/usr/local/bin/python{minor}", str(interpreter.path))
        for name, rest in instructions(dockerfile(record))
        if name == "RUN"
    )
    spec = build_spec(tree, target=tree, cache=tree, interpreter=interpreter, env={})
    spec = replace(
        spec,
        writable_binds=((tmp_path / "opt", "/opt"),),
        binds=tuple(one for one in spec.binds if not one[1].startswith("/opt")),
        env={**spec.env, "PATH": "/opt:/usr/local/bin:/usr/bin:/bin"},
    )

    async def work(boxes: Any) -> tuple[ExecResult, ExecResult]:
        box = await boxes.create(spec)
        made = await box.exec(["sh", "-c", script], timeout=300)
        return made, await box.exec(command)

    result: tuple[ExecResult, ExecResult] = with_boxes(work)
    return result


def local(**change: Any) -> Environment:
    version = find_interpreter().version
    minor = ".".join(version.split(".")[:2])
    install = tuple(line.replace("python3.11", f"python{minor}") for line in RECORD.install)
    plain = {"source": "/demo", "python": version, "install": install, "options": ()}
    return RECORD.model_copy(update=plain | change)


def test_its_commands_make_the_recorded_environment(
    online: None, tmp_path: Path, with_boxes: Callable[..., Any]
) -> None:
    made, seen = replay(local(), tmp_path, with_boxes, ["/opt/env/bin/pytest", "-q", "tests"])

    assert made.exit_code == 0, made.stderr.decode()
    assert b"1 passed" in seen.stdout


def test_a_build_that_differs_from_the_record_fails(
    online: None, tmp_path: Path, with_boxes: Callable[..., Any]
) -> None:
    record = local(requirements=RECORD.requirements[1:])
    made, _ = replay(record, tmp_path, with_boxes, ["true"])

    assert made.exit_code != 0
    assert b"iniconfig" in made.stdout
