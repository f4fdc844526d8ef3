"""What the text of a verifying script gives away: commands that read, and do not run, the repair.

Only files of the gold patch matter, for nothing else differs between the two states; a script may
search the output of programs, and any other file, as it likes. What is missed here is caught when
the script runs (``variants``).
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from regreen.grading.place import TESTBED
from regreen.grading.script import MAX_SCRIPT_BYTES, WORKSPACE
from regreen.guard.shell import Command, analyse
from regreen.guard.shell.scope import HOLE
from regreen.tasks.builder.findings import Finding, Kind
from regreen.tasks.builder.snippets import inspections, python_calls, snippets
from regreen.tasks.builder.states import ChangeStates

__all__ = ["read_script"]

_READERS = frozenset(
    ("grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "sed", "awk", "gawk", "mawk", "cat",
     "tac", "head", "tail", "less", "more", "nl", "diff", "cmp", "comm", "sdiff", "cksum", "sum",
     "md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "b2sum", "wc",
     "strings", "od", "xxd", "hexdump", "cut", "sort", "uniq", "tr", "paste", "fold", "join",
     "look", "rev", "column", "jq", "ed", "ex", "base64", "read", "mapfile", "readarray", "[[")
)  # fmt: skip
_DEEP = frozenset(("rg", "ag", "ack"))
"""Searchers that go through directories, the current one when none is named."""
_RUNNERS = re.compile(r"(ba|da|z|k)?sh|python[\d.]*|pypy\d*|perl|node|ruby|php|lua|Rscript")
_WRITERS = frozenset(("tee", "rm", "truncate", "touch", "chmod", "unlink", "shred"))
_PLACERS = frozenset(("cp", "mv", "install", "ln", "rsync"))
_GIT_CHANGES = frozenset(
    ("apply", "am", "cherry-pick", "checkout", "restore", "reset", "stash", "revert", "merge",
     "switch", "pull", "rebase")
)  # fmt: skip
_GIT_ASKS = frozenset(
    ("diff", "diff-index", "diff-files", "diff-tree", "status", "log", "show", "rev-parse", "grep",
     "rev-list", "describe", "blame", "ls-files", "ls-tree", "hash-object", "cat-file", "branch")
)  # fmt: skip
_TIME_TESTS = frozenset(("-nt", "-ot", "-N"))
_FIND_TIMES = re.compile(r"-(newer\w*|[acm]min|[acm]time)")
_FILE_CALLS = re.compile(
    r"(^|\.)(open|fdopen|read_text|read_bytes|getline|getlines|fromfile|readlines)$"
)
_PATH_CALLS = re.compile(
    r"(^|\.)(exists|isfile|isdir|getmtime|getsize|is_file|is_dir|stat|lstat|access|lexists)$"
)
_CODE_READS = re.compile(
    r"readFile|createReadStream|\bopen\s*[(\s]|File\.read|IO\.read|slurp|file_get_contents|<\w+>"
    r"|io\.lines|readLines"
)
_IDLE = frozenset(
    ("exit", "echo", "printf", "true", "false", ":", "[", "test", "[[", "cd", "set", "export",
     "return", "read", "local", "declare", "shift", "trap", "umask", "sleep", "pwd", "unset")
)  # fmt: skip
_LEAST_KEY = 10
_Told = Iterator[tuple[Kind, str]]


@dataclass(frozen=True, slots=True)
class _Reader:
    states: ChangeStates
    tree: frozenset[str]
    """Every path of the two states."""
    mentioned: Mapping[str, int]
    """How often each word stands in the script."""

    def names(self, word: str, cwd: str) -> str:
        """The file of the change that a word names, or nothing."""
        if HOLE in word:
            end = word.rpartition(HOLE)[2].strip("/")
            return next((p for p in self.states.sources if end and f"/{p}".endswith(f"/{end}")), "")
        path = self._inside(word, cwd)
        return next((p for p in sorted(self.states.sources) if fnmatch.fnmatchcase(p, path)), "")

    def covers(self, word: str, cwd: str) -> str:
        """The file of the change below a directory, or nothing."""
        path = self._inside(word, cwd)
        if path == ".":
            return min(self.states.sources, default="")
        return next((p for p in sorted(self.states.sources) if p.startswith(f"{path}/")), "")

    def comes_or_goes(self, path: str) -> bool:
        """Whether a file is in one of the two states alone."""
        states = self.states
        return path in states.sources and (not states.bug[path]) != (not states.resolved[path])

    def _inside(self, word: str, cwd: str) -> str:
        path = posixpath.normpath(posixpath.join(cwd or TESTBED, word))
        return posixpath.relpath(path, TESTBED) if path.startswith("/") and len(word) < 400 else ""

    def named(self, command: Command) -> str:
        """The first file of the change among a command's arguments and inputs."""
        words = [*command.arguments, *(t for op, t in command.redirects if op.startswith("<"))]
        return next(filter(None, (self.names(word, command.cwd) for word in words)), "")


