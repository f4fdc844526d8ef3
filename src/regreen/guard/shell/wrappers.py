"""Programs that run another program, and where in their arguments it stands.

A wrapper is a row of a table: which of its options take a value, how many words come before the
inner command, or which option holds a script. New ones are added there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regreen.guard.shell.inner import Inner, inside_git
from regreen.guard.shell.interpreters import SHELLS
from regreen.guard.shell.scope import HOLE

__all__ = ["only_checks", "unwrap"]


@dataclass(frozen=True, slots=True)
class _Wrapper:
    values: str = ""
    """Options that take a value, by blanks."""
    skip: int = 0
    """Words between the options and the inner command."""
    script: str = ""
    """Options whose value is shell text."""


_PLAIN = _Wrapper()
_WRAPPERS: dict[str, _Wrapper] = {
    "command": _PLAIN,
    "builtin": _PLAIN,
    "exec": _Wrapper("-a"),
    "nohup": _PLAIN,
    "time": _Wrapper("-o -f --output --format"),
    "timeout": _Wrapper("-s -k --signal --kill-after", 1),
    "gtimeout": _Wrapper("-s -k --signal --kill-after", 1),
    "sudo": _Wrapper("-u -g -h -p -C -D -R -T -U -r -t --user --group --chdir"),
    "doas": _Wrapper("-u -C"),
    "su": _Wrapper("-g -G -s --shell", 1, "-c --command"),
    "runuser": _Wrapper("-u -g -G -s", 0, "-c --command"),
    "nice": _Wrapper("-n --adjustment"),
    "ionice": _Wrapper("-c -n -p"),
    "chrt": _Wrapper("", 1),
    "taskset": _Wrapper("", 1),
    "stdbuf": _Wrapper("-i -o -e"),
    "unbuffer": _PLAIN,
    "setsid": _PLAIN,
    "setarch": _Wrapper("", 1),
    "strace": _Wrapper("-e -o -p -s -E -u"),
    "ltrace": _Wrapper("-e -o -p -s -u"),
    "watch": _Wrapper("-n -d --interval"),
    "flock": _Wrapper("-w -E", 1, "-c --command"),
    "script": _Wrapper("-E -I -O -B -m", 0, "-c --command"),
    "chroot": _Wrapper("", 1),
    "unshare": _Wrapper("-S -G -R -w"),
    "nsenter": _Wrapper("-t -S -G -r -w"),
    "xvfb-run": _Wrapper("-e -f -n -p -s -w"),
    "dbus-run-session": _PLAIN,
    "busybox": _PLAIN,
    "toybox": _PLAIN,
    "proxychains": _Wrapper("-f"),
    "proxychains4": _Wrapper("-f"),
    "torsocks": _PLAIN,
    "systemd-run": _Wrapper("-p -u --unit --property"),
    "hyperfine": _Wrapper("-w -r -n"),
    "valgrind": _PLAIN,
    "catchsegv": _PLAIN,
    "prlimit": _PLAIN,
    "coproc": _PLAIN,
    "parallel": _Wrapper("-j --jobs -a --delay --results"),
    "tini": _PLAIN,
    "dumb-init": _PLAIN,
    "gosu": _Wrapper("", 1),
    "setpriv": _PLAIN,
    "firejail": _PLAIN,
    "entr": _PLAIN,
    "direnv": _Wrapper("", 2),
    "npx": _Wrapper("-p --package -c --call"),
    "bunx": _PLAIN,
    "pnpx": _PLAIN,
}
_RUNNERS = {
    "uv": ("run", "-p --python --with --with-requirements --project --directory --extra --group"),
    "poetry": ("run", "-C --directory -P --project"),
    "pipenv": ("run", ""),
    "pdm": ("run", "-p"),
    "hatch": ("run", "-e --env"),
    "conda": ("run", "-n -p --name --prefix"),
    "mamba": ("run", "-n -p --name --prefix"),
    "micromamba": ("run", "-n -p --name --prefix"),
    "coverage": ("", ""),
    "pixi": ("run", "-e"),
    "bundle": ("exec", ""),
    "npm": ("exec", "-w"),
    "pnpm": ("exec", ""),
    "yarn": ("exec", ""),
}
_SHELL_VALUES = "-O +O -o +o --rcfile --init-file"


def unwrap(program: str, arguments: Sequence[str], stdin: str | None = None) -> list[Inner]:  # noqa: PLR0911
    """What a program runs besides itself; empty for one that runs nothing.

    Args:
        program: its name without directory.
        arguments: its fields.
        stdin: what is fed to it, for ``xargs``.
    """
    if program == "env":
        return _env(arguments)
    if program in SHELLS:
        return _shell(arguments)
    if program == "xargs":
        return _xargs(arguments, stdin)
    if program in {"eval"}:
        return [Inner(script=" ".join(arguments))]
    if program == "trap":
        return [Inner(script=arguments[0])] if arguments and arguments[0] != "-" else []
    if program in {"find", "fd", "fdfind", "gfind"}:
        return _find(arguments)
    if program in {"tmux", "screen"}:
        return _terminal(arguments)
    if program == "git":
        return inside_git(arguments)
    if program == "tar":
        return [Inner(script=word.partition("exec=")[2]) for word in arguments if "exec=" in word]
    if program in _RUNNERS and (found := _runner(program, arguments)):
        return found
    wrapper = _WRAPPERS.get(program)
    return [] if wrapper is None else _plain(wrapper, arguments, program)


def _plain(wrapper: _Wrapper, arguments: Sequence[str], program: str) -> list[Inner]:
    if program == "command" and arguments[:1] and arguments[0] in {"-v", "-V"}:
        return []
    scripts = [
        Inner(script=arguments[place + 1])
        for place, word in enumerate(arguments[:-1])
        if word in wrapper.script.split()
    ]
    rest = _after_options(arguments, wrapper.values)
    given: list[tuple[str, str]] = []
    while program in {"sudo", "doas"} and rest and "=" in rest[0]:
        name, _, value = rest[0].partition("=")
        given.append((name, value))
        rest = rest[1:]
    inner = rest[wrapper.skip :]
    if not inner or (scripts and wrapper.script):
        return scripts
    if program in {"watch", "hyperfine", "parallel"} and any(" " in word for word in inner):
        return [*scripts, Inner(script=" ".join(inner))]
    return [*scripts, Inner(words=tuple(inner), assignments=tuple(given))]


def _after_options(arguments: Sequence[str], values: str) -> list[str]:
    """The words from the first that is no option and no option's value."""
    taking = frozenset(values.split())
    words = list(arguments)
    while words and words[0].startswith(("-", "+")) and words[0] not in {"-", "+"}:
        word = words.pop(0)
        if word == "--":
            break
        if word in taking and words:
            words.pop(0)
    return words


