"""The blocker: every tool call is judged before it runs, and a refusal says what is prohibited.

It is feedback and a training signal, not the wall: the box has no route and no history to read.
What it cannot read it lets pass: a refusal of honest work costs as much as a missed attempt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from regreen.guard.rules import Hit, Look, Rule, load, matches
from regreen.guard.shell import Command, analyse
from regreen.guard.shell.programs import run_python
from regreen.guard.shell.scope import HOLE, Scope
from regreen.guard.shell.walk import Walker
from regreen.guard.subject import Subject

__all__ = ["Blocker", "Decision"]

_SHELL_KEYS = (
    "command",
    "cmd",
    "script",
    "bash",
    "shell",
    "commands",
    "keystrokes",
    "shell_command",
)
_CODE_KEYS = ("code", "python", "source", "program", "cell", "source_code")
_URL_KEYS = ("url", "urls", "uri", "link", "href", "endpoint")
_PATH_KEYS = ("path", "file_path", "filename", "file", "filepath", "paths", "absolute_path", "uri")
_FOLDER_KEYS = ("cwd", "workdir", "working_directory", "directory", "working_dir")
_CALM = re.compile(
    r"^(submit|finish|think|plan|todo\w*|task_done|complete|message|respond|final_answer)$"
)
_WRITES = re.compile(r"(^|_)(edit|write|create|insert|replace|patch|str|undo|append)(_|$)")
_LINK = re.compile(r"https?://|git@|github\.com")
_KEYWORD = re.compile(r"\b(git|curl|wget)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is done about one call, and why."""

    decision: Literal["allow", "block"]
    """Whether it runs."""
    rule: str = ""
    """Identifier of the rule that refuses it."""
    reason: str = ""
    """Why the rule is there."""
    message: str = ""
    """What the agent is told."""
    evidence: str = ""
    """The part of the call that the rule holds for."""
    hacking: bool = False
    """Whether it reaches for the answer, rather than being merely not allowed."""
    flags: tuple[str, ...] = ()
    """Rules that hold and are only worth a look."""
    explain: tuple[str, ...] = ()
    """One line for each command that was read, with what became of it."""

    @property
    def blocked(self) -> bool:
        """True when the call must not run."""
        return self.decision == "block"


