"""An environment as a Dockerfile: the recorded commands again, bound to the exact versions.

The paths are those of the boxes (/testbed, /opt/env), so that node ids, scripts and options hold in
both. The last step compares what was installed with the record: an image that would differ is not
made. The text follows from the record alone, so the same record gives the same bytes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path

from regreen.core.errors import TaskError
from regreen.core.task import Environment
from regreen.grading.place import ENV, TESTBED
from regreen.sandbox.layers import Layer

__all__ = ["TREE_ARCHIVE", "added_files", "base_image", "built_here", "dockerfile"]

TREE_ARCHIVE = "testbed.tar.gz"
"""The tree, where the source is no repository that anybody can clone; it lies beside the file."""

_PINS = "/opt/pins.txt"
_UV_IMAGE = "ghcr.io/astral-sh/uv"
_QUIET = {
    "CFLAGS": "-g0",
    "CXXFLAGS": "-g0",
    "LDFLAGS": "-Wl,-s",
    "SOURCE_DATE_EPOCH": "315532800",
    "UV_LINK_MODE": "copy",
    "UV_NO_CACHE": "1",
    "UV_NO_CONFIG": "1",
    "UV_NO_PROGRESS": "1",
    "UV_NO_SOURCES": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}
_WRITTEN = re.compile(r"# (?P<path>/\S+\.pth): (?P<lines>.+)")


def base_image(python: str) -> str:
    """The image an environment for this Python stands on, with its exact version as the tag."""
    return f"docker.io/library/python:{python}-slim"


def dockerfile(
    environment: Environment,
    *,
    files: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    apt: Sequence[str] = (),
    uv: str | None = None,
    tree: str = "",
) -> str:
    """The text of a Dockerfile that makes an environment anew.

    Args:
        environment: its record.
        files: files to write below /opt/env once everything is installed, by relative path:
            ``added_files`` finds them.
        variables: what a build back end has to be told, for example its version.
        apt: Debian packages the installation needs.
        uv: version of uv; the installed one when None.
        tree: instructions that put the tree at /testbed; those of its source when empty.

    Raises:
        TaskError: the record holds a line break, which would end an instruction early.
    """
    _require_lines(environment)
    cloned = not tree and environment.source.startswith(("https://", "http://"))
    packages = sorted({*apt, *(("ca-certificates", "git") if cloned else ())})
    parts = [
        _head(environment),
        _base(environment, uv or installed_version("uv")),
        _apt(packages),
        tree or _tree(environment, cloned=cloned),
        _install(environment, {**_QUIET, **(variables or {})}),
        *(_file(f"{ENV}/{name}", text) for name, text in sorted((files or {}).items())),
        _settings(environment),
    ]
    return "\n".join(part for part in parts if part)


def _require_lines(environment: Environment) -> None:
    fields = environment.model_dump()
    for name, value in fields.items():
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(one, str) and re.search(r"[\r\n]", one) for one in texts):
            what = "the environment's record holds a line break"
            raise TaskError(what, where=name, mend="build the environment again from its source")


def _head(environment: Environment) -> str:
    lines = [
        f"# {environment.source} at {environment.commit}",
        f"# Python {environment.python}, packages as of {environment.as_of or 'no date'}",
    ]
    if environment.rung:
        lines.append(f"# built by: {environment.rung}")
    if environment.patched:
        lines.append("# the tree is that commit; the task's patches are not applied to it")
    return "\n".join(lines) + "\n"


def _base(environment: Environment, uv: str) -> str:
    tag = f"ARG PYTHON={environment.python}-slim\n"
    image = "FROM docker.io/library/python:${PYTHON}\n"
    if _by_pip(environment):
        return tag + image
    stage = f"FROM {_UV_IMAGE}:${{UV}} AS uv\n\n"
    return f"ARG UV={uv}\n{tag}{stage}{image}COPY --from=uv /uv /usr/local/bin/uv\n"


def _by_pip(environment: Environment) -> bool:
    """Whether it was made by virtualenv and pip, for a Python that uv does not serve."""
    return any(line.startswith("uv tool run ") for line in environment.install)


def _apt(packages: Sequence[str]) -> str:
    if not packages:
        return ""
    return (
        "RUN apt-get update && apt-get install -y --no-install-recommends"
        f" {' '.join(packages)} && rm -rf /var/lib/apt/lists/*\n"
    )


def _tree(environment: Environment, *, cloned: bool) -> str:
    if not cloned:
        return f"ADD {TREE_ARCHIVE} /\n"
    # without its history, which holds the answers
    return _run(
        f"git init -q {TESTBED}",
        f"git -C {TESTBED} fetch -q --depth 1 {shlex.quote(environment.source)}"
        f" {environment.commit}",
        f"git -C {TESTBED} checkout -q FETCH_HEAD",
        f"rm -rf {TESTBED}/.git",
    )


def _install(environment: Environment, variables: Mapping[str, str]) -> str:
    pins = ["mkdir -p /opt", f"printf '%s\\n' {_quoted(environment.requirements)} > {_PINS}"]
    set_up = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    commands = [*_replayed(environment)]
    freeze = f"uv pip freeze --python {ENV}/bin/python"
    if _by_pip(environment):
        freeze = f"{ENV}/bin/python -m pip freeze"
    check = (
        f"{freeze} --exclude-editable > /tmp/installed",
        "grep = /tmp/installed | LC_ALL=C sort > /tmp/sorted",
        f"LC_ALL=C sort {_PINS} | diff - /tmp/sorted",
        "rm /tmp/installed /tmp/sorted",
    )
    return f"WORKDIR {TESTBED}\n" + _run(*pins) + _run(*set_up, *commands, *check)


def _replayed(environment: Environment) -> Iterable[str]:
    """The recorded commands for the image's own Python, each held to the recorded versions."""
    interpreter = f"/usr/local/bin/python{'.'.join(environment.python.split('.')[:2])}"
    if not any(line.startswith(("uv venv", "uv tool run")) for line in environment.install):
        yield f"uv venv --relocatable --python {interpreter} {ENV}"
    for line in environment.install:
        written = _WRITTEN.fullmatch(line)
        if written:
            yield f"printf '%s\\n' {_quoted(written['lines'].split())} > {written['path']}"
            continue
        words = shlex.split(line, comments=True)
        if words[:2] == ["uv", "venv"]:
            yield f"uv venv --relocatable --python {interpreter} {ENV}"
        elif words[:3] == ["uv", "pip", "install"]:
            yield shlex.join([*words[:3], *_target(words), "--constraint", _PINS, *words[3:]])
        elif words[:3] == ["uv", "tool", "run"] and "--from" in words:
            maker = words[words.index("--from") + 1]
            yield f"{interpreter} -m pip install --quiet {shlex.quote(maker)}"
            yield f"{interpreter} -m virtualenv --quiet --no-download {ENV}"
        elif words[:4] == ["python", "-m", "pip", "install"]:
            yield shlex.join([f"{ENV}/bin/python", *words[1:4], "--constraint", _PINS, *words[4:]])
        elif words:
            yield line


