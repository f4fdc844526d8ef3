"""Repositories, files and machines that are not as they should be: three lines, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

SLEEP = str(10**8 + os.getpid())
NETWORK = 'import socket\n\n\ndef test_net():\n    socket.create_connection(("192.0.2.1", 80), 5)\n'
HOSTILE = {
    "tests/test_flaky.py": f"""\
import random
import time

import pytest

SEEN = []


@pytest.mark.parametrize("word", ["a", "b", "c", "d", "e", "f"])
def test_seed(word):
    assert hash(word) % 2


def test_first():
    SEEN.append(1)


@pytest.mark.parametrize("number", range(6))
def test_second(number):
    assert SEEN


def test_clock():
    assert time.time() < {int(time.time()) + 86_400}


@pytest.mark.parametrize("number", range(3))
def test_random(number):
    assert random.SystemRandom().random() < 0.9
""",
    "tests/test_hang.py": "import time\n\n\ndef test_hang():\n    time.sleep(1000)\n",
    "tests/test_net.py": NETWORK,
    "tests/test_daemon.py": f"""\
import os
import subprocess


def test_daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "{SLEEP}"])
        os._exit(0)


def test_left():
    subprocess.Popen(["sleep", "{SLEEP}"], start_new_session=True)
""",
    "tests/test_kill.py": """\
import os
import signal


def test_parent():
    os.kill(os.getppid(), signal.SIGKILL)


def test_group():
    os.killpg(0, signal.SIGKILL)


def test_everyone():
    os.kill(-1, signal.SIGKILL)
""",
    "tests/test_memory.py": """\
def test_memory():
    kept = []
    while True:
        kept.append(bytearray(b"x") * (256 << 20))
""",
    "tests/test_import.py": "import absent_module\n\n\ndef test_x():\n    pass\n",
    "broken.py": "def f(:\n",
    "latin.py": '# -*- coding: latin-1 -*-\nNAME = "caf\xe9"\n'.encode("latin-1"),
    "tests/test_latin.py": "import latin\n\n\ndef test_name():\n    assert len(latin.NAME) == 4\n",
}


def processes(word: str) -> list[str]:
    """Command lines on this machine that hold a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line:
            found.append(line)
    return found