def read_script(script: str, states: ChangeStates, *, tree: frozenset[str]) -> tuple[Finding, ...]:
    """Why a script is refused for what it says, before it runs.

    Args:
        script: text for bash.
        states: the change.
        tree: every path of the base and of the healthy tree.
    """
    if not script.strip() or len(script.encode("utf-8", "replace")) > MAX_SCRIPT_BYTES:
        size = f"{len(script)} characters"
        return (Finding(kind="unreadable", where="evaluation.sh", evidence=size),)
    found = analyse(script, cwd=TESTBED)
    if not found.closed:
        seen = "a quotation or a bracket is left open"
        return (Finding(kind="unreadable", where="evaluation.sh", evidence=seen),)
    counts: dict[str, int] = {}
    for word in re.split(r"[\s\"';|&<>()`$={}]+", script):
        counts[word] = counts.get(word, 0) + 1
    reader = _Reader(states, tree, counts)
    findings = [
        *_gold_lines(script, states),
        *(one for command in found.commands for one in _of_command(reader, command)),
        *(one for text in snippets(found.commands) for one in _of_python(reader, text)),
    ]
    if all(command.program in _IDLE for command in found.commands):
        findings.append(Finding(kind="runs_nothing", where="evaluation.sh"))
    return tuple(dict.fromkeys(findings))


def _of_command(reader: _Reader, command: Command) -> Iterator[Finding]:
    where = (command.text or " ".join((command.program, *command.arguments))).strip()[:200]
    rules: tuple[Callable[[_Reader, Command], _Told], ...]
    if command.language == "python":
        rules = (_python_files,)
    elif command.language == "code":
        rules = (_code_files,)
    else:
        rules = (_reads, _deep, _inline, _writes, _patches, _git, _tests)
    for rule in rules:
        for kind, seen in rule(reader, command):
            yield Finding(kind=kind, where=where, evidence=seen.replace(HOLE, "…"))


def _reads(reader: _Reader, command: Command) -> _Told:
    name = reader.named(command)
    executes = bool(_RUNNERS.fullmatch(command.feeds))
    if name and command.program in _READERS and not executes:
        yield "reads_source", name


def _deep(reader: _Reader, command: Command) -> _Told:
    words = [word for word in command.arguments if not word.startswith("-")]
    flags = {word for word in command.arguments if word.startswith("-")}
    program = command.program
    recursive = any(re.fullmatch(r"-\w*[rR]\w*|--recursive", flag) for flag in flags)
    if program in _DEEP or (program in {"grep", "egrep", "fgrep", "diff"} and recursive):
        places = words[1:] if program != "diff" else words
        fed = command.stdin is not None
        for place in places or ([] if fed else ["."]):
            if name := reader.covers(place, command.cwd):
                yield "reads_source", name
                return


def _inline(reader: _Reader, command: Command) -> _Told:
    """A one-line program of another language that is handed a file of the change to read."""
    if not re.fullmatch(r"perl|ruby|node|php|lua|Rscript", command.program):
        return
    rest: tuple[str, ...] = ()
    places = [n for n, w in enumerate(command.arguments) if re.fullmatch(r"-\w*e|--eval|-r", w)]
    if not places:
        code = command.stdin or ""
    else:
        code = "".join(command.arguments[places[0] + 1 : places[0] + 2])
        rest = command.arguments[places[0] + 2 :]
    named = next(filter(None, (reader.names(word, command.cwd) for word in rest)), "")
    if not named and _CODE_READS.search(code):
        named = next((p for p in reader.states.sources if PurePosixPath(p).name in code), "")
    if named:
        yield "reads_source", named


def _code_files(reader: _Reader, command: Command) -> _Told:
    name = reader.named(command)
    if name and command.program == "literals" and _CODE_READS.search(command.text):
        yield "reads_source", name


def _writes(reader: _Reader, command: Command) -> _Told:
    targets = [target for operator, target in command.redirects if ">" in operator]
    words = [word for word in command.arguments if not word.startswith("-")]
    if command.program in _WRITERS:
        targets += words
    elif command.program in _PLACERS:
        targets += words[-1:]
    elif command.program in {"sed", "perl"} and any(
        re.match(r"-\w*i|--in-place", word) for word in command.arguments
    ):
        targets += words
    for target in targets:
        if name := reader.names(target, command.cwd):
            yield "changes_source", name


