"""The ladder of installation: the fullest set of requirements that resolves and builds wins.

1. the project, editable, with its test extras, dependency groups, requirements files and names
   listed elsewhere; 2. the same without groups; 3. without extras; 4. the project alone;
5. its dependencies only, its own code put on the path by a ``.pth`` file, which is all that can be
done where nothing describes a build, or poetry's first back end shall do it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from regreen.core.errors import TaskError
from regreen.grading.place import ENV, TESTBED
from regreen.tasks.build.buildbox import Outcome
from regreen.tasks.build.builder import Builder
from regreen.tasks.build.interpreters import Interpreter
from regreen.tasks.repo.packages import package_roots
from regreen.tasks.repo.project import Project
from regreen.tasks.repo.requirements import Requirements, test_requirements

__all__ = ["NOT_BUILT", "climb", "describes_build", "version_variables"]

NOT_BUILT = "dependencies only"
"""The last rung."""
_PARTICULAR_SINCE = "2021-06-01"
"""setuptools_scm 5 of December 2020 knew a variable of the one project, 6 of March 2021 its name in
every spelling."""
_BUILDABLE = ("pyproject.toml", "setup.py", "setup.cfg")


def version_variables(project: Project, name: str, version: str, *, date: str) -> dict[str, str]:
    """Variables that tell a build back end the version it would ask version control for.

    The general variable of setuptools_scm would also rename dependencies built from source, so it
    is set only for those that do not know the particular one: hatch-vcs, and setuptools_scm before
    its version 5.

    Args:
        project: its settings say which back end it has.
        name: of its distribution.
        version: of its distribution.
        date: latest upload time of any package, ISO 8601.
    """
    suffix = re.sub(r"[-_.]+", "_", name).upper()
    said = "".join(map(project.text, _BUILDABLE))
    old = date < _PARTICULAR_SINCE and re.search(r"setuptools[-_]scm", said)
    general = old or "hatch-vcs" in project.text("pyproject.toml")
    return {
        f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{suffix}": version,
        **({"SETUPTOOLS_SCM_PRETEND_VERSION": version} if general else {}),
        "PBR_VERSION": version,
        "PDM_BUILD_SCM_VERSION": version,
        "POETRY_DYNAMIC_VERSIONING_BYPASS": version,
        "UV_DYNAMIC_VERSIONING_BYPASS": version,
    }


def _asks_git(project: Project) -> bool:
    """Whether the back end takes its version from git alone, or from a PKG-INFO beside it."""
    text = project.text("pyproject.toml") + project.text("setup.py")
    return bool(re.search(r"git[-_]versioning|versioningit", text))


def describes_build(tree: Path) -> bool:
    """Whether a tree says how its project is built."""
    return any((tree / name).is_file() for name in _BUILDABLE)


def _never_editable(project: Project) -> bool:
    """Whether the back end is poetry's first, which knows no editable installs (PEP 660).

    To find that out, poetry and all it needs would be installed each time.
    """
    return "poetry.masonry.api" in project.text("pyproject.toml")


async def climb(
    builder: Builder,
    tree: Path,
    interpreter: Interpreter,
    *,
    version: str,
    requirements: tuple[str, ...],
    note: Callable[[str], None],
) -> str:
    """Make /opt/env and install by the first rung that works.

    Returns:
        The rung's name.

    Raises:
        TaskError: none works.
    """
    made = await builder.make(interpreter)
    if not made.ok:
        what = f"uv cannot make an environment: {made.reason}"
        raise TaskError(
            what,
            where=str(interpreter.path),
            mend="run regreen with another Python, or give a git source and its --commit",
        )
    project, failures = Project(tree), list[str]()
    if _asks_git(project) and not project.text("PKG-INFO"):
        text = f"Metadata-Version: 2.1\nName: {project.name}\nVersion: {version}\n"
        await builder.box.write(f"{TESTBED}/PKG-INFO", text.encode())
    if describes_build(tree) and not _never_editable(project):
        for one in test_requirements(tree):
            outcome = await builder.install(*_arguments(one), *requirements, "pytest")
            if outcome.ok:
                return one.rung
            failures.append(f"{one.rung}: {outcome.reason}")
            note(f"rung {failures[-1]}")
    outcome = await _without_building(builder, tree, requirements)
    if outcome.ok:
        return NOT_BUILT
    failures.append(f"{NOT_BUILT}: {outcome.reason}")
    note(f"rung {failures[-1]}")
    what = f"the environment cannot be built; the last attempt said: {outcome.reason}"
    where = f"{len(failures)} rungs on Python {interpreter.version}, dated {builder.date[:10]}"
    mend = "run regreen with a Python of the project's time, or choose another --commit"
    raise TaskError(what, where=where, mend=mend)


def _arguments(rung: Requirements) -> list[str]:
    extras = f"[{','.join(rung.extras)}]" if rung.extras else ""
    words = ["--editable", f"{TESTBED}{extras}"]
    for group in rung.groups:
        words += ["--group", group]
    for name in rung.files:
        words += ["--requirement", name]
    return words + [one for one in rung.names if one != "pytest"]


async def _without_building(builder: Builder, tree: Path, requirements: tuple[str, ...]) -> Outcome:
    rung = test_requirements(tree)[0]
    words = [word for name in rung.files for word in ("--requirement", name)]
    declared = Project(tree).dependencies
    outcome = await builder.install(*declared, *words, *rung.names, *requirements, "pytest")
    if not outcome.ok:
        outcome = await builder.install(*declared, *requirements, "pytest")
    if outcome.ok:
        bases = {str(Path(TESTBED, root).parent) for root in package_roots(tree)} | {TESTBED}
        text = "\n".join(sorted(bases)) + "\n"
        site = await builder.run(
            [f"{ENV}/bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        )
        await builder.box.write(f"{site.text.strip()}/testbed.pth", text.encode())
        builder.commands.append(f"# {site.text.strip()}/testbed.pth: {' '.join(sorted(bases))}")
    return outcome