def test_hostile_tests_are_left_out_by_name_and_the_others_are_used(
    regreen: Any, source: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "tasks.jsonl"
    bounded = replace(regreen, env={"REGREEN_TEST_SECONDS": "2"})
    done = bounded.inject(source(HOSTILE), out)

    assert done.returncode == 0, done.stderr
    for name, why in {
        "test_hang.py::test_hang": "never passed, left out",
        "test_net.py::test_net": "never passed, left out",
        "test_kill.py::test_group": "never passed, left out",
        "test_import.py": "not collected, left out",
    }.items():
        lines = [line for line in done.stderr.splitlines() if f"tests/{name} " in line]
        assert [line for line in lines if why in line], (name, done.stderr)
    assert "flaky, left out: tests/test_flaky.py::" in done.stderr
    tasks = [json.loads(line) for line in out.open()]
    assert len(tasks) == 4
    used = {test for task in tasks for test in (*task["FAIL_TO_PASS"], *task["PASS_TO_PASS"])}
    assert any(test.startswith("tests/test_calc.py::") for test in used)
    unusable = ("test_clock", "test_hang", "test_net", "test_group", "test_everyone", "test_memory")
    assert not {test for test in used if test.endswith(unusable)}
    assert processes(SLEEP) == []
    proven = bounded("tasks", "validate", out, "-n", "1")
    assert proven.returncode == 0, (proven.stdout, proven.stderr)


def test_line_ends_and_odd_names_come_back_byte_for_byte(
    regreen: Any, made: Any, source: Callable[..., Path], tmp_path: Path
) -> None:
    text = (made.source / "calc.py").read_bytes().replace(b"\n", b"\r\n")
    tests = (made.source / "tests/test_calc.py").read_text()
    files = {
        "caf\xe9/__init__.py": text,
        "caf\xe9/my data.py": "X = 1\n",
        "notes \xfc \u65e5.txt": "x",
        "tests/test_calc.py": tests.replace("import calc", "import caf\xe9 as calc"),
    }
    out, run = tmp_path / "tasks.jsonl", tmp_path / "run"
    done = regreen.inject(source(files, healthy=False), out, "--operators", "change_arithmetic")
    assert done.returncode == 0, done.stderr
    graded = regreen("rollout", out, "--agent", "oracle", "--run", run, "-n", "1", "--json")
    assert json.loads(graded.stdout)["resolved"] == 1, graded.stderr
    assert all("\r\n" in json.loads(line)["patch"] for line in out.open())


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ({}, 2, "no files"),
        ({"calc.py": "X = 1\n"}, 1, "no tests"),
        ({"test_a.py": "X = 1\n"}, 1, "no tests collected"),
        ({"calc.py": "def f(:\n", "test_a.py": "import calc\n"}, 1, "SyntaxError"),
        ({"test_a.py": "def test_a():\n    assert 1 + 1 == 3\n"}, 1, "assert (1 + 1) == 3"),
        ({"test_net.py": NETWORK}, 1, "without network: OSError"),
        ({"test_a.py": "import os\n\nos._exit(3)\n"}, 1, "status 3"),
        ({"test_a.py": "import sys\n\nsys.exit(0)\n"}, 1, "no tests"),
        ({"test_a.py": "def test_a():\n    assert hash('a') % 8 == 9\n"}, 1, "no test"),
        ({"test_a.py": "def test_a():\n    pass\n"}, 1, "no candidate"),
    ],
    ids=[
        "empty",
        "no-tests",
        "no-test",
        "syntax",
        "failing",
        "network",
        "exits",
        "leaves",
        "never",
        "nothing-reached",
    ],
)
def test_a_repository_that_cannot_be_used_says_why(
    files: dict[str, str],
    code: int,
    words: str,
    regreen: Any,
    source: Callable[..., Path],
    tmp_path: Path,
) -> None:
    root = source(files, healthy=False)
    said = regreen.refused(
        code, "tasks", "inject", root, "--installed", "-o", tmp_path / "tasks.jsonl"
    )

    assert words in said
    assert str(root) in said
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_sources_and_outputs_that_are_not_there(
    regreen: Any, source: Callable[..., Path], tmp_path: Path
) -> None:
    root, file = source(), tmp_path / "file"
    file.write_text("x")
    inject = ("tasks", "inject", "--installed", "-o")

    said = regreen.refused(2, *inject, tmp_path / "a.jsonl", tmp_path / "absent")
    assert "absent" in said
    said = regreen.refused(2, *inject, tmp_path / "a.jsonl", file)
    assert "directory" in said
    said = regreen.refused(2, *inject, file / "a.jsonl", root)
    assert "cannot be written" in said
    said = regreen.refused(2, *inject, "/proc/a.jsonl", root)
    assert "cannot be written" in said
    (tmp_path / "b.jsonl").write_text("mine\n")
    said = regreen.refused(2, *inject, tmp_path / "b.jsonl", root)
    assert "already there" in said
    assert (tmp_path / "b.jsonl").read_text() == "mine\n"
    said = regreen.refused(2, "quickstart", "--offline", "-o", root)
    assert "not empty" in said


def test_task_files_that_cannot_be_read(regreen: Any, made: Any, tmp_path: Path) -> None:
    rows = made.tasks.read_bytes()
    foreign = json.dumps({**json.loads(rows.splitlines()[0]), "schema_version": 99}).encode()
    for content, words in (
        (rows[:-200], "not JSON"),
        (foreign, "version 99"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b'{"schema_name": "regreen.task"}\n', "missing columns"),
        (b"", "no task"),
    ):
        bad = tmp_path / "bad.jsonl"
        bad.write_bytes(content)
        assert words in regreen.refused(2, "tasks", "show", bad)
        assert bad.read_bytes() == content
    bad.write_bytes(foreign)
    run, held = tmp_path / "run", tmp_path / "held.jsonl"
    for verb in (
        ("tasks", "validate", bad, "-o", held),
        ("rollout", bad, "--agent", "nop", "--run", run),
        ("grade", bad, run),
    ):
        assert "version 99" in regreen.refused(2, *verb)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]