def _patches(reader: _Reader, command: Command) -> _Told:
    inside = f"{command.cwd}/".startswith(f"{TESTBED}/")
    if command.program == "patch" and inside and "--dry-run" not in command.arguments:
        yield "applies_patch", "patch"


def _git(reader: _Reader, command: Command) -> _Told:
    inside = f"{command.cwd}/".startswith(f"{TESTBED}/")
    if command.program != "git" or not inside or command.repositories or "-C" in command.arguments:
        return
    verb = next((word for word in command.arguments if not word.startswith("-")), "")
    if "--no-index" in command.arguments:
        if name := reader.named(command):
            yield "reads_source", name
    elif verb in _GIT_CHANGES:
        yield "applies_patch", f"git {verb}"
    elif verb in _GIT_ASKS:
        yield "git_state", f"git {verb}"


def _tests(reader: _Reader, command: Command) -> _Told:
    words = command.arguments
    name = reader.named(command)
    if command.program in {"[", "[[", "test"}:
        if _TIME_TESTS & set(words):
            yield "file_times", " ".join(words)
        elif reader.comes_or_goes(name) and any(
            re.fullmatch(r"-[a-hkprsuwxGLOS]", word) for word in words
        ):
            yield "existence", name
        elif marker := _marker(reader, command):
            yield "state_marker", marker
    elif command.program in {"stat", "ls"} and reader.comes_or_goes(name):
        yield "existence", name
    elif command.program == "date" and name:
        yield "file_times", name
    elif command.program == "find":
        if any(_FIND_TIMES.fullmatch(word) for word in words):
            yield "file_times", " ".join(words)
        files = {PurePosixPath(p).name for p in reader.states.sources if reader.comes_or_goes(p)}
        hit = next((w for w in words for f in files if w[:1] != "-" and fnmatch.fnmatch(f, w)), "")
        if hit and not {"-exec", "-execdir", "-delete", "-print0"} & set(words):
            yield "existence", hit


def _marker(reader: _Reader, command: Command) -> str:
    """A file whose presence is asked for and that nothing here could have made."""
    for flag, word in zip(command.arguments, command.arguments[1:], strict=False):
        if not re.fullmatch(r"-[efrs]", flag) or HOLE in word:
            continue
        path = posixpath.normpath(posixpath.join(command.cwd, word))
        if path.startswith(f"{WORKSPACE}/"):
            known = False
        elif path.startswith(f"{TESTBED}/"):
            inner = posixpath.relpath(path, TESTBED)
            known = any(fnmatch.fnmatchcase(each, inner) for each in reader.tree)
        else:
            continue
        if not known and reader.mentioned.get(word, 0) <= 1:
            return word
    return ""


def _python_files(reader: _Reader, command: Command) -> _Told:
    name = reader.named(command)
    if not name:
        return
    if _FILE_CALLS.search(command.program):
        yield "reads_source", name
    elif _PATH_CALLS.search(command.program):
        if command.program.endswith(("getmtime", "stat")):
            yield "file_times", name
        elif reader.comes_or_goes(name):
            yield "existence", name


def _of_python(reader: _Reader, text: str) -> Iterator[Finding]:
    for seen in inspections(text):
        yield Finding(kind="inspects_source", where=seen, evidence="in Python code")
    for command in python_calls(text):
        yield from _of_command(reader, command)


def _gold_lines(script: str, states: ChangeStates) -> Iterator[Finding]:
    """Lines of the repair that are new to its files and stand in the script."""
    known = "\n".join(
        state.data.decode("utf-8", "replace")
        for path, state in states.bug.items()
        if state is not None and not state.symlink
    )
    for path in sorted(states.sources):
        state = states.resolved[path]
        if state is None or state.symlink:
            continue
        for line in state.data.decode("utf-8", "replace").splitlines():
            text = line.strip()
            if _is_key(text) and text not in known and text in script:
                yield Finding(kind="holds_gold", where=path, evidence=text[:120])


def _is_key(text: str) -> bool:
    """Whether a line says enough to be somebody's own: no import, definition or comment."""
    plain = re.match(r"(import|from|def|class|async|use|require)\b|#|//|/?\*|['\"]{3}", text)
    return len(text) >= _LEAST_KEY and not plain and len(set(text)) > 5
