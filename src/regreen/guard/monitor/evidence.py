"""All events of a trajectory, each charged to the turn and the characters that made it.

What the final diff shows is traced back to the call that wrote it, so that a penalty falls on the
tokens of the deed and not on the submission; where no call can be found, the turn is open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from regreen.core.task import Task
from regreen.core.trajectory import Trajectory
from regreen.guard.blocker import Blocker, Decision
from regreen.guard.diff import audit_diff
from regreen.guard.diff.kinds import severity
from regreen.guard.monitor.actions import events_of_call, shell_text
from regreen.guard.monitor.calls import Call, Turned, read_calls, without_code
from regreen.guard.monitor.claims import claims
from regreen.guard.monitor.events import Event
from regreen.guard.monitor.final_diff import FileLines, read_diff
from regreen.guard.monitor.paths import in_tree, is_product, is_test, tail
from regreen.guard.monitor.shells import commands_of
from regreen.guard.monitor.special_cases import special_cases
from regreen.guard.subject import Subject, subject_of

__all__ = ["Evidence", "collect"]

_LONGEST = 400_000
_NUMBERED = re.compile(r"^[ \t]*\d+(?:[:|\t]| {1,4}|-)", re.M)
_HEAD = re.compile(r"\A(?:\[exit code \d+\][^\n]*\n|<returncode>\d+</returncode>\n<output>\n)")
_ISSUE_ID = re.compile(r"(?P<owner>[\w.-]+?)__(?P<name>[\w.-]+?)-\d+$")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the patterns are matched against."""

    events: tuple[Event, ...]
    """In the order they happened, the final diff last."""
    seen: str
    """Code that was there before the agent wrote: files read before they were written, context
    and removed lines of the diff, the task's own repair."""
    values: dict[str, str]
    """Expressions for ``$repo``, ``$name`` and ``$package``; empty where not known."""


def collect(trajectory: Trajectory, task: Task | None = None) -> Evidence:
    """Everything there is to match.

    Args:
        trajectory: the rollout.
        task: its task; without it the repository is taken from an id like ``owner__name-12``.
    """
    turns = list(read_calls(trajectory))
    repo = _repo(trajectory, task)
    subject = subject_of(task) if task else Subject.of(repo)
    acted = list(_of_turns(turns, subject))
    files = read_diff(trajectory.patch)
    tests = _shown(turns, acted, is_test)
    product = _shown(turns, acted, lambda path: in_tree(path) and not is_test(path))
    statement = task.problem_statement if task else _statement(trajectory)
    before = [*product.values(), *(file.before for file in files)]
    if task:
        before += [text for file in read_diff(task.patch) for text in (file.added, file.before)]
    known = "\n".join([statement, *tests.values()])
    events = [*acted, *_of_diff(files, acted, known)]
    seen = "\n".join(before)[-4 * _LONGEST :]
    events += _of_audit(
        trajectory, task, acted, shown=product | tests, statement=statement, before=seen
    )
    events += claims(trajectory, turns)
    return Evidence(tuple(events), seen, _values(repo))


def _of_turns(turns: Sequence[Turned], subject: Subject) -> Iterator[Event]:
    for turn in turns:
        content = without_code(turn.content)
        if content.strip():
            span = (0, len(content))
            yield Event("words", content[:_LONGEST], "content", turn=turn.turn, span=span)
        if turn.reasoning.strip():
            yield Event("words", turn.reasoning[:_LONGEST], "reasoning", turn=turn.turn)
        for call in turn.calls:
            script = shell_text(call)
            if script:
                place = (turn.turn, call.identity, call.span(script))
                yield Event("code", script, "bash", "", "", *place)
            yield from events_of_call(call, commands_of(script) if script else ())
            yield from _of_rules(call, subject)
            if call.result:
                text, where = call.result[:_LONGEST], (turn.turn, call.identity)
                yield Event("result", text, call.name, "", call.state, *where)


@lru_cache(maxsize=4096)
def _judged(subject: Subject, name: str, arguments: str) -> Decision:
    return Blocker(subject).judge(name, json.loads(arguments))


def _of_rules(call: Call, subject: Subject) -> Iterator[Event]:
    decision = _judged(subject, call.name, json.dumps(dict(call.arguments), default=str))
    named = [(rule, "flagged") for rule in decision.flags]
    if decision.blocked:
        named.append((decision.rule, "refused"))
    for rule, state in named:
        span = call.span(decision.evidence)
        yield Event("rule", decision.evidence, rule, "", state, call.turn, call.identity, span)


