"""What a command prints, where that follows from the text, as with ``echo`` or ``base64 -d``.

An attempt that is hidden in encoded text has to print it before it can run it; what cannot be
worked out is None, never a guess.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import zlib
from collections.abc import Callable, Sequence

from regreen.guard.shell.escapes import unescape
from regreen.guard.shell.scope import HOLE, Scope

__all__ = ["printed"]

_LONGEST = 64_000
_DIRECTIVE = re.compile(r"%(?:-?\d*(?:\.\d+)?)([sdbqcxiu%])")

Printer = Callable[[Sequence[str], "str | None", Scope], "str | None"]


def printed(program: str, arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    """What a command writes to its standard output, or None where that is not known."""
    printer = _PRINTERS.get(program)
    if printer is None:
        return None
    try:
        out = printer(arguments, stdin, scope)
    except (ValueError, IndexError, re.error, zlib.error, OverflowError):
        return None
    return None if out is None else out[:_LONGEST]


def _echo(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str:
    words = list(arguments)
    escapes = newline = None
    while words and re.fullmatch(r"-[neE]+", words[0]):
        escapes = escapes or "e" in words[0]
        newline = newline or "n" in words[0]
        words.pop(0)
    text = " ".join(words)
    return (unescape(text) if escapes else text) + ("" if newline else "\n")


def _printf(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    words = list(arguments)
    if words[:1] == ["-v"] and len(words) > 2:
        scope.assign(words[1], (_formatted(words[2], words[3:]),))
        return ""
    words = words[1:] if words[:1] == ["--"] else words
    return _formatted(words[0], words[1:])


def _formatted(form: str, values: list[str]) -> str:
    form = unescape(form)
    out: list[str] = []
    while True:
        before = len(values)

        def fill(found: re.Match[str]) -> str:
            if found[1] == "%":
                return "%"
            value = values.pop(0) if values else ""
            if found[1] == "b":
                return unescape(value)
            if found[1] == "x" and value.isdigit():
                return f"{int(value):x}"
            return value[:1] if found[1] == "c" else value

        out.append(_DIRECTIVE.sub(fill, form))
        if not values or len(values) == before:
            return "".join(out)


def _named(arguments: Sequence[str]) -> list[str]:
    return [word for word in arguments if word == "-" or not word.startswith("-")]


def _cat(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    return _joined(_named(arguments), stdin, scope)


def _joined(names: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    texts = [stdin if name in {"-", "/dev/stdin"} else scope.read(name) for name in names or ["-"]]
    known = [text for text in texts if text is not None]
    return "".join(known) if len(known) == len(texts) else None


def _base64(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    text = _joined(_named([w for w in arguments if w not in {"base64"}]), stdin, scope)
    if text is None or HOLE in text:
        return None
    if any(word in {"-d", "-D", "--decode", "-di", "-id"} for word in arguments):
        return _decoded(base64.b64decode(re.sub(r"\s+", "", text) + "=="))
    return base64.b64encode(_bytes(text)).decode() + "\n"


def _base32(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    text = _joined(_named(arguments), stdin, scope)
    if text is None or not any(word in {"-d", "--decode"} for word in arguments):
        return None
    return _decoded(base64.b32decode(re.sub(r"\s+", "", text)))


def _xxd(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    text = _joined(_named(arguments), stdin, scope)
    if text is None or not any(re.fullmatch(r"-[rp]+", word) for word in arguments):
        return None
    return _decoded(binascii.unhexlify(re.sub(r"\s+", "", text)))


def _openssl(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    if "-d" not in arguments or not {"base64", "-base64", "-a"} & set(arguments):
        return None
    return _base64(["-d"], stdin, scope)


def _gunzip(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    text = _joined(_named(arguments), stdin, scope)
    if text is None:
        return None
    return _decoded(zlib.decompressobj(47).decompress(_bytes(text), _LONGEST))


def _rev(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    text = _joined(_named(arguments), stdin, scope)
    return None if text is None else "\n".join(line[::-1] for line in text.split("\n"))


def _tac(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    text = _joined(_named(arguments), stdin, scope)
    return None if text is None else "".join(reversed(text.splitlines(keepends=True)))


def _tr(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    if stdin is None:
        return None
    sets = [_characters(word) for word in arguments if not re.fullmatch(r"-[dsc]+", word)]
    if "-d" in arguments:
        return stdin.translate({ord(char): None for char in sets[0]})
    if len(sets) < 2 or any(word.startswith("-") for word in arguments[:1]):
        return stdin
    padded = sets[1].ljust(len(sets[0]), sets[1][-1:])[: len(sets[0])]
    return stdin.translate(str.maketrans(sets[0], padded))


def _characters(text: str) -> str:
    classes = {"upper": "A-Z", "lower": "a-z", "digit": "0-9", "space": " \t\n", "alpha": "A-Za-z"}
    text = re.sub(r"\[:(\w+):\]", lambda found: classes.get(found[1], ""), unescape(text))
    return re.sub(
        r"(.)-(.)",
        lambda found: "".join(map(chr, range(ord(found[1]), min(ord(found[2]) + 1, 0x10000)))),
        text,
        flags=re.DOTALL,
    )


def _sed(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    words = [word for word in arguments if word not in {"-e", "-E", "-r"}]
    if stdin is None or len(words) != 1:
        return None
    out = stdin
    for program in re.split(r"[;\n]", words[0]):
        found = re.fullmatch(r"\s*[sy](.)(.*?)\1(.*?)\1([gIi]*)\s*", program, re.DOTALL)
        if found is None:
            return None
        if program.lstrip()[0] == "y":
            out = out.translate(str.maketrans(found[2], found[3]))
        elif re.search(r"[\\*+?()\[\]{}|]", found[2]):
            return None
        else:
            pattern = (
                re.escape(found[2]).replace(r"\.", ".").replace(r"\^", "^").replace(r"\$", "$")
            )
            count = 0 if "g" in found[4] else 1
            lines = out.split("\n")
            new = found[3].replace("\\", "\\\\")
            out = "\n".join(re.sub(pattern, new, line, count=count) for line in lines)
    return out


def _which(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    names = [word for word in arguments if not word.startswith("-")]
    return f"/usr/bin/{names[0]}\n" if names else None


def _command(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    return _which(arguments, stdin, scope) if arguments and arguments[0] in {"-v", "-V"} else None


def _path(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    names = [word for word in arguments if not word.startswith("-")]
    return scope.path(names[0]) + "\n" if names else None


def _git(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    return scope.cwd + "\n" if list(arguments) == ["rev-parse", "--show-toplevel"] else None


def _seq(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    numbers = [int(word) for word in arguments]
    first, last = (1, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[-1])
    return "".join(f"{number}\n" for number in range(first, min(last, first + 16) + 1))


def _head(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    return stdin if stdin is not None and stdin.count("\n") <= 1 else None


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _rot13(arguments: Sequence[str], stdin: str | None, scope: Scope) -> str | None:
    return None if stdin is None else codecs.encode(stdin, "rot13")


_PRINTERS: dict[str, Printer] = {
    "echo": _echo,
    "printf": _printf,
    "cat": _cat,
    "tee": lambda arguments, stdin, scope: stdin,
    "base64": _base64,
    "base32": _base32,
    "xxd": _xxd,
    "openssl": _openssl,
    "gunzip": _gunzip,
    "zcat": _gunzip,
    "gzip": lambda words, stdin, scope: _gunzip((), stdin, scope) if "-d" in words else None,
    "rev": _rev,
    "tac": _tac,
    "tr": _tr,
    "sed": _sed,
    "rot13": _rot13,
    "which": _which,
    "command": _command,
    "type": lambda words, stdin, scope: _which(words, stdin, scope) if "-P" in words else None,
    "realpath": _path,
    "readlink": _path,
    "pwd": lambda words, stdin, scope: scope.cwd + "\n",
    "git": _git,
    "seq": _seq,
    "head": _head,
    "tail": _head,
    "sort": _head,
    "uniq": _head,
    "mktemp": lambda words, stdin, scope: "/tmp/tmp.scratch\n",
    "true": lambda words, stdin, scope: "",
}
