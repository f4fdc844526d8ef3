"""A task's image: its tree in one commit, then the environment as its record says."""

from __future__ import annotations

import pytest

from regreen.core.errors import TaskError
from regreen.core.task import Environment, Task
from regreen.tasks.build.dockerfile import dockerfile as environment_file
from regreen.tasks.exchange.image import dockerfile

RECORD = Environment(
    source="https://example.org/acme/bag",
    commit="a" * 40,
    repo_layer="",
    env_layer="",
    python="3.11.7",
    requirements=("iniconfig==2.0.0", "pytest==8.3.0"),
    install=(
        "uv venv --relocatable --python /somewhere/bin/python3.11 /opt/env",
        "uv pip install --python /opt/env/bin/python -e . pytest",
    ),
)


def task(**record: object) -> Task:
    return Task(
        instance_id="acme__bag-1",
        repo="acme/bag",
        base_commit="0" * 40,
        patch="diff --git a/b.py b/b.py\n--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-a\n+b\n",
        test_patch="",
        problem_statement="wrong",
        FAIL_TO_PASS=("t.py::a",),
        PASS_TO_PASS=(),
        environment=RECORD.model_copy(update=record),
    )


def test_the_environment_is_that_of_the_record_and_comes_after_the_commit() -> None:
    text, files = dockerfile(task())
    commit, rest = text.index("git commit"), environment_file(RECORD).partition("WORKDIR")[2]
    assert text.index("git clone") < text.index("COPY base.patch") < commit
    assert commit < text.index("/opt/pins.txt") < text.index("--constraint /opt/pins.txt")
    assert rest in text
    assert "/somewhere" not in text
    assert files["base.patch"].endswith("-b\n+a\n")


def test_the_base_of_a_real_change_needs_no_patch() -> None:
    text, files = dockerfile(task(patched=True))
    assert files == {}
    assert "base.patch" not in text


def test_a_path_of_this_machine_is_taken_from_where_its_name_says() -> None:
    text, _ = dockerfile(task(source="/home/me/bag"))
    assert "https://github.com/acme/bag.git" in text
    with pytest.raises(TaskError, match="path of this machine"):
        dockerfile(task(source="/home/me/bag").model_copy(update={"repo": "bag"}))
