"""A task: one verifiable problem, with the columns of SWE-bench first and ours after.

``patch`` is always the gold direction: applying it to ``base_commit`` and restoring the files of
``test_patch`` makes FAIL_TO_PASS pass. Column names: swebench 5.0.2, ``task-synthesis``.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = [
    "BASE_AUTHOR",
    "Control",
    "Difficulty",
    "Environment",
    "Quality",
    "Task",
    "Twin",
    "TwinKind",
    "Twins",
    "Validation",
    "base_message",
]


BASE_AUTHOR = "regreen <regreen@localhost>"
"""Author of the commits that regreen makes; fixed, so that a base commit's id is reproducible."""


def base_message(repo: str) -> str:
    """Message of the one commit an agent starts from."""
    return f"{repo.rpartition('/')[2]} as found"


def _as_list(value: Any) -> Any:  # JSON edge: classic SWE-bench rows hold a JSON string
    return json.loads(value) if isinstance(value, str) else value


TestIds = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Environment(_Row):
    """How the task's box is made, by content hash where a layer is at hand and by recipe."""

    source: str
    """Where the repository came from: a path, a git URL or ``pypi:NAME==VERSION``."""
    commit: str
    """The commit of the source that the task's tree is made from: the healthy one that a bug was
    put into, or for mined tasks the one before the change."""
    repo_layer: str
    """Digest of the layer that holds the healthy tree: of ``commit``, or see ``patched``."""
    patched: bool = False
    """Whether the healthy tree is that of ``commit`` with the task's ``patch`` and ``test_patch``
    applied, as for mined tasks, whose base is a real commit."""
    setup_commit: str = ""
    """Commit of the source whose tree the Python environment was built on, where it is another than
    the healthy tree: changes of one time share an environment."""
    env_layer: str
    """Digest of the layer that holds the Python environment, mounted at /opt/env."""
    build_layer: str = ""
    """Digest of what the installation left in the tree (version files, extensions), or empty."""
    shim_layer: str = ""
    """Digest of what lies over the environment so that old code runs, or empty."""
    python: str = ""
    """Version of the interpreter, for example ``3.11.7``."""
    as_of: str = ""
    """Dependencies were resolved as of this date (ISO 8601)."""
    requirements: tuple[str, ...] = ()
    """What is installed, as ``name==version``, sorted."""
    install: tuple[str, ...] = ()
    """The commands that made the environment, for a reader and for a rebuild elsewhere."""
    test_command: tuple[str, ...] = ()
    """Arguments of pytest that select the suite, as found in the project's files or given."""
    options: tuple[str, ...] = ()
    """Options that every run of pytest needs here, for example those that set a broken ini aside;
    in an agent's box they stand in ``PYTEST_ADDOPTS``."""
    rung: str = ""
    """The strategy that built it, for example ``groups`` or ``python 3.8: extras, shim``."""


class Difficulty(_Row):
    """Measured quantities, and a level that follows from them by rule."""

    files: int
    """Files the gold patch touches."""
    lines: int
    """Lines the gold patch adds plus lines it removes."""
    fail_to_pass: int
    """Tests that fail because of the bug."""
    covering_tests: int
    """Tests that reach the changed code; 0 when not counted."""
    level: str = ""
    """``easy``, ``medium`` or ``hard``; empty when not rated."""
    pass_rate: float | None = None
    """Share of rollouts that resolved it; None when there are none."""
    rollouts: int = 0
    """Rollouts behind ``pass_rate``."""


class Quality(_Row):
    """How far a task can be trusted to ask for what its tests check."""

    code: str
    """``A``, or the first of ``codes``. The letters are SWE-rebench V2's: B1 suite coupling, B2
    implicit naming, B3 external dependency, B4 ambiguous statement, B5 artefacts in the patch, B6
    implicit knowledge, B7 inline test, B8 visual, B9 not English, B10 text fixtures, B11 several
    issues in one."""
    codes: tuple[str, ...] = ()
    """Every one that applies, in their order."""
    statement: str = ""
    """``clear``, ``thin`` or ``empty``."""
    tests: str = ""
    """``aligned``, ``broad`` or ``coupled``."""
    environment: str = ""
    """``faithful``, ``adapted`` (shims, another runner or interpreter) or ``partial``."""
    reasons: tuple[str, ...] = ()
    """One sentence per code."""
    judge: str = ""
    """Model that was asked besides the rules; empty for rules alone."""


