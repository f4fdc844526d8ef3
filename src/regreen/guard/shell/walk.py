"""Walks a script the way a shell would, and notes every command it would run.

Nothing is executed. Both sides of a branch are walked, loops are walked once per known word, and
what a command prints is followed only where it can be worked out (``outputs``). Work is bounded:
past the bound the reading is marked incomplete and stops.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from regreen.guard.shell.builtins import run_builtin
from regreen.guard.shell.command import Analysis, Command
from regreen.guard.shell.expand import Expansion
from regreen.guard.shell.grammar import (
    Block,
    Function,
    Loop,
    Node,
    Pipeline,
    Redirect,
    Simple,
    parse,
)
from regreen.guard.shell.outputs import printed
from regreen.guard.shell.programs import Program, run_program
from regreen.guard.shell.repositories import follow_repositories
from regreen.guard.shell.scope import HOLE, Scope

__all__ = ["analyse"]

_MOST_COMMANDS = 3_000
_MOST_DEPTH = 12
_MOST_TEXT = 256_000
_SIEVES = frozenset({"head", "tail", "sort", "uniq", "tac", "nl"})
"""Programs that hand on lines as they are."""
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[([^\]]*)\])?(\+?)=(.*)", re.DOTALL)
_HIDEABLE = (
    "curl", "wget", "git", "gh", "nc", "ncat", "ssh", "scp", "rsync", "ftp", "pip", "aria2c",
    "python3", "bash", "sh", "cat", "base64", "perl", "node", "ruby", "php",
)  # fmt: skip


def analyse(text: str, *, cwd: str, files: Mapping[str, str] | None = None) -> Analysis:
    """Read a script down to the commands it would run.

    Args:
        text: the script.
        cwd: directory it would start in.
        files: text of files of the box, by path.
    """
    first = Walker(Scope(cwd, files or {}))
    first.script(text)
    walkers = [first]
    if first.scope.forked:
        second = Walker(Scope(cwd, files or {}, keep_first=True))
        second.script(text)
        walkers.append(second)
    commands = tuple(command for walker in walkers for command in walker.commands)
    wanted = dict.fromkeys(path for walker in walkers for path in walker.scope.wanted)
    return Analysis(
        commands, tuple(wanted), all(walker.complete for walker in walkers), first.closed
    )


class Walker:
    """One walk; ``commands`` holds what was found.

    Args:
        scope: what is known at its start.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.commands: list[Command] = []
        self.complete = len(scope.given) < 1_000
        self.closed = True
        self.via: tuple[str, ...] = ()
        self.text = ""
        self._depth = 0
        self._calling: list[str] = []
        self._attached = 0
        self._expansion = Expansion(scope, self._substituted, self._attach)

    def script(self, text: str, *, stdin: str | None = None, via: str = "") -> str | None:
        """Walk shell text; returns what it prints, when that is known."""
        if self._depth >= _MOST_DEPTH or len(self.commands) >= _MOST_COMMANDS:
            self.complete = False
            return None
        if len(text) > _MOST_TEXT:
            self.complete = False
            text = text[:_MOST_TEXT]
        before = self.via, self.text
        self._depth += 1
        self.via = (*self.via, via) if via else self.via
        try:
            tree = parse(text)
            self.closed = self.closed and (tree.closed or self._depth > 1)
            return self._node(tree, stdin, "")
        finally:
            self._depth -= 1
            self.via, self.text = before

    def note(self, command: Command) -> None:
        """Add a command that was found."""
        if len(self.commands) >= _MOST_COMMANDS:
            self.complete = False
            return
        known = self.scope.links or self.scope.repositories
        if known:
            links, fresh = dict(self.scope.links), frozenset(self.scope.repositories)
            command = replace(command, links=links, repositories=fresh)
        self.commands.append(command)

    def _substituted(self, text: str) -> str | None:
        if len(text) < 3 and not text.strip():
            return ""
        if found := re.fullmatch(r"\s*<\s*(\S+)\s*", text):
            return self.scope.read(self._expansion.text(found[1]))
        cwd = self.scope.cwd
        out = self.script(text, via="$()")
        self.scope.cwd = cwd
        return out

    def _attach(self, text: str) -> str:
        self._attached += 1
        path = f"/dev/fd/{62 + self._attached}"
        self.scope.write(path, self.script(text, via="<()"))
        return path

    def _node(self, node: Node, stdin: str | None, feeds: str) -> str | None:
        if len(self.commands) >= _MOST_COMMANDS:
            self.complete = False
            return None
        if isinstance(node, Simple):
            return self._simple(node, stdin, feeds)
        if isinstance(node, Pipeline):
            return self._pipeline(node.parts, stdin, feeds)
        if isinstance(node, Function):
            self.scope.functions[node.name] = node.body
            return ""
        if isinstance(node, Loop):
            return self._loop(node, stdin, feeds)
        return self._block(node, stdin, feeds)

    def _block(self, node: Block, stdin: str | None, feeds: str) -> str | None:
        stdin, target = self._redirected(node.redirects, stdin)
        cwd, conditional = self.scope.cwd, self.scope.conditional
        self.scope.conditional = conditional or node.conditional
        outs = [self._node(item, stdin, feeds) for item in node.items]
        self.scope.conditional = conditional
        if node.subshell:
            self.scope.cwd = cwd
        return self._emit(_together(outs), target)

    def _pipeline(self, parts: Sequence[Node], stdin: str | None, feeds: str) -> str | None:
        out = stdin
        for place, part in enumerate(parts):
            following = [_first_word(each) for each in parts[place + 1 :]]
            name = next((each for each in following if each not in _SIEVES), "")
            out = self._node(part, out, name or feeds or "".join(following[:1]))
        return out

    def _loop(self, node: Loop, stdin: str | None, feeds: str) -> str | None:
        stdin, target = self._redirected(node.redirects, stdin)
        if node.words is None:
            values = list(self.scope.positional) or [HOLE]
        else:
            values = [field for raw in node.words for field in self._expansion.fields(raw)]
        outs = []
        for value in values[:24] or [HOLE]:
            if node.name:
                self.scope.variables[node.name] = (value,)
            outs.append(self._node(node.body, stdin, feeds))
        return self._emit(_together(outs), target)

    def _redirected(
        self, redirects: Iterable[Redirect], stdin: str | None
    ) -> tuple[str | None, tuple[str, str] | None]:
        """What is fed in, and where standard output goes: operator and path."""
        target = None
        for each in redirects:
            if each.operator == "<<":
                body = each.body or ""
                stdin = body if each.literal else self._expansion.body(body)
            elif each.operator == "<<<":
                stdin = self._expansion.text(each.target) + "\n"
            elif each.operator == "<":
                stdin = self.scope.read(self._expansion.text(each.target))
            elif each.operator in {">", ">>", ">|", "&>", "&>>"}:
                target = (each.operator, self._expansion.text(each.target))
        return stdin, target

    def _emit(self, out: str | None, target: tuple[str, str] | None) -> str | None:
        """Send output where a redirection points; returns what is left for a pipe."""
        if target is None:
            return out
        if target[1] not in {"/dev/stdout", "/dev/stderr", "/dev/null", "/dev/tty"}:
            self.scope.write(target[1], out, append=">>" in target[0])
        return "" if target[1] != "/dev/stdout" else out

    def _simple(self, node: Simple, stdin: str | None, feeds: str) -> str | None:
        self.text = node.text
        given, words = self._assignments(node.words)
        if words and words[0] in self.scope.aliases and words[0] not in self._calling:
            self._calling.append(words[0])
            rest = node.text.partition(words[0])[2]
            out = self.script(self.scope.aliases[words[0]] + rest, stdin=stdin, via="alias")
            self._calling.pop()
            return out
        fields = [field for raw in words for field in self._expansion.fields(raw)]
        stdin, target = self._redirected(node.redirects, stdin)
        redirects = tuple(
            (each.operator, self._expansion.text(each.target))
            for each in node.redirects
            if each.operator not in {"<<", "<<<"}
        )
        if not fields:
            for name, value in given.items():
                self.scope.assign(name, (value,))
            if redirects:
                self.note(Command(program="", redirects=redirects, text=node.text, via=self.via))
            return self._emit("", target)
        out = self.call(fields, stdin=stdin, assignments=given, redirects=redirects, feeds=feeds)
        return self._emit(out, target)

    def _assignments(self, raw: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """Split off leading assignments; arrays are set at once."""
        given: dict[str, str] = {}
        words = list(raw)
        while words and (found := _ASSIGNMENT.fullmatch(words[0])):
            words.pop(0)
            name, index, plus, value = found.groups()
            if value.startswith("(") and value.endswith(")"):
                self._array(name, value[1:-1], append=bool(plus))
                continue
            text = self._expansion.text(value)
            if index is not None:
                self._element(name, index, text)
            elif plus:
                before = given.get(name, "".join(self.scope.variables.get(name, ())))
                given[name] = before + text
            else:
                given[name] = text
            if not words or _ASSIGNMENT.fullmatch(words[0]):
                for key, known in given.items():
                    if not words:
                        self.scope.assign(key, (known,))
        return given, words

    def _array(self, name: str, inner: str, *, append: bool) -> None:
        found: list[str] = list(self.scope.variables.get(name, ())) if append else []
        for item in parse(inner.replace("\n", " ")).items:
            for raw in item.words if isinstance(item, Simple) else ():
                key = re.fullmatch(r"\[([^\]]+)\]=(.*)", raw, re.DOTALL)
                if key:
                    self._element(name, key[1], self._expansion.text(key[2]))
                else:
                    found += self._expansion.fields(raw)
        self.scope.assign(name, tuple(found))

    def _element(self, name: str, index: str, text: str) -> None:
        if index.isdigit() and int(index) < 256:
            values = list(self.scope.variables.get(name, ()))
            values += [""] * (int(index) + 1 - len(values))
            values[int(index)] = text
            self.scope.assign(name, tuple(values))
        else:
            self.scope.assign(f"{name}[{index}]", (text,))

    def call(
        self,
        fields: Sequence[str],
        *,
        stdin: str | None = None,
        assignments: Mapping[str, str] | None = None,
        redirects: tuple[tuple[str, str], ...] = (),
        feeds: str = "",
        via: str = "",
    ) -> str | None:
        """Note a command with known fields and what it runs; returns what it prints."""
        if self._depth >= _MOST_DEPTH or not fields:
            self.complete = self.complete and not fields
            return None
        before = self.via
        self.via = (*before, via) if via else before
        self._depth += 1
        try:
            return self._called(fields, stdin, dict(assignments or {}), redirects, feeds)
        finally:
            self._depth -= 1
            self.via = before

    def _called(
        self,
        fields: Sequence[str],
        stdin: str | None,
        assignments: dict[str, str],
        redirects: tuple[tuple[str, str], ...],
        feeds: str,
    ) -> str | None:
        path, arguments = fields[0], tuple(fields[1:])
        name = self._program(path)
        if name in self.scope.functions and name not in self._calling:
            return self._function(name, arguments, stdin, feeds)
        command = Command(
            program=name,
            arguments=arguments,
            assignments=assignments,
            redirects=redirects,
            stdin=stdin,
            feeds=feeds,
            text=self.text,
            via=self.via,
            cwd=self.scope.cwd,
            texts=self._texts(arguments),
            remotes=frozenset(self.scope.remotes),
            made=frozenset(self.scope.made),
        )
        follow_repositories(self.scope, command)
        self.note(command)
        for hook in ("GIT_SSH_COMMAND", "GIT_PAGER", "PAGER", "GIT_EDITOR", "GIT_EXTERNAL_DIFF"):
            if " " in assignments.get(hook, ""):
                self.script(assignments[hook], via=hook)
        out = run_builtin(self, command)
        if out is not None:
            return out
        out = run_program(self, Program(path, command))
        known = printed(name, arguments, stdin, self.scope)
        return out if known is None else known

    def _texts(self, arguments: Sequence[str]) -> dict[str, str]:
        if not self.scope.files and not self.scope.given:
            return {}
        names = [word for word in arguments if word and len(word) < 300]
        texts = {name: self.scope.read(name) for name in names}
        return {name: text for name, text in texts.items() if text is not None}

    def _function(
        self, name: str, arguments: tuple[str, ...], stdin: str | None, feeds: str
    ) -> str | None:
        self._calling.append(name)
        outer = self.scope.positional
        self.scope.positional = arguments
        try:
            return self._node(self.scope.functions[name], stdin, feeds)
        finally:
            self.scope.positional = outer
            self._calling.pop()

    def _program(self, path: str) -> str:
        """The name of the program behind a path, a copy, a link or a pattern."""
        known = self.scope.programs.get(self.scope.path(path)) or self.scope.programs.get(path)
        if known:
            return known
        name = posixpath.basename(path.replace(HOLE, "").rstrip("/")) if path != HOLE else HOLE
        if any(mark in name for mark in "*?["):
            return next((each for each in _HIDEABLE if fnmatch.fnmatch(each, name)), name)
        return name


def _together(outs: Sequence[str | None]) -> str | None:
    known = [out for out in outs if out is not None]
    return "".join(known) if len(known) == len(outs) else None


def _first_word(node: Node) -> str:
    if isinstance(node, Simple) and node.words:
        return posixpath.basename(node.words[0])
    return "while" if isinstance(node, Block | Loop) else ""
