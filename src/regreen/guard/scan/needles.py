"""Texts that nobody should find: cut from the gold patch and from forbidden files.

A patch is small and all of it is telling where its base is known. A forbidden file is long and
mostly like its neighbours, so of it only what is said nowhere else by chance counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from regreen.guard.scan.hunks import FilePatch
from regreen.guard.scan.text import canonical

__all__ = ["Needle", "patch_needles", "secret_needles"]

_NEAR_LINE, _NEAR_LINE_BLIND = 10, 20
_NEAR_WINDOW, _WINDOW = 16, 40
_FAR_LINE, _FAR_WORDS = 32, 4
_LONG_RUN = 6
_SECRET_WHOLE, _SECRET_WINDOW, _SECRET_WINDOW_BLIND = 400, 24, 48
_SECRET_LINE, _SECRET_LINE_BLIND, _SECRET_LITERAL, _SECRET_WORDS = 20, 40, 24, 5
_BOILERPLATE = re.compile(rb"\s*(#|//|/?\*|\"\"\"|'''|import\b|from\b|<!--|$)")
_COMMON = re.compile(rb"\s*(?:async\s+)?def __\w+__\b|\s*@|\s*(?:pass|else:|try:|finally:)\s*$")
_TEST = re.compile(
    rb"\s*(?:(?:async\s+)?def\s+test|class\s+Test|func(?:tion)?\s+test|(?:it|test|describe)\()",
    re.IGNORECASE,
)
_LITERAL = re.compile(rb"\"([^\"\\]{24,})\"|'([^'\\]{24,})'")
_KEYWORDS = frozenset(
    b"and assert async await class def elif else except False finally for from import lambda None "
    b"not raise return self True try while with yield".split()
)


@dataclass(frozen=True, slots=True)
class Needle:
    """A canonical text that nobody should find."""

    text: bytes
    """What is looked for."""
    label: str
    """Where it belongs, for people."""
    form: str
    """``line``, ``window``, ``deletion``, ``diff`` or ``secret``."""
    far: bool = False
    """Whether it is enough in a place that has nothing to do with the repository."""
    telling: bool = False
    """Whether a few like it are enough there: a line that is more than an import or a comment."""
    secret: str = ""
    """Name of the forbidden file it is from."""


def patch_needles(files: Sequence[FilePatch], known: bool) -> Iterator[Needle]:
    """What a patch adds, and what stands together once its removals are done.

    Args:
        files: the patch.
        known: whether the base tree can take back what it holds itself.
    """
    for file in files:
        name = file.new or file.old or ""
        for hunk in file.hunks:
            line, at, rows = hunk.new_start, 0, hunk.rows
            while at < len(rows):
                end = at
                while end < len(rows) and rows[end][0] != b" ":
                    end += 1
                if end > at:
                    yield from _group(rows, at, end, f"{name}:{line}", known)
                for mark, _ in rows[at : end + 1]:
                    line += mark != b"-"
                at = max(end, at + 1)


def _group(
    rows: Sequence[tuple[bytes, bytes]], at: int, end: int, label: str, known: bool
) -> Iterator[Needle]:
    added = [text for mark, text in rows[at:end] if mark == b"+" and canonical(text)]
    removed = [text for mark, text in rows[at:end] if mark == b"-" and canonical(text)]
    before = _context(reversed(rows[:at]))
    after = _context(rows[end:])
    form = "window" if added else "deletion"
    if added or (removed and before and after):
        yield from _windows(before, added, after, label, form)
    for marks in (b"+", b"-"), (b"-", b"+"):
        diff = b"".join(
            marks[mark == b"-"] + canonical(text)
            for mark, text in sorted(rows[at:end], key=lambda row: row[0] == marks[0])
            if canonical(text)
        )
        whole = canonical(before[0] if before else b"") + diff + canonical(b"".join(after[:1]))
        yield Needle(whole, label, "diff", far=len(whole) >= _WINDOW)
    least = _NEAR_LINE if known else _NEAR_LINE_BLIND
    for text in added:
        line = canonical(text)
        common = bool(_BOILERPLATE.match(text))
        if len(line) >= least and (known or not common):
            long = len(line) >= _FAR_LINE and _num_words([text]) >= _FAR_WORDS
            telling = long and _says_something(text)
            yield Needle(line, label, "line", telling=telling)


def _context(rows: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Unchanged lines next to a change, nearest first, blank ones left out."""
    found = []
    for mark, text in rows:
        if mark != b" ":
            break
        if canonical(text):
            found.append(text)
    return found