def test_a_machine_without_the_environment_is_told_how_to_build_it(
    regreen: Any, made: Any, tmp_path: Path
) -> None:
    elsewhere = replace(regreen, home=tmp_path / "home")
    rollout = ("rollout", made.tasks, "--agent", "oracle", "--run", tmp_path / "run", "-n", "1")

    assert "regreen tasks validate" in elsewhere.refused(3, *rollout)
    assert elsewhere("tasks", "validate", made.tasks, "-n", "1").returncode == 0
    done = elsewhere(*rollout, "--resume", "--json")
    assert json.loads(done.stdout)["resolved"] == 1


def confined(command: Any, *prefix: str) -> Any:
    """The command behind a prefix; skips the test where the prefix itself does not work."""
    if shutil.which(prefix[0]) is None:
        pytest.skip(f"{prefix[0]} is not installed")
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"cannot be simulated here: {tried.stderr.strip()}")
    return replace(command, prefix=prefix)


def test_namespaces_that_are_not_allowed(regreen: Any, made: Any, tmp_path: Path) -> None:
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    barred = confined(regreen, "unshare", "-Ur", "sh", "-c", forbid, "sh")
    run = tmp_path / "run"

    inject = ("tasks", "inject", made.source, "--installed", "-o", tmp_path / "a.jsonl")
    assert "max_user_namespaces" in barred.refused(3, *inject)
    assert "max_user_namespaces" in barred.refused(3, *inject, "--dry-run")
    assert "max_user_namespaces" in barred.refused(3, "tasks", "validate", made.tasks)
    assert "max_user_namespaces" in barred.refused(
        3, "rollout", made.tasks, "--agent", "oracle", "--run", run
    )
    assert "max_user_namespaces" in barred.refused(3, "quickstart", "--offline")
    allowed = regreen("rollout", made.tasks, "--agent", "oracle", "--run", run, "--resume")
    assert allowed.returncode == 0, allowed.stderr


def on_a_small_disk(command: Any, where: Path, keep: Path, size: str) -> Any:
    """The command with a full-size disk but for ``where``, whose files end up in ``keep``."""
    where.mkdir(exist_ok=True)
    keep.mkdir(exist_ok=True)
    script = (
        f"mount -t tmpfs -o size={size} none {where} || exit 99\n"
        f'"$@"; code=$?; cp -a {where}/. {keep}/; exit $code'
    )
    return confined(command, "unshare", "-m", "sh", "-c", script, "sh")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, which only root may")
def test_a_disk_that_fills_loses_nothing(regreen: Any, made: Any, tmp_path: Path) -> None:
    disk, keep = tmp_path / "disk", tmp_path / "keep"
    small = on_a_small_disk(regreen, disk, keep, "4k")
    words = ("tasks", "inject", made.source, "--installed", "-n", "4", "-j", "2", "-o")
    said = small.refused(1, *words, disk / "tasks.jsonl")
    assert "No space left" in said
    assert "--resume" in said
    kept = (keep / "tasks.jsonl.findings.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in kept]) >= 2
    done = regreen(*words, keep / "tasks.jsonl", "--resume")
    assert done.returncode == 0, done.stderr
    assert (keep / "tasks.jsonl").read_bytes() == made.tasks.read_bytes()

    shutil.rmtree(keep)
    small = on_a_small_disk(regreen, disk, keep, "32k")
    rollout = ("rollout", made.tasks, "--agent", "oracle", "-j", "1", "--run")
    full = small(*rollout, disk / "run")
    rows = [json.loads(row) for row in (keep / "run/trajectories.jsonl").open()]
    failed = [row["error"] for row in rows if row["error"]]
    assert full.returncode == 1
    assert "Traceback" not in full.stderr
    assert "No space left" in full.stderr or failed
    assert {error["boundary"] for error in failed} <= {"infrastructure"}
    done = regreen(*rollout, keep / "run", "--resume", "--json")
    assert json.loads(done.stdout)["resolved"] == 4, done.stderr
    assert json.loads(done.stdout)["new"] == 4 - (len(rows) - len(failed))
