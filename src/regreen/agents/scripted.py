"""``scripted``: a deterministic agent without a model; mediocre, and honest about it.

It runs the code a statement quotes, looks up the functions that code calls, tries single-token
rewrites of them until fewer checks fail, and submits. Everything goes through the tools of
``react``, so its record is that of a tool-calling agent, and ``reply`` puts the same policy behind
a scripted endpoint.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import chain, zip_longest
from typing import Any, ClassVar

from regreen.agents.base import Need, Setting, TaskView
from regreen.agents.files import EDIT, SEARCH, VIEW
from regreen.agents.loop import ModelLoop
from regreen.agents.policy import Call, Policy, PolicyModel, next_reply
from regreen.agents.prompts import WITH_TOOLS, prompt
from regreen.agents.record import Conversation
from regreen.agents.rewrites import Rewrite, rewrites
from regreen.agents.statement import Quoted, read_statement
from regreen.agents.tools import BASH, SUBMIT
from regreen.inference import Message, Reply
from regreen.sandbox.base import Sandbox

__all__ = ["Scripted", "reply"]

_CHECK, _ATTEMPT = "/tmp/regreen-check.py", "/tmp/regreen-attempt.py"
_PYTHON = "PYTHONDONTWRITEBYTECODE=1 $(command -v python || command -v python3)"
_MOST_FUNCTIONS = 6
_SECONDS = 20.0


def repair(statement: str, seed: int) -> Policy:
    """The policy: reproduce, find, try, mend."""
    quoted = read_statement(statement)
    scripts = {_CHECK: "check.py", _ATTEMPT: "attempt.py"}
    yield [("bash", {"command": "git log --oneline | head -3; git status --short; ls"})] + [
        ("edit", {"path": path, "old": "", "new": _script(name)}) for path, name in scripts.items()
    ]
    if not quoted.checks:
        return
    (shown,) = yield [_bash(_CHECK, _checks(quoted))]
    if "\n0 of " in shown:  # the report does not hold, or cannot be reproduced
        return
    names, seen = list(quoted.called), set(quoted.called)
    for _ in range(2):
        if not names:
            return
        found = yield [("search", {"pattern": _definition(names), "glob": "*.py"})]
        places = _places(found[0], names)
        if not places:
            return
        shown_all = yield [
            ("view", {"path": path, "start": line, "end": line + 120}) for path, line in places
        ]
        bodies = [_body(text) for text in shown_all]
        tries = _tries(places, bodies, seed)
        (answer,) = yield [_bash(_ATTEMPT, _attempt(quoted, tries))]
        chosen = re.search(r'"chosen": (\d+)', answer)
        if chosen:
            rewrite = tries[int(chosen[1])]
            yield [("edit", _edit(rewrite, _around(rewrite, places, bodies)))]
            yield [_bash(_CHECK, _checks(quoted))]
            return
        inside = re.findall(r"(\w+)\(", "\n".join(line for body in bodies for _, line in body))
        names = [name for name in dict.fromkeys(inside) if name not in seen]
        seen.update(names)


def _script(name: str) -> str:
    return files("regreen.agents").joinpath("box", name).read_text("utf-8")


def _bash(script: str, request: dict[str, Any]) -> Call:
    text = json.dumps(request)
    return ("bash", {"command": f"{_PYTHON} {script} <<'REQUEST'\n{text}\nREQUEST"})


def _checks(quoted: Quoted) -> dict[str, Any]:
    return {"checks": quoted.checks, "undefined": quoted.undefined}


def _attempt(quoted: Quoted, tries: Sequence[Rewrite]) -> dict[str, Any]:
    return {
        "checks": _checks(quoted),
        "rewrites": [[r.path, r.line, r.old, r.new] for r in tries],
        "seconds": _SECONDS,
    }


def _definition(names: Sequence[str]) -> str:
    return rf"^\s*(async )?(def|class) ({'|'.join(names[:40])})\b"


def _places(found: str, names: Sequence[str]) -> list[tuple[str, int]]:
    """Where the functions stand, those named first coming first; tests are left out."""
    rows = re.findall(r"^(.+?):(\d+):\s*(?:async )?(?:def|class) (\w+)", found, re.MULTILINE)
    rows = [row for row in rows if "test" not in row[0]]
    rows.sort(key=lambda row: names.index(row[2]))
    return [(path, int(line)) for path, line, _ in rows][:_MOST_FUNCTIONS]


def _body(shown: str) -> list[tuple[int, str]]:
    """The numbered lines of the function that a view begins with."""
    rows = [(int(n), line) for n, line in re.findall(r"^ *(\d+)\t(.*)$", shown, re.MULTILINE)]
    if not rows:
        return []
    depth = len(rows[0][1]) - len(rows[0][1].lstrip())
    end = next(
        (
            i
            for i, (_, line) in enumerate(rows)
            if i and line.strip() and len(line) - len(line.lstrip()) <= depth and line[depth] != ")"
        ),
        len(rows),
    )
    return rows[:end]


def _tries(
    places: Sequence[tuple[str, int]], bodies: Sequence[list[tuple[int, str]]], seed: int
) -> list[Rewrite]:
    """Rewrites of all functions, one of each in turn, guesses last, else as the seed decides."""
    shuffler = random.Random(seed)
    columns = []
    for (path, start), body in zip(places, bodies, strict=True):
        column = list(rewrites(path, start, [line for _, line in body]))
        shuffler.shuffle(column)
        columns.append(column)
    mixed = chain.from_iterable(zip_longest(*columns))
    return sorted((r for r in mixed if r is not None), key=lambda r: r.is_guess)


def _around(
    rewrite: Rewrite, places: Sequence[tuple[str, int]], bodies: Sequence[list[tuple[int, str]]]
) -> list[tuple[int, str]]:
    """The function that a rewrite is in."""
    for (path, start), body in zip(places, bodies, strict=True):
        if path == rewrite.path and start <= rewrite.line < start + len(body):
            return body
    return []


def _edit(rewrite: Rewrite, body: list[tuple[int, str]]) -> dict[str, Any]:
    """The edit, with the function up to the changed line around it to be unique."""
    before = [line for number, line in body if number < rewrite.line]
    old = "\n".join([*before, rewrite.old])
    return {"path": rewrite.path, "old": old, "new": "\n".join([*before, rewrite.new])}


def reply(messages: Sequence[Message]) -> Reply:
    """The policy as a script for ``ScriptedEndpoint``: replayed from the conversation so far."""
    statement = next(m["content"] for m in messages if m["role"] == "user")
    return next_reply(repair(statement, 0), messages)


class Scripted:
    """Works without model, key or network, the same way each time for the same seed."""

    name = "scripted"
    needs: ClassVar[frozenset[Need]] = frozenset()

    def __init__(self, setting: Setting) -> None:
        tools = (BASH, VIEW, EDIT, SEARCH, SUBMIT)

        def policy(statement: str) -> Policy:
            return repair(statement, setting.seed)

        self._loop = ModelLoop(setting, tools, parallel=True, model=PolicyModel(policy))

    async def act(self, task: TaskView, box: Sandbox, log: Conversation) -> str:
        """Work on the task until the policy has nothing left to try."""
        return await self._loop.run(prompt(WITH_TOOLS, task), task, box, log)
