"""What a program runs besides itself: wrapped commands, scripts, inline code, copies."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from regreen.guard.shell.code import read_code
from regreen.guard.shell.command import Command
from regreen.guard.shell.git import read_git
from regreen.guard.shell.interpreters import SHELLS, interpreter
from regreen.guard.shell.python import Found, read_python
from regreen.guard.shell.repositories import follow_repositories
from regreen.guard.shell.scope import HOLE
from regreen.guard.shell.wrappers import only_checks, unwrap

if TYPE_CHECKING:
    from regreen.guard.shell.walk import Walker

__all__ = ["Program", "run_code", "run_program", "run_python"]

_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/opt/env/bin/", "/opt/venv/bin/")
_PYTHON_VALUES = frozenset({"-W", "-X", "--check-hash-based-pycs", "-Q"})
_SCRIPT = re.compile(
    r"\.(sh|bash|zsh|py|js|mjs|cjs|ts|pl|pm|rb|php|lua|r|jl|tcl|awk|exs?|go|java|kts?|rs|swift|cs|dart|nim|cr|zig|hs|ml|scala|groovy|sql|gp|m4)$",
    re.I,
)
_BUILDERS = frozenset({"go", "zig", "dart", "crystal"})
"""Programs that build, check and also run: only the last is followed."""
_INLINE = re.compile(r"[\s()'\"`;:!|$]|\{")


@dataclass(frozen=True, slots=True)
class Program:
    """A command and the path it was called by."""

    path: str
    """First field."""
    command: Command
    """The rest."""


def run_program(walker: Walker, program: Program) -> str | None:  # noqa: PLR0911
    """Follow what a program runs; returns what that prints, when it is known."""
    command = program.command
    name, arguments, stdin = command.program, command.arguments, command.stdin
    _note_copies(walker, name, arguments)
    inners = unwrap(name, arguments, stdin)
    out: str | None = None
    for inner in inners:
        given = dict(command.assignments) | dict(inner.assignments)
        if inner.script is not None:
            outer = walker.scope.positional
            walker.scope.positional = inner.words[1:]
            out = walker.script(inner.script, stdin=stdin, via=name)
            walker.scope.positional = outer
        else:
            out = walker.call(
                inner.words, stdin=stdin, assignments=given, feeds=command.feeds, via=name
            )
    if inners:
        return out
    if name in SHELLS or name in {"at", "batch"}:
        return _shell(walker, command)
    kind = interpreter(name)
    if kind == "python":
        return _python(walker, command)
    if kind == "code":
        return _code(walker, command)
    if name in {"make", "gmake"}:
        return _make(walker, command)
    if name == "crontab" and stdin is not None:
        jobs = [re.sub(r"^\s*(@\w+|(\S+\s+){5})", "", line) for line in stdin.splitlines()]
        return walker.script("\n".join(jobs), via=name)
    if "/" in program.path and not program.path.startswith(_SYSTEM):
        return _script(walker, program.path, command)
    return None


def _note_copies(walker: Walker, name: str, arguments: Sequence[str]) -> None:
    """Follow copies and links of programs and of files, and git remotes made from directories."""
    words = [word for word in arguments if not word.startswith("-")]
    scope = walker.scope
    if name in {"cp", "mv", "ln", "install"} and len(words) == 2:
        source, target = words
        text = scope.read(source)
        if text is not None:
            scope.write(target, text)
        elif source.startswith(_SYSTEM):
            scope.programs[scope.path(target)] = posixpath.basename(source)
            scope.programs[posixpath.basename(target)] = posixpath.basename(source)
    elif name == "tee":
        return
    elif name == "git":
        call = read_git(arguments)
        verb, words = call.name, list(call.words)
        if verb == "remote" and words[:1] in (["add"], ["set-url"]) and len(words) > 2:
            if ":" not in words[2] and HOLE not in words[2]:
                scope.remotes.add(words[1])
        elif verb == "clone" and words and not any(":" in word or HOLE in word for word in words):
            scope.remotes.add("origin")
        elif verb in {"tag", "branch", "checkout", "switch"} and words:
            making = {"-b", "-B", "-c", "-C", "--orphan", "--create"} & set(call.arguments)
            if making or verb in {"tag", "branch"}:
                scope.made.add(words[0])
    elif name == "hash" and len(arguments) > 2 and arguments[0] == "-p":
        scope.programs[arguments[2]] = posixpath.basename(arguments[1])


def _text_of(walker: Walker, path: str) -> str | None:
    """The text of a file about to run; noted as wanted where it is not at hand."""
    text = walker.scope.read(path)
    if text is None and HOLE not in path and not path.startswith(("/dev/", *_SYSTEM)):
        walker.scope.wanted.setdefault(walker.scope.path(path))
    return text


def _shell(walker: Walker, command: Command) -> str | None:
    if only_checks(command.arguments):
        return None
    words = [word for word in command.arguments if not word.startswith(("-", "+"))]
    reads_stdin = "-s" in command.arguments or not words or words[0] in {"-", "/dev/stdin"}
    if reads_stdin or command.program in {"at", "batch"}:
        text, rest = command.stdin, words
    else:
        text, rest = _text_of(walker, words[0]), words[1:]
    if text is None:
        return None
    outer = walker.scope.positional
    walker.scope.positional = tuple(rest)
    out = walker.script(text, via=command.program)
    walker.scope.positional = outer
    return out


def _script(walker: Walker, path: str, command: Command) -> str | None:
    text = _text_of(walker, path)
    if text is None:
        return None
    first = text.partition("\n")[0]
    named = re.match(r"#!\s*(?:\S*/)?([\w.-]+)(?:\s+(?:-S\s+)?([\w.-]+))?", first)
    shebang = named[2] if named and named[1] == "env" else named[1] if named else "sh"
    return walker.call((shebang or "sh", path, *command.arguments), stdin=command.stdin, via=path)


def _python(walker: Walker, command: Command) -> str | None:
    words = list(command.arguments)
    while words:
        word = words.pop(0)
        if word in _PYTHON_VALUES and words:
            words.pop(0)
        elif re.fullmatch(r"-[A-Za-z]*c", word):
            return run_python(walker, words[0] if words else "", words, command)
        elif re.fullmatch(r"-[A-Za-z]*c.+", word) and not word.startswith("--"):
            return run_python(walker, word.partition("c")[2], words, command)
        elif re.fullmatch(r"-[A-Za-z]*m", word) and words:
            return _module(walker, words[0], words[1:], command)
        elif word in {"-", "/dev/stdin"}:
            break
        elif not word.startswith("-"):
            text = _text_of(walker, word)
            return None if text is None else run_python(walker, text, [word, *words], command)
    if command.stdin is None:
        return None
    return run_python(walker, command.stdin, ["-", *words], command)


def _module(walker: Walker, name: str, rest: Sequence[str], command: Command) -> str | None:
    if name in {"timeit", "cProfile", "profile", "trace", "pdb", "coverage", "memory_profiler"}:
        inner = [word for word in rest if not word.startswith("-") and word != "run"]
        if name == "timeit":
            return run_python(walker, "\n".join(inner), [], command)
        return walker.call(("python", *inner), stdin=command.stdin, via=name) if inner else None
    walker.note(
        replace(command, program=name, arguments=tuple(rest), via=(*command.via, "python -m"))
    )
    for inner_command in unwrap(name, rest):
        if inner_command.words:
            walker.call(inner_command.words, via=name)
    path = name.replace(".", "/") + ".py"
    text = walker.scope.read(path)
    if text is None:
        walker.scope.wanted.setdefault(walker.scope.path(path))
        return None
    return run_python(walker, text, [path, *rest], command)


def run_python(walker: Walker, code: str, arguments: Sequence[str], command: Command) -> str | None:
    """Note what Python code would call and run."""

    def environment(name: str) -> str:
        return command.assignments.get(name) or "".join(walker.scope.values(name))

    found: Found = read_python(
        code, arguments=arguments, environment=environment, read=walker.scope.read
    )
    for path, text in found.writes.items():
        walker.scope.write(path, text)
    for call in found.commands:
        follow_repositories(walker.scope, call)
        walker.note(replace(call, via=(*walker.via, "python"), cwd=walker.scope.cwd))
    for script in found.scripts:
        walker.script(script, via="python")
    for words in found.words:
        if words:
            walker.call(words, via="python")
    return found.printed


def _code(walker: Walker, command: Command) -> str | None:
    if command.program in _BUILDERS and command.arguments[:1] != ("run",):
        return None
    awk = command.program.endswith("awk")
    texts = [word for word in command.arguments if _INLINE.search(word)]
    files = [
        word
        for word in command.arguments
        if not word.startswith("-")
        and word not in texts
        and (_SCRIPT.search(word) or walker.scope.read(word) is not None)
    ]
    for path in files[:1]:
        text = _text_of(walker, path)
        if text is not None:
            texts = [text, *texts]
    texts += [text for path in files[1:] if (text := walker.scope.read(path)) is not None]
    if not files and not awk and command.stdin is not None:
        texts.append(command.stdin)
    run_code(walker, "\n".join(texts), command)
    return None


def run_code(walker: Walker, text: str, command: Command) -> None:
    """Note what code in another language would fetch, read and run."""
    found = read_code(text)
    program = f"{command.program} code"
    base = replace(command, program=program, language="code", text=command.text or text[:200])
    if found.addresses:
        walker.note(replace(base, program="network", arguments=found.addresses))
    if found.paths:
        walker.note(replace(base, program="literals", arguments=found.paths))
    for script in found.scripts:
        walker.script(script, via=program)
    if len(found.words) > 1:
        for start in range(min(len(found.words), 12)):
            walker.call(found.words[start:], via=program)


def _make(walker: Walker, command: Command) -> str | None:
    """Recipes of a makefile that the call wrote or names; the project's own is its own affair."""
    words = command.arguments
    names = [words[n + 1] for n, word in enumerate(words[:-1]) if word in {"-f", "--file"}]
    names += [word[2:] for word in words if word.startswith("-f") and len(word) > 2]
    for name in names or ["Makefile", "makefile", "GNUmakefile"]:
        stdin = command.stdin if name in {"-", "/dev/stdin"} else None
        text = stdin or (_text_of(walker, name) if names else walker.scope.read(name))
        if text is not None:
            walker.script(_recipes(text), via="make")
    return None


def _recipes(makefile: str) -> str:
    lines = [line.lstrip("\t@-") for line in makefile.splitlines() if line.startswith("\t")]
    inline = re.findall(r"^[^\t#=]+:[^;\n]*;(.*)$", makefile, re.MULTILINE)
    shells = re.findall(r"\$\(shell (.*?)\)", makefile)
    return "\n".join([*lines, *inline, *shells])
