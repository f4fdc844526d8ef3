"""The building agent: a model in a box, three tools and a submit that answers with the truth.

Handing in is a tool call like any other: the script is tried at once, and the model reads what
happened, so that one loop with one budget is all there is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from regreen.agents.base import Model, Setting, TaskView
from regreen.agents.loop import ModelLoop
from regreen.agents.record import Conversation
from regreen.agents.tools import BASH, Context, Result, Tool
from regreen.core.errors import AgentError
from regreen.core.task import Task
from regreen.core.trajectory import Usage
from regreen.grading.place import ENV, TESTBED
from regreen.grading.script import WORKSPACE
from regreen.grading.workshop import Workshop, stack
from regreen.sandbox.base import BoxSpec, Mount, Sandbox, SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.buildbox import UV, build_spec, scratch_cache
from regreen.tasks.build.interpreters import Interpreter, find_interpreter
from regreen.tasks.builder.accepted import built_task, graded
from regreen.tasks.builder.check import Bench, check
from regreen.tasks.builder.findings import Attempt, Finding
from regreen.tasks.builder.harvest import harvest, script_of
from regreen.tasks.builder.settings import BuilderSettings
from regreen.tasks.builder.states import ChangeStates
from regreen.tasks.builder.switch import Switch
from regreen.tasks.builder.telling import feedback, opening
from regreen.tasks.repo.index import redact

__all__ = ["Built", "Refused", "Spent", "build_by_agent"]

_SECRET = re.compile(r"UV_INDEX_\w+_(USERNAME|PASSWORD)")
_INSTALLS = re.compile(r"\b(install|venv|add|get|restore|build)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the work on one change took."""

    turns: int
    """Answers of the model."""
    usage: Usage
    """Tokens over all of them."""
    seconds: float
    """Wall seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A change that became a task."""

    task: Task
    """The row; its layers are in the store."""
    attempts: tuple[Attempt, ...]
    """Scripts handed in, the accepted one last."""
    spent: Spent
    """What it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A change that did not."""

    reason: str
    """Kind of the first finding of the last script, or how the work ended, as ``turn_limit``."""
    detail: str
    """One sentence for a person."""
    attempts: tuple[Attempt, ...]
    """Scripts handed in, each with why it was refused."""
    spent: Spent
    """What it took."""


async def build_by_agent(
    states: ChangeStates,
    client: Model,
    *,
    provider: SandboxProvider,
    store: LayerStore,
    settings: BuilderSettings | None = None,
    note: Callable[[str], None] = lambda _: None,
    log: Path | None = None,
) -> Built | Refused:
    """Let a model make an environment and a verifying script for one change.

    Args:
        states: the change.
        client: the model; any endpoint's client, or a scripted one.
        provider: makes the boxes.
        store: takes the layers.
        settings: the budget.
        note: is told about each script that is handed in, one line at a time.
        log: file that receives the conversation as it grows.

    Raises:
        InfrastructureError: the machine failed, which says nothing about the change.
        ModelError: the endpoint failed.
        PrerequisiteError: no interpreter, or no box can be made.
    """
    settings = settings or BuilderSettings()
    setting = Setting(
        limits=settings.limits,
        seed=settings.seed,
        client=client,
        tool_format=settings.tool_format,
    )
    session = _Session(states, settings, provider, store, note)
    with Conversation(log, rollout_id=states.instance_id) as conversation:
        box = await provider.create(_spec(states, store))
        try:
            await _begin(box, states)
            loop = ModelLoop(setting, session.tools(), parallel=True)
            view = TaskView(problem_statement=states.statement, repo=states.repo)
            status = await loop.run(opening(states, settings), view, box, conversation)
        finally:
            await box.close()
        spent = Spent(
            turns=conversation.num_turns,
            usage=conversation.usage,
            seconds=round(conversation.elapsed(), 1),
        )
        if session.task is None:
            return _refused(session.attempts, status, spent)
        task = _with_install(session.task, _installs(conversation))
    return Built(task=task, attempts=tuple(session.attempts), spent=spent)


