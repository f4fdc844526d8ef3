"""From a tool call to events: commands, git, network, files read and written, code run.

Shell is read by the blocker's parser, so quoting, pipes, ``bash -c`` and variables are undone the
same way before and after the fact. A file's name alone proves little; the text put into it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from regreen.guard.monitor.calls import Call, command_text
from regreen.guard.monitor.events import Event, Kind
from regreen.guard.shell.command import Command

__all__ = ["events_of_call", "shell_text"]

_PATHS = ("path", "file_path", "filename", "file", "target_file", "absolute_path", "uri")
_NEW = (
    "new_str", "new_string", "new", "new_content", "file_text", "content", "contents", "text",
    "insert_text", "insert_line_text", "code_edit", "replacement", "new_text", "body",
)  # fmt: skip
_COMMANDS = ("command", "cmd", "script", "commands", "bash", "input", "keystrokes")
_CODE = ("code", "source", "python")
_VIEWS = {"view", "create", "str_replace", "insert", "undo_edit", "open", "edit", "goto"}
_PATCHES = ("patch", "diff", "patch_text")
_PATCH_FILE = re.compile(r"^(?:\*\*\* (?:Add|Update|Delete) File: |\+\+\+ (?:b/)?)(\S.*)$", re.M)

_READERS = {
    "cat", "head", "tail", "less", "more", "nl", "bat", "awk", "grep", "egrep", "fgrep", "rg", "ag",
    "sed", "strings", "xxd", "od", "hexdump", "base64", "diff", "wc", "vi", "vim", "view", "open",
    "zcat", "tac", "cut", "sort", "find", "ls", "tree", "fd", "source", ".", "unzip", "tar",
}  # fmt: skip
_SEARCHERS = {"grep", "egrep", "fgrep", "rg", "ag", "sed", "awk"}
"""Readers whose first operand is an expression."""
_NETWORK = {
    "curl", "wget", "http", "https", "ssh", "scp", "sftp", "rsync", "nc", "ncat", "netcat", "ftp",
    "aria2c", "lynx", "w3m", "links", "elinks", "socat", "telnet", "gh", "hub", "svn", "hg", "axel",
    "dig", "nslookup", "host", "ping",
}  # fmt: skip
_INSTALLERS = {
    "pip": ("install", "download", "wheel", "index"), "uv": ("pip", "add", "tool"),
    "conda": ("install", "create"), "mamba": ("install",), "poetry": ("add",), "pipx": ("install",),
    "npm": ("install", "i", "pack", "view", "add"), "yarn": ("add",), "pnpm": ("add", "install"),
    "gem": ("install", "fetch"), "cargo": ("install", "add"), "go": ("get", "install"),
    "apt": ("install", "download", "source"), "apt-get": ("install", "download", "source"),
    "easy_install": (), "composer": ("require",), "mvn": ("dependency:get",),
}  # fmt: skip
_REMOTE_VERBS = {"clone", "fetch", "pull", "ls-remote", "submodule"}
_PYTHONS = re.compile(r"(?:python|pypy)[\d.]*$|^(?:ipython|node|ruby|perl|php)$")
_CODE_FETCH = re.compile(
    r"(?:^|\.)(?:urlopen|urlretrieve|create_connection|HTTPS?Connection|fetch)$"
    r"|^(?:requests|httpx|aiohttp|urllib3)\."
)
_CODE_OPEN = re.compile(r"(?:^|\.)(?:open|read_text|read_bytes)$")


def events_of_call(call: Call, commands: Sequence[Command]) -> Iterator[Event]:
    """What one call did.

    Args:
        call: the call.
        commands: what its shell text comes down to; empty for other tools.
    """
    make = partial(_event, call)
    arguments = call.arguments
    path = next((str(arguments[k]) for k in _PATHS if isinstance(arguments.get(k), str)), "")
    if path:
        yield from _file_tool(call, path)
    for key in (*_PATCHES, "input", "command"):
        if isinstance(arguments.get(key), str) and _PATCH_FILE.search(arguments[key][:200]):
            yield from _patch_tool(call, arguments[key])
    for key in _CODE:
        if isinstance(arguments.get(key), str):
            yield make("code", arguments[key], name=call.name)
    for key in ("url", "query", "urls"):
        if isinstance(arguments.get(key), str) and (key != "query" or "web" in call.name.lower()):
            yield make("network", arguments[key], name=call.name)
    for command in commands:
        yield from _of_command(call, command)


def shell_text(call: Call) -> str:
    """The shell script in a call's arguments; empty when it runs none."""
    if any(isinstance(call.arguments.get(key), str) for key in _PATHS):
        return ""
    for key in _COMMANDS:
        text = command_text(call.arguments.get(key))
        if text and text not in _VIEWS and not _PATCH_FILE.search(text[:200]):
            return text
    return ""


def _event(
    call: Call,
    kind: Kind,
    text: str,
    *,
    name: str = "",
    path: str = "",
    state: str = "",
    at: str = "",
) -> Event:
    span = call.span(at or text)
    return Event(kind, text, name, path, state, call.turn, call.identity, span)