@dataclass(frozen=True, slots=True)
class Blocker:
    """Judges the tool calls of one task."""

    subject: Subject
    """Whose answer is protected."""
    penalty: float = 0.0
    """Subtracted from the reward of the tokens of a refused call; 0 only records it."""
    rules: tuple[Rule, ...] = field(default_factory=lambda: load().rules)
    """In the order in which they are asked."""

    def judge(
        self, tool: str, arguments: Mapping[str, Any], files: Mapping[str, str] | None = None
    ) -> Decision:
        """Decide about one call.

        Args:
            tool: name of the tool.
            arguments: as the model gave them.
            files: text of files that the call would run, see ``wanted_files``.
        """
        named = self._tool(tool, arguments)
        if named is not None:
            return named
        try:
            commands, _, complete, closed = self._commands(tool, arguments, files or {})
        except RecursionError:
            return self._unread(arguments)
        decision = self._decided(commands)
        if not closed:
            decision = replace(decision, flags=(*decision.flags, "unreadable"))
        if complete or decision.blocked:
            return decision
        literal = self._unread(arguments)
        return literal if literal.blocked else decision

    def wanted_files(self, tool: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """Absolute paths of files that a call would run, so that their text can be judged too."""
        try:
            return self._commands(tool, arguments, {})[1][:16]
        except RecursionError:
            return ()

    def _tool(self, tool: str, arguments: Mapping[str, Any]) -> Decision | None:
        """A refusal of the tool itself."""
        names = _names_of(tool)
        for rule in self.rules:
            for match in rule.match:
                unlike = match.not_argument and any(
                    re.search(match.not_argument, key) for key in arguments
                )
                if match.tool and not unlike and any(_fits(name, match.tool) for name in names):
                    call = f"{tool}({json.dumps(dict(arguments), default=str)[:200]})"
                    return _refused(Hit(rule, call), (), (f"{call}: {rule.id}",))
        return None

    def _commands(
        self, tool: str, arguments: Mapping[str, Any], files: Mapping[str, str]
    ) -> tuple[list[Command], tuple[str, ...], bool, bool]:
        """What a call comes down to, the files it would run; if all was read; if it parses."""
        cwd = next(
            (str(arguments[key]) for key in _FOLDER_KEYS if isinstance(arguments.get(key), str)),
            self.subject.workdir,
        )
        cwd = cwd if cwd.startswith("/") else f"{self.subject.workdir}/{cwd}"
        if _CALM.match(tool.lower()):
            return [], (), True, True
        found: list[Command] = []
        wanted: list[str] = []
        complete = closed = True
        for key, value in arguments.items():
            for text, kind in _parts(tool.lower(), key, value):
                if kind == "shell":
                    analysis = analyse(text, cwd=cwd, files=files)
                    found += analysis.commands
                    wanted += analysis.wanted
                    complete = complete and analysis.complete
                    closed = closed and analysis.closed
                elif kind == "python":
                    walker = Walker(Scope(cwd, files))
                    run_python(walker, text, (), Command(program="python"))
                    found += walker.commands
                    wanted += walker.scope.wanted
                else:
                    program = "curl" if kind == "url" else "read"
                    found.append(
                        Command(program=program, arguments=(text,), text=f"{tool}: {text}", cwd=cwd)
                    )
        return found, tuple(dict.fromkeys(wanted)), complete, closed

    def _decided(self, commands: Sequence[Command]) -> Decision:
        tables = load()
        order = {rule.id: place for place, rule in enumerate(self.rules)}
        refusals: list[Hit] = []
        flags: dict[str, None] = {}
        explain: dict[str, None] = {}
        for command in commands:
            hits = list(matches(self.rules, Look(command, self.subject, tables)))
            refusals += [hit for hit in hits if not hit.rule.flag]
            flags |= dict.fromkeys(hit.rule.id for hit in hits if hit.rule.flag)
            explain[_line(command, hits)] = None
        if not refusals:
            return Decision(decision="allow", flags=tuple(flags), explain=tuple(explain))
        first = min(refusals, key=lambda hit: order[hit.rule.id])
        return _refused(first, tuple(flags), tuple(explain))

    def _unread(self, arguments: Mapping[str, Any]) -> Decision:
        """A call too large or too deep to be read falls back to the original's rule, by words."""
        text = " ".join(str(value) for value in arguments.values())
        linked = bool(_LINK.search(text)) and self.subject.named_in(text)
        if linked and _KEYWORD.search(text):
            rule = next(rule for rule in self.rules if rule.id == "upstream-fetch")
            return _refused(Hit(rule, text[:200]), ("unreadable",), ())
        return Decision(decision="allow", flags=("unreadable",))


def _refused(hit: Hit, flags: tuple[str, ...], explain: tuple[str, ...]) -> Decision:
    return Decision(
        decision="block",
        rule=hit.rule.id,
        reason=hit.rule.reason,
        message=hit.rule.message,
        hacking=hit.rule.hacking,
        evidence=_shown(hit.evidence)[:400],
        flags=flags,
        explain=explain,
    )


def _line(command: Command, hits: Sequence[Hit]) -> str:
    via = f"  [in {' > '.join(command.via)}]" if command.via else ""
    words = [command.program, *command.arguments]
    words += [f"{operator} {target}" for operator, target in command.redirects]
    call = " ".join(_shown(word)[:120] for word in words)[:300]
    became = ", ".join(hit.rule.id + (" (flag)" if hit.rule.flag else "") for hit in hits)
    return f"{call}{via}: {became or 'no rule holds'}"


def _shown(text: str) -> str:
    return text.replace(HOLE, "…").replace("\n", " ")


def _names_of(tool: str) -> set[str]:
    """The names a tool may be meant by: without its server, in snake case, in lower case."""
    last = re.split(r"__|[./:]", tool)[-1]
    found = set()
    for name in (tool, last):
        found.add(name.lower())
        found.add(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    if "__" in tool:
        found.add(tool.split("__")[-2].lower())
    return {name.replace("-", "_") for name in found} | found


def _fits(name: str, patterns: Sequence[str]) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _parts(tool: str, key: str, value: Any) -> list[tuple[str, str]]:  # JSON edge
    """The pieces of one argument that are worth reading: text, and what it is to be read as."""
    key = key.lower()
    texts = [value] if isinstance(value, str) else []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        texts = value
        if key in _SHELL_KEYS and key != "commands":
            import shlex

            return [(shlex.join(value), "shell")]
    if key in _SHELL_KEYS or (key == "input" and "shell" in tool):
        return [(text, "shell") for text in texts]
    if key in _CODE_KEYS or (key == "input" and "python" in tool):
        return [(text, _language(tool, text)) for text in texts if not _WRITES.search(tool)]
    if key in _URL_KEYS and not _WRITES.search(tool):
        return [(text, "url") for text in texts]
    if key in _PATH_KEYS:
        return [(text, "path") for text in texts]
    return []


def _language(tool: str, text: str) -> str:
    if any(word in tool for word in ("bash", "shell", "terminal")):
        return "shell"
    try:
        compile(text, "", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "shell"
    return "python"