def _windows(
    before: list[bytes], added: list[bytes], after: list[bytes], label: str, form: str
) -> Iterator[Needle]:
    if len(added) > _LONG_RUN:
        for start in range(len(added) - 2):
            yield from _window(added[start : start + 3], label, form, _WINDOW)
        head, tail = added[:2], added[-2:]
        yield from _grown(before, head, [], label, form)
        yield from _grown([], tail, after, label, form)
        return
    yield from _grown(before, added, after, label, form)


def _grown(
    before: list[bytes], lines: list[bytes], after: list[bytes], label: str, form: str
) -> Iterator[Needle]:
    """A run between its neighbours, with as many of them as make it telling."""
    for count in range(1, 4):
        whole = [*reversed(before[:count]), *lines, *after[:count]]
        size = len(canonical(b"".join(whole)))
        if size >= _WINDOW or count >= max(len(before), len(after), 1):
            yield from _window(whole, label, form, _NEAR_WINDOW)
            return


def _window(lines: list[bytes], label: str, form: str, least: int) -> Iterator[Needle]:
    text = canonical(b"".join(lines))
    if len(text) >= least:
        telling = list(filter(_says_something, lines))
        far = len(text) >= _WINDOW and _num_words(telling) >= _FAR_WORDS
        yield Needle(text, label, form, far=far)


def _num_words(lines: Iterable[bytes]) -> int:
    return len(set(re.findall(rb"[A-Za-z_]{3,}", b" ".join(lines))))


def secret_needles(forbidden: Mapping[str, bytes], known: bool) -> Iterator[Needle]:
    """What of forbidden files is found nowhere by chance.

    Args:
        forbidden: contents by name.
        known: as of :func:`patch_needles`.
    """
    for name, data in forbidden.items():
        rows = re.split(rb"\r\n|\r|\n", data)
        whole = canonical(data)
        if len(whole) <= _SECRET_WHOLE and any(map(_says_something, rows)):
            yield Needle(whole, name, "secret", far=len(whole) >= _WINDOW, secret=name)
        lines = [number for number, row in enumerate(rows) if canonical(row)]
        for places in zip(lines, lines[1:], lines[2:], strict=False):
            yield from _secret_window(rows, places, name, known)
        for place, following in zip(lines, [*lines[1:], len(rows)], strict=True):
            for text in _distinctive(rows[place:following], rows[following : following + 1], known):
                yield Needle(text, name, "secret", secret=name)


def _secret_window(
    rows: Sequence[bytes], places: tuple[int, ...], name: str, known: bool
) -> Iterator[Needle]:
    """Three lines one after the other, and the same as a diff adds them."""
    three = [rows[place] for place in places]
    if not all(map(_says_something, three)):
        return
    text = canonical(b"\n".join(three))
    words = _own_words(three)
    least = _SECRET_WINDOW if known else _SECRET_WINDOW_BLIND
    if len(text) >= least and (known or words >= _SECRET_WORDS):
        far = len(text) >= _WINDOW and words >= _SECRET_WORDS
        yield Needle(text, name, "secret", far=far, secret=name)
        spread = rows[places[0] : places[-1] + 1]
        added = b"".join(b"+" + canonical(row) for row in spread)
        yield Needle(added, name, "secret", far=far, secret=name)


def _says_something(row: bytes) -> bool:
    return bool(canonical(row)) and not (_BOILERPLATE.match(row) or _COMMON.match(row))


def _distinctive(
    spread: Sequence[bytes], following: Sequence[bytes], known: bool
) -> Iterator[bytes]:
    """What alone tells where a line is from: a test's name, or a long literal.

    Two files may well have a test of one name; where the base cannot say so, what it begins with
    has to be the same.
    """
    row = spread[0]
    if not _says_something(row):
        return
    line = canonical(row)
    if _TEST.match(row):
        if len(line) >= (_SECRET_LINE if known else _SECRET_LINE_BLIND):
            yield line
        elif len(line) >= _SECRET_LINE and following:
            yield line + canonical(following[0])
            yield b"".join(b"+" + canonical(part) for part in (*spread, *following))
        return
    literals = (first or second for first, second in _LITERAL.findall(row))
    if any(len(canonical(text)) >= _SECRET_LITERAL for text in literals):
        yield line


def _own_words(lines: Iterable[bytes]) -> int:
    return len(set(re.findall(rb"[A-Za-z_]{3,}", b" ".join(lines))) - _KEYWORDS)