@dataclass(slots=True)
class _Session:
    """What is known of one change while it is worked on."""

    states: ChangeStates
    settings: BuilderSettings
    provider: SandboxProvider
    store: LayerStore
    note: Callable[[str], None]
    attempts: list[Attempt] = field(default_factory=list)
    task: Task | None = None

    def tools(self) -> tuple[Tool, ...]:
        submit = Tool(
            name="submit",
            description=(
                f"Hand in {WORKSPACE}/evaluation.sh. It is tried on both states in fresh boxes; if"
                " it is accepted the work is done, else you are told why not and may go on."
            ),
            run=self._submit,
        )
        return (BASH, *Switch(self.states).tools(), submit)

    async def _submit(self, context: Context, arguments: Mapping[str, Any]) -> Result:
        attempt, left_behind = await self._tried(context.box)
        self.attempts.append(attempt)
        number = len(self.attempts)
        if attempt.accepted:
            self.note(f"{self.states.instance_id}: script {number} is accepted")
            return Result(text="Accepted.", submitted=True)
        kinds = ", ".join(dict.fromkeys(one.kind for one in attempt.findings))
        self.note(f"{self.states.instance_id}: script {number} is refused: {kinds}")
        left = self.settings.submissions - number
        text = feedback(attempt, left=left, left_behind=left_behind)
        return Result(text=text, submitted=left <= 0)

    async def _tried(self, box: Sandbox) -> tuple[Attempt, tuple[str, ...]]:
        script = await script_of(box)
        if script is None:
            missing = Finding(kind="missing_script", where=f"{WORKSPACE}/evaluation.sh")
            return Attempt(script="", findings=(missing,)), ()
        try:
            kept = await harvest(box, self.states, self.store)
        except AgentError as exc:
            large = Finding(kind="too_large", where=exc.where, evidence=exc.what)
            return Attempt(script=script, findings=(large,)), ()
        bench = Bench(
            states=self.states,
            env=kept.env,
            build=kept.build,
            provider=self.provider,
            store=self.store,
            settings=self.settings,
        )
        attempt = await check(script, bench)
        if attempt.accepted:
            task = built_task(self.states, attempt, kept, repeats=self.settings.repeats)
            workshop = Workshop(
                self.provider, self.store, total_timeout=self.settings.script_seconds
            )
            attempt = replace(attempt, findings=await graded(task, workshop))
            self.task = task if attempt.accepted else None
        return attempt, kept.left_behind


def _spec(states: ChangeStates, store: LayerStore) -> BoxSpec:
    """The box the model works in: one that installs, its environment an overlay."""
    interpreter: Interpreter = find_interpreter()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", states.repo)
    made = build_spec(
        states.base.path,
        target=store.root,
        cache=scratch_cache(store.lasting.root, f"{name}-agent"),
        interpreter=interpreter,
        env={"VIRTUAL_ENV": ENV},
    )
    known = {path: state for path, state in states.bug.items() if state is not None}
    return replace(
        made,
        mounts=(
            Mount(target=TESTBED, lowers=(stack(known, store).path, *states.lowers(None))),
            Mount(target=ENV, lowers=(states.env.path,) if states.env else ()),
            Mount(target=WORKSPACE, lowers=()),
        ),
        writable_binds=tuple(bind for bind in made.writable_binds if bind[1] != ENV),
        # what the model runs lands in its record, so no password may be within its reach
        env={
            key: value
            for key, value in made.env.items()
            if not _SECRET.fullmatch(key) and redact(value) == value
        },
    )


async def _begin(box: Sandbox, states: ChangeStates) -> None:
    """Make an empty Python environment where there is none to begin with."""
    if states.env is None and states.language == "python":
        python = str(find_interpreter().path)
        await box.exec(
            [UV, "venv", "-q", "--relocatable", "--allow-existing", "--python", python, ENV]
        )


def _refused(attempts: list[Attempt], status: str, spent: Spent) -> Refused:
    last = attempts[-1].findings if attempts else ()
    reason, detail = status, f"no script was handed in; the work ended with {status}"
    if last:
        reason, detail = last[0].kind, last[0].told()
    return Refused(reason=reason, detail=detail, attempts=tuple(attempts), spent=spent)


def _with_install(task: Task, commands: tuple[str, ...]) -> Task:
    assert task.environment is not None
    environment = task.environment.model_copy(update={"install": commands})
    return task.model_copy(update={"environment": environment})


def _installs(conversation: Conversation) -> tuple[str, ...]:
    """Commands that worked and speak of installing, in order."""
    done = {
        seen.call_id: seen.exit_code == 0
        for turn in conversation.turns()
        for seen in turn.observations
    }
    found = []
    for message in conversation.messages:
        for call in message.get("tool_calls") or ():
            if call["function"]["name"] != "bash" or not done.get(call["id"]):
                continue
            try:
                command = json.loads(call["function"]["arguments"]).get("command", "")
            except (ValueError, AttributeError):
                continue
            if _INSTALLS.search(command):
                found.append(redact(command))
    return tuple(found)
