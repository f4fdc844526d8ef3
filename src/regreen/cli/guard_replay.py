"""``regreen guard replay``: what the blocker says about one call, and why."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from regreen.cli.shared import Output
from regreen.core.errors import UsageError
from regreen.guard.blocker import Blocker, Decision
from regreen.guard.subject import Subject

__all__ = ["replay"]

_REPOSITORY = re.compile(r"(?=.*\w)([\w.+-]+://|[\w.+-]+@)?[\w.@:~+-]+(/[\w.~+-]+)*/?")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Call(Output):
    """The call, and whose answer is protected."""

    command: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    """Shell text to judge; - reads it from stdin."""
    tool: str | None = None
    """Name of another tool that is called."""
    arguments: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    """Its arguments, a JSON object; - reads them from stdin."""
    repo: str | None = None
    """OWNER/NAME of the task's repository, or its address."""
    distribution: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Names under which it is published, beside those guessed from --repo."""
    file: Annotated[tuple[Path, ...], Parameter(negative="")] = ()
    """Files that the call would run, to be judged with it."""

    def read(self) -> tuple[str, dict[str, Any]]:
        """The tool's name and its arguments.

        Raises:
            UsageError: no call, two, or arguments that are no JSON object.
        """
        if (self.command is None) == (self.tool is None):
            msg = "give one call: a command, or a tool with its arguments"
            mend = 'give --command "git log", or --tool NAME --arguments JSON'
            raise UsageError(msg, where="--command, --tool", mend=mend)
        if self.tool is None:
            if self.arguments is not None:
                msg = "--arguments belongs to --tool"
                raise UsageError(msg, where="--arguments", mend="give --tool NAME too")
            return "bash", {"command": _text(self.command or "")}
        try:
            arguments = json.loads(_text(self.arguments or "{}"))
        except (ValueError, RecursionError) as error:
            msg = f"the arguments are not JSON: {error}"
            raise UsageError(msg, where="--arguments", mend="give a JSON object") from error
        if not isinstance(arguments, dict):
            msg = "the arguments are not a JSON object"
            raise UsageError(msg, where="--arguments", mend='give for example \'{"url": "..."}\'')
        return self.tool, arguments

    def subject(self) -> Subject:
        """Whose answer is protected.

        Raises:
            UsageError: the repository's name is none.
        """
        if self.repo is not None and not _REPOSITORY.fullmatch(self.repo):
            msg = f"{self.repo!r} names no repository: it must be OWNER/NAME or an address"
            mend = "give OWNER/NAME, for example --repo pallets/flask"
            raise UsageError(msg, where="--repo", mend=mend)
        return Subject.of(self.repo or "", distributions=self.distribution)

    def texts(self) -> dict[str, str]:
        """The given files, by the name they were given by.

        Raises:
            UsageError: one cannot be read.
        """
        found = {}
        for path in self.file:
            try:
                found[str(path)] = path.read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                msg = f"the file cannot be read: {error.strerror}"
                raise UsageError(msg, where=str(path), mend="give a file you can read") from error
        return found


def replay(*, call: Call | None = None) -> int:
    """Judge one tool call as the blocker does during a rollout, and explain the decision.

    Nothing is run. The exit code is 0 whatever the decision is: a refusal is a result.

    For example:

        regreen guard replay --command "git log --all" --repo pallets/flask
        regreen guard replay --command - --repo pallets/flask < attempt.sh
        regreen guard replay --tool web_search --arguments '{"query": "flask fix"}' --json
    """
    call = call or Call()
    console = call.console()
    tool, arguments = call.read()
    blocker = Blocker(call.subject())
    files = call.texts()
    decision = blocker.judge(tool, arguments, files)
    wanted = [path for path in blocker.wanted_files(tool, arguments) if not _given(path, files)]
    if call.json:
        console.json(_json(decision, wanted))
    else:
        console.result(_explained(decision, wanted))
    return 0


def _text(given: str) -> str:
    if given != "-":
        return given
    raw = getattr(sys.stdin, "buffer", None)
    return sys.stdin.read() if raw is None else raw.read().decode("utf-8", "replace")


def _given(path: str, files: dict[str, str]) -> bool:
    return any(path == name or path.endswith(f"/{name}") for name in files)


def _json(decision: Decision, wanted: list[str]) -> dict[str, Any]:
    row = asdict(decision)
    row["commands"] = row.pop("explain")
    return row | {"unread_files": wanted}


def _explained(decision: Decision, wanted: list[str]) -> str:
    lines: list[str] = [decision.decision]
    if decision.blocked:
        lines += [
            f"rule      {decision.rule}",
            f"message   {decision.message}",
            f"reason    {decision.reason}",
            f"evidence  {decision.evidence}",
        ]
    if decision.flags:
        lines.append(f"flags     {', '.join(decision.flags)}")
    if wanted:
        lines.append(f"unread    {', '.join(wanted)} (--file judges them too)")
    if decision.explain:
        lines += ["", "what the call comes down to:"]
        lines += [f"  {line}" for line in decision.explain]
    return "\n".join(lines)
