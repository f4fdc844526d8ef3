"""What a building agent is told: its work, the contract of the script, and what became of one."""

from __future__ import annotations

from regreen.inference.messages import Message
from regreen.tasks.builder.findings import Attempt
from regreen.tasks.builder.settings import BuilderSettings
from regreen.tasks.builder.states import ChangeStates

__all__ = ["feedback", "opening"]

_SYSTEM = """\
You make changes of real projects checkable. You work in a box with tools; calls that do not \
depend on each other may go into one answer. Every bash command starts in a fresh shell in the \
repository: directory changes and variables are forgotten, files stay. Nobody can answer \
questions. The box has a network for installing; the boxes in which your script is tried have \
none."""

_WORK = """\
In /testbed lies the source code of {repo} ({language}) just before a change. The change is known:

<gold_patch>
{patch}
</gold_patch>
{tests}
<report>
{statement}
</report>

switch_to_resolved puts the gold patch in place, switch_to_bug takes it out again; the tree begins \
with the bug. The change's own test files, if there are any, are there in both states.

Install what the project needs, and write /workspace/evaluation.sh: a bash script that starts in \
/testbed and exits 0 if the project behaves as after the change, and with anything else if it does \
not. Then call submit. The script is run in fresh boxes on both states, {repeats} times each, \
within {seconds:g} seconds, and on forms of the repository that a sound script tells apart.

1. The script must run the program and look at what it does: run the change's tests, or write a \
small program of your own into /tmp with a here-document and run that. It may search the output \
of what it ran. It must not read the text of the repaired files, ask git, look at files' times or \
presence, hold lines of the repair, or put files in place.
2. It must notice when the program under test ends early with status 0: let what you run print a \
line at its very end, and look for that line (or for the runner's own summary).
3. It must fail when tests that it needs are gone.
4. Into the fresh boxes come: the script, /opt/env (at the front of PATH{uv}), and files that are \
new in /testbed. Nothing else does; changes to files of the repository do not.{dated}"""


def opening(states: ChangeStates, settings: BuilderSettings) -> list[Message]:
    """The first messages of the conversation."""
    tests = f"\n<test_patch>\n{states.test_patch.strip()}\n</test_patch>\n"
    python = states.language == "python"
    text = _WORK.format(
        repo=states.repo,
        language=states.language,
        patch=states.patch.strip(),
        tests=tests if states.test_patch.strip() else "",
        statement=states.statement.strip() or "(nothing is written about it)",
        repeats=settings.repeats,
        seconds=settings.script_seconds,
        uv="; /opt/uv/uv pip install puts Python packages there" if python else "",
        dated=f"\n5. Packages should be no newer than {states.as_of}." if states.as_of else "",
    )
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": text}]


def feedback(attempt: Attempt, *, left: int, left_behind: tuple[str, ...]) -> str:
    """What a refused script is answered with.

    Args:
        attempt: the script and what was made of it.
        left: how often another may be handed in.
        left_behind: altered files that are not carried into fresh boxes.
    """
    lines = ["The script is refused:", *(f"- {one.told()}" for one in attempt.findings)]
    for trial in attempt.trials:
        run = trial.run
        status = "killed at the time limit" if run.timed_out else f"exit status {run.exit_code}"
        wanted = "0" if trial.expected_zero else "anything but 0"
        lines.append(f"\n[{trial.name}: {status}, wanted {wanted}]")
        if not trial.right and run.tail.strip():
            lines.append(run.tail.strip()[-2_000:])
    if left_behind:
        shown = ", ".join(left_behind[:10])
        lines.append(f"\nAltered files of the repository that fresh boxes do not have: {shown}")
    lines.append(f"\n{left} more can be handed in." if left else "\nNo more can be handed in.")
    return "\n".join(lines)