def _env(arguments: Sequence[str]) -> list[Inner]:
    words = list(arguments)
    given: list[tuple[str, str]] = []
    while words:
        word = words[0]
        if word in {"-S", "--split-string"}:
            return [Inner(script=" ".join(words[1:]), assignments=tuple(given))]
        if word.startswith(("-S", "--split-string=")):
            head = word.removeprefix("--split-string=").removeprefix("-S")
            return [Inner(script=" ".join([head, *words[1:]]), assignments=tuple(given))]
        if word in {"-u", "-C", "--unset", "--chdir"}:
            words = words[2:]
        elif word.startswith("-"):
            words.pop(0)
        elif "=" in word:
            name, _, value = word.partition("=")
            given.append((name, value))
            words.pop(0)
        else:
            return [Inner(words=tuple(words), assignments=tuple(given))]
    return []


def _shell(arguments: Sequence[str]) -> list[Inner]:
    if only_checks(arguments):
        return []
    taking = frozenset(_SHELL_VALUES.split())
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word.startswith("-") and not word.startswith("--") and "c" in word[1:]:
            rest = [each for each in words if not each.startswith("-")] or words
            return [Inner(script=rest[0], words=tuple(rest[1:]))] if rest else []
        if word in taking and words:
            words.pop(0)
        elif not word.startswith(("-", "+")):
            return []
    return []


def only_checks(arguments: Sequence[str]) -> bool:
    """Whether a shell is asked to check syntax and run nothing, as with ``bash -n``."""
    taking = frozenset(_SHELL_VALUES.split())
    words = list(arguments)
    letters = ""
    while words and words[0].startswith(("-", "+")) and words[0] not in {"-", "--"}:
        word = words.pop(0)
        if word in taking and words:
            letters += "n" if words.pop(0) == "noexec" and word == "-o" else ""
        elif word.startswith("-"):
            letters += "n" if word == "--no-execute" else word[1:] if word[1] != "-" else ""
    return "n" in letters and "i" not in letters


def _xargs(arguments: Sequence[str], stdin: str | None) -> list[Inner]:
    values = "-a -d -E -I -L -n -P -s --arg-file --delimiter --max-args --max-procs --replace"
    inner = _after_options(arguments, values)
    if not inner:
        return []
    marker = ""
    for place, word in enumerate(arguments):
        if word in {"-I", "--replace"}:
            marker = arguments[place + 1] if place + 1 < len(arguments) else "{}"
        elif word.startswith("-I") and len(word) > 2:
            marker = word[2:]
    if marker:
        items = [HOLE] if stdin is None else stdin.split("\n")[:16]
        return [
            Inner(words=tuple(word.replace(marker, item) for word in inner))
            for item in items
            if item
        ]
    fed = [HOLE] if stdin is None else stdin.split()
    return [Inner(words=(*inner, *fed))]


def _find(arguments: Sequence[str]) -> list[Inner]:
    found: list[Inner] = []
    words = list(arguments)
    for place, word in enumerate(words):
        if word in {"-exec", "-execdir", "-ok", "-okdir", "-x", "--exec", "-X", "--exec-batch"}:
            inner = []
            for each in words[place + 1 :]:
                if each in {";", "+", "\\;"}:
                    break
                inner.append(each)
            if inner:
                found.append(Inner(words=tuple(inner)))
    return found


def _terminal(arguments: Sequence[str]) -> list[Inner]:
    """Every word of several words may be typed into the terminal."""
    return [Inner(script=word) for word in arguments if " " in word]


def _runner(program: str, arguments: Sequence[str]) -> list[Inner]:
    verb, values = _RUNNERS[program]
    words = list(arguments)
    if program == "coverage":
        return [Inner(words=("python", *words[1:]))] if words[:1] == ["run"] else []
    if verb not in words[:4]:
        return []
    inner = _after_options(words[words.index(verb) + 1 :], values)
    return [Inner(words=tuple(inner))] if inner else []