def _target(words: Sequence[str]) -> list[str]:
    return [] if "--python" in words else ["--python", f"{ENV}/bin/python"]


def _quoted(values: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, values))


def _run(*commands: str) -> str:
    return "RUN set -eu; \\\n" + "; \\\n".join(f"    {one}" for one in commands) + "\n"


def _file(path: str, text: str) -> str:
    folder = path.rpartition("/")[0]
    return _run(f"mkdir -p {shlex.quote(folder)}", f"printf %b {_escaped(text)} > {path}")


def _escaped(text: str) -> str:
    """A text on one line, for printf's %b: an instruction may not be broken by its content."""
    return shlex.quote(text.replace("\\", "\\\\").replace("\n", "\\n"))


def _settings(environment: Environment) -> str:
    lines = [
        f"ENV PATH={ENV}/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"ENV VIRTUAL_ENV={ENV} PYTHONDONTWRITEBYTECODE=1",
    ]
    if environment.options:
        options = shlex.join(environment.options).replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'ENV PYTEST_ADDOPTS="{options.replace("$", chr(92) + "$")}"')
    words = ", ".join(f'"{_json(one)}"' for one in ("pytest", *environment.test_command))
    return "\n".join([*lines, f"CMD [{words}]"]) + "\n"


def _json(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def added_files(layers: Iterable[Layer]) -> dict[str, str]:
    """Text files that a layer of /opt/env holds besides what an installer put there.

    A ``.pth`` file that puts the tree on the path, and everything of a layer of shims.

    Args:
        layers: of /opt/env, the environment first.
    """
    found: dict[str, str] = {}
    for number, layer in enumerate(layers):
        pattern = "**/*" if number else "lib/python*/site-packages/testbed.pth"
        for path in sorted(layer.path.glob(pattern)):
            if path.is_file() and not path.is_symlink():
                found[path.relative_to(layer.path).as_posix()] = path.read_text("utf-8")
    return found


def built_here(env: Path, build: Path | None) -> tuple[str, ...]:
    """Debian packages an environment needs to be made anew: a compiler when it was compiled.

    Args:
        env: its layer. A wheel from an index names a platform that others share; ``linux_…``
            alone is one that was built on the spot.
        build: what the installation left in the tree.
    """
    tags = (path.read_text("utf-8", errors="replace") for path in env.rglob("*.dist-info/WHEEL"))
    local = any(re.search(r"^Tag: \S+-linux_\w+$", text, re.M) for text in tags)
    extension = build is not None and any(build.rglob("*.so"))
    return ("gcc", "libc6-dev") if local or extension else ()