class Control(_Row):
    """One negative control: a patch with a known right score."""

    name: str
    """``no_op``, ``gold``, ``delete_tests``, ``skip_tests`` or ``print_passed``."""
    expected: float
    """The score a sound grader gives."""
    score: float
    """The score ours gave."""


class Validation(_Row):
    """What was run to accept the task."""

    repeats_before: int
    """Runs of the broken state that agreed."""
    repeats_after: int
    """Runs of the repaired state that agreed."""
    perturbed: tuple[str, ...] = ("hash_seed", "order", "clock")
    """What differed between the repeats."""
    controls: tuple[Control, ...] = ()
    """The negative controls, all with ``score == expected``."""
    hash_seed: int = 0
    """``PYTHONHASHSEED`` under which the tests fail before: not 0 where only some seeds show it."""
    flaky: tuple[str, ...] = ()
    """Tests near the change that were left out because repeats disagreed."""
    slowest_test: float = 0.0
    """Wall seconds that none of its tests needed on the healthy tree: a power of two, at least 1;
    0 when not recorded. A judge need not wait much longer for one."""
    seconds: float = 0.0
    """CPU seconds spent on this task alone; 0 when not recorded, as for injected tasks."""


TwinKind = Literal["value", "sentinel", "exception", "negation", "appended"]
"""How a twin differs from its test: another expected value, a comparison with something that equals
nothing, another exception type, the opposite condition, or a failing line at the end."""


class Twin(_Row):
    """The perturbed twin of one test."""

    test: str
    """Node id."""
    kind: TwinKind
    """How it differs."""
    position: int = 0
    """Which of its function's items it is, in the order of collection."""
    lines: tuple[int, ...] = ()
    """Lines of its file that fail at the base: what stands there is changed, and no more."""
    strict: bool = False
    """Whether values of the code under test are copied into plain builtins before they are
    compared, in the twin and in the repeat that goes with it."""
    attempt: int = 0
    """Which try its values come from: the first may have hit on what the base gives."""


class Twins(_Row):
    """Which perturbed twins a task's tests have; each was seen to fail under gold and under base.

    The twins' texts are not stored: they follow from the test files and the kinds.
    """

    generator: int
    """Version of the generator; twins of another version are made and proved anew."""
    proved: tuple[Twin, ...] = ()
    """One per FAIL_TO_PASS test that has a twin, and some of PASS_TO_PASS."""


class Task(_Row):
    """One verifiable problem."""

    schema_name: Literal["regreen.task"] = "regreen.task"
    """Name of this row's format."""
    schema_version: Literal[1] = 1
    """Version of this row's format; a reader refuses what it does not know."""
    instance_id: str
    """Unique, and usable as a file name."""
    repo: str
    """``owner/name`` or the distribution's name."""
    base_commit: str
    """The commit the agent starts from: broken, and without the hidden tests."""
    patch: str
    """The gold patch, in git's diff format."""
    test_patch: str
    """Adds the hidden test files to ``base_commit``."""
    problem_statement: str
    """What the agent is told."""
    hints_text: str = ""
    """Discussion before the fix; empty for injected tasks."""
    review_text: str = ""
    """What reviewers said of the real fix, without its code; not for an agent's eyes."""
    created_at: str = ""
    """Date of the source, ISO 8601."""
    version: str = ""
    """Release line of the source."""
    FAIL_TO_PASS: TestIds
    """Tests that fail before the gold patch and pass after it."""
    PASS_TO_PASS: TestIds
    """Tests that pass before and after."""
    environment_setup_commit: str = ""
    """The commit whose set-up defines the environment."""
    environment: Environment | None = None
    """How our box is made; None for rows that only name an image."""
    image: str = ""
    """Container image, when the task comes with one."""
    eval_script: str = ""
    """Shell script that runs the tests, for other harnesses."""
    language: str = "python"
    """Language of the repository."""
    source: str = ""
    """``injected``, ``mined``, or the data set it was converted from."""
    operators: tuple[str, ...] = ()
    """Fault classes put in, for injected tasks."""
    interface: str = ""
    """Names and signatures that the tests import or call and that the base does not have yet."""
    difficulty: Difficulty | None = None
    """Measured size of the problem."""
    quality: Quality | None = None
    """Whether statement, tests and environment are sound; None when not rated."""
    validation: Validation | None = None
    """What was run to accept it."""
    twins: Twins | None = None
    """Perturbed twins of its tests; None has the grader make them."""
    license: str = ""
    """Licence of the source, SPDX when known."""