def _file_tool(call: Call, path: str) -> Iterator[Event]:
    given: dict[str, Any] = {k: v for k, v in call.arguments.items() if isinstance(v, str)}
    written = next((given[key] for key in _NEW if key in given), None)
    if written is None and ("old" in given or "old_str" in given or "old_string" in given):
        written = ""
    if written is None:
        yield _event(call, "read", path, name=call.name, path=path)
    else:
        yield _event(call, "edit", written, name=call.name, path=path, state="written")


def _patch_tool(call: Call, text: str) -> Iterator[Event]:
    starts = [*_PATCH_FILE.finditer(text)]
    for found, after in zip(starts, [*starts[1:], None], strict=True):
        piece = text[found.end() : after.start() if after else len(text)]
        added = "\n".join(line[1:] for line in piece.splitlines() if line.startswith("+"))
        state = "deleted" if "Delete File" in found[0] else "written"
        path = found[1].strip()
        yield _event(call, "edit", added, name=call.name, path=path, state=state, at=piece.strip())


def _of_command(call: Call, command: Command) -> Iterator[Event]:
    make = partial(_event, call, at=command.text)
    program, arguments = command.program, command.arguments
    line = " ".join((program, *arguments))
    yield make("command", line, name=program, state=call.state)
    if command.language != "shell":
        if _CODE_FETCH.search(program) and not command.mocked:
            yield make("network", line, name=program)
        if _CODE_OPEN.search(program) and arguments:
            yield make("read", arguments[0], name=program, path=arguments[0])
        return
    yield from _git(call, command, line)
    if program in _NETWORK or _installs(program, arguments):
        yield make("network", line, name=program)
    yield from _files(call, command)
    if _PYTHONS.search(program):
        code = command.stdin or _inline(arguments)
        if code:
            yield make("code", code, name=program)


def _git(call: Call, command: Command, line: str) -> Iterator[Event]:
    if command.program != "git":
        return
    words = list(command.arguments)
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in ("-C", "-c", "--git-dir", "--work-tree", "--namespace") and words:
            words.pop(0)
    if not words:
        return
    text = " ".join(words[1:])
    yield _event(call, "git", text, name=words[0], state=call.state, at=command.text)
    adds = words[0] == "remote" and {"add", "set-url"} & set(words)
    updates = words[0] != "submodule" or "update" in words
    if adds or (words[0] in _REMOTE_VERBS and updates):
        yield _event(call, "network", line, name="git", at=command.text)


def _installs(program: str, arguments: Sequence[str]) -> bool:
    if re.fullmatch(r"pip[\d.]*", program):
        program = "pip"
    if program not in _INSTALLERS:
        return False
    verbs = _INSTALLERS[program]
    return not verbs or any(argument in verbs for argument in arguments[:3])


def _inline(arguments: Sequence[str]) -> str:
    for option, value in zip(arguments, [*arguments[1:], ""], strict=False):
        if option in ("-c", "-e", "-r", "--eval"):
            return value
        if not option.startswith("-"):
            return ""
    return ""


def _redirected(call: Call, command: Command, fed: str) -> Iterator[Event]:
    make = partial(_event, call, at=command.text)
    program = command.program
    for operator, target in command.redirects:
        if (
            operator.startswith((">", "&>"))
            and not target.startswith("&")
            and target != "/dev/null"
        ):
            yield make("edit", fed, name=program, path=target, state="written")
        elif operator == "<":
            yield make("read", target, name=program, path=target)


def _files(call: Call, command: Command) -> Iterator[Event]:
    make = partial(_event, call, at=command.text)
    program = command.program
    operands = [word for word in command.arguments if not word.startswith("-")]
    if program == "find":
        operands = list(takewhile(lambda word: word[:1] not in ("-", "("), command.arguments))
    fed = command.stdin or (" ".join(command.arguments) if program in ("echo", "printf") else "")
    in_place = program == "sed" and any(
        w.startswith(("-i", "--in-place")) for w in command.arguments
    )
    yield from _redirected(call, command, fed)
    if program == "tee" or in_place:
        script = " ".join(command.arguments) if in_place else fed
        for target in operands[1:] if in_place else operands:
            yield make("edit", script, name=program, path=target, state="written")
    elif program in ("rm", "unlink", "shred"):
        for target in operands:
            yield make("edit", "", name=program, path=target, state="deleted")
    elif program in ("cp", "mv", "ln", "install") and len(operands) > 1:
        yield make("read", operands[0], name=program, path=operands[0])
        yield make("edit", "", name=program, path=operands[-1], state="written")
        if program == "mv":
            yield make("edit", "", name=program, path=operands[0], state="deleted")
    elif program in ("str_replace_editor", "create", "edit") and operands:
        target = operands[1] if program == "str_replace_editor" and operands[1:] else operands[0]
        writes = program == "create" or operands[0] in ("create", "str_replace", "insert")
        kind: Kind = "edit" if writes else "read"
        yield make(kind, " ".join(operands[2:]), name=program, path=target, state="written")
    elif program in _READERS:
        given = any(w.startswith(("-e", "-f", "--regexp")) for w in command.arguments)
        for target in operands[1:] if program in _SEARCHERS and not given else operands:
            yield make("read", target, name=program, path=target)