def _written(acted: Sequence[Event]) -> dict[str, int]:
    """Path to the turn that first wrote it."""
    first: dict[str, int] = {}
    for event in acted:
        if event.kind == "edit" and event.turn is not None:
            first.setdefault(tail(event.path), event.turn)
    return first


def _shown(
    turns: Sequence[Turned], acted: Sequence[Event], wanted: Callable[[str], bool]
) -> dict[str, str]:
    """Path to what was shown of it before anything was written to it."""
    first = _written(acted)
    found: dict[str, str] = {}
    for event in acted:
        path = tail(event.path)
        if event.kind != "read" or event.turn is None or not wanted(event.path):
            continue
        if event.turn < first.get(path, len(turns)):
            found[path] = "\n".join([found.get(path, ""), *_results(turns, event)]).lstrip("\n")
    return found


def _results(turns: Sequence[Turned], event: Event) -> Iterator[str]:
    for turn in turns:
        if turn.turn == event.turn:
            for call in turn.calls:
                if call.identity == event.call_id and call.result:
                    yield _NUMBERED.sub("", _HEAD.sub("", call.result[:_LONGEST]))


def _statement(trajectory: Trajectory) -> str:
    start = trajectory.turns[0].start if trajectory.turns else len(trajectory.messages)
    asked = [m.get("content") for m in trajectory.messages[:start] if m.get("role") == "user"]
    return "\n".join(text for text in asked if isinstance(text, str))[:_LONGEST]


def _of_diff(files: Sequence[FileLines], acted: Sequence[Event], known: str) -> Iterator[Event]:
    for file in files:
        origin = _origin(file.path, file.added, acted)
        if file.added:
            yield replace(
                origin, kind="added", text=file.added, path=file.path, state=file.state, name=""
            )
        if file.removed or file.state == "deleted":
            yield replace(
                origin, kind="removed", text=file.removed, path=file.path, state=file.state, name=""
            )
        if is_product(file.path):
            for case in special_cases(file.added, known):
                place = _origin(file.path, case.text, acted)
                yield replace(
                    place, kind="special_case", name=case.kind, text=case.text, path=file.path
                )


def _of_audit(
    trajectory: Trajectory,
    task: Task | None,
    acted: Sequence[Event],
    *,
    shown: Mapping[str, str],
    statement: str,
    before: str,
) -> Iterator[Event]:
    if not trajectory.patch:
        return

    def read(path: str) -> bytes | None:
        text = shown.get(path)
        return None if text is None else text.encode("utf-8", "replace")

    findings = audit_diff(
        trajectory.patch,
        read=read,
        gold=task.patch if task else "",
        tests={path: text for path, text in shown.items() if is_test(path)},
        statement=statement,
    )
    for finding in findings:
        path = finding.where.rpartition(":")[0] or finding.where
        if path not in shown and finding.evidence.strip() in before:
            continue  # its base is not known whole, and it was there
        origin = _origin(path, finding.evidence, acted)
        yield replace(
            origin,
            kind="tamper",
            name=finding.kind,
            text=finding.evidence,
            path=path,
            state=severity(finding.kind),
        )


def _origin(path: str, text: str, acted: Sequence[Event]) -> Event:
    """The last call that wrote the first telling line of ``text`` to ``path``."""
    line = max((line.strip() for line in text.splitlines()[:40]), key=len, default="")
    for event in reversed(acted):
        if event.kind == "edit" and tail(event.path).endswith(tail(path)) and line in event.text:
            return event
    for event in reversed(acted):
        if event.kind == "edit" and tail(event.path).endswith(tail(path)):
            return event
    return Event("added", "")


def _repo(trajectory: Trajectory, task: Task | None) -> str:
    if task:
        return task.repo
    named = _ISSUE_ID.search(trajectory.task)
    return f"{named['owner']}/{named['name']}" if named else ""


def _values(repo: str) -> dict[str, str]:
    name = repo.rpartition("/")[2]
    package = r"[-_.]?".join(re.escape(part) for part in re.split(r"[-_.]+", name) if part)
    values = {"name": re.escape(name), "package": package}
    return {"repo": re.escape(repo) if "/" in repo else "", **values}
