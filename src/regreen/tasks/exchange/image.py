"""A container's recipe for a task that leaves us: its tree at /testbed as a one-commit repository.

What is installed follows from the environment's record, as in ``regreen tasks build --dockerfile``.
The commit has the author, date and message of the one our own boxes make, so that for a task whose
base is not in any history its id is the task's ``base_commit``.
"""

from __future__ import annotations

import shlex

from regreen.core.errors import TaskError
from regreen.core.task import BASE_AUTHOR, Task, base_message
from regreen.grading.place import TESTBED
from regreen.tasks.build.dockerfile import dockerfile as environment_file
from regreen.tasks.exchange.sections import flipped, sections
from regreen.tasks.repo.git import is_git_url

__all__ = ["dockerfile"]

_APT = ("build-essential", "ca-certificates", "git")


def dockerfile(task: Task) -> tuple[str, dict[str, str]]:
    """The Dockerfile and the files it copies, by name.

    Raises:
        TaskError: the task names no image, and no source that another machine could fetch.
    """
    if task.environment is None:
        if not task.image:
            msg = "it names neither an environment nor an image"
            raise TaskError(msg, where="attach one: regreen tasks convert --build")
        link = 'RUN [ -e /testbed ] || ln -s "$PWD" /testbed'
        return f"FROM {task.image}\n{link}\nWORKDIR /testbed\n", {}
    files: dict[str, str] = {}
    tree = [_source(task, task.environment.source), f"WORKDIR {TESTBED}"]
    if not task.environment.patched:
        files["base.patch"] = _base_patch(task)
        tree += [
            "COPY base.patch /tmp/base.patch",
            "RUN git apply --whitespace=nowarn /tmp/base.patch && rm /tmp/base.patch",
        ]
    tree.append(f"RUN {_commit(task)}\n")
    text = environment_file(task.environment, apt=_APT, tree="\n".join(tree))
    return f"{text}RUN git ls-files --others --exclude-standard >>.git/info/exclude\n", files


def _source(task: Task, source: str) -> str:
    """The instruction that brings the source's tree, without its history."""
    assert task.environment is not None
    if source.startswith("pypi:"):
        name = shlex.quote(source.removeprefix("pypi:"))
        return (
            "RUN mkdir /tmp/s /testbed"
            f" && pip download --no-deps --no-binary :all: -d /tmp/s {name}"
            " && tar -xzf /tmp/s/*.tar.gz --strip-components=1 -C /testbed && rm -r /tmp/s"
        )
    if not is_git_url(source):
        if task.repo.count("/") != 1:
            msg = "its source is a path of this machine"
            raise TaskError(msg, where=source)
        source = f"https://github.com/{task.repo}.git"
    commit = shlex.quote(task.environment.commit)
    return (
        f"RUN git clone -q {shlex.quote(source)} /testbed && git -C /testbed checkout -q {commit}"
        " && rm -rf /testbed/.git"
    )


def _base_patch(task: Task) -> str:
    """What puts the bug in and takes the hidden tests out."""
    parts = (task.patch, task.test_patch)
    return "".join(flipped(part) for part in parts if sections(part))


def _commit(task: Task) -> str:
    name, _, mail = BASE_AUTHOR.partition(" <")
    when = shlex.quote(task.created_at or "2000-01-01T00:00:00+00:00")
    mail = mail.rstrip(">")
    return (
        "rm -rf .git && git -c init.defaultBranch=main init -q"
        f" && git config user.name {name} && git config user.email {mail} && git add -A -f"
        f" && GIT_AUTHOR_DATE={when} GIT_COMMITTER_DATE={when}"
        f" git commit -q --no-verify -m {shlex.quote(base_message(task.repo))}"
    )
