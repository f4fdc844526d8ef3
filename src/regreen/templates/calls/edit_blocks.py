"""Edits as text: SEARCH/REPLACE blocks, and patches between ``*** Begin Patch`` and its end.

Both end with a line of their own, so the text inside is given out as it is. What cannot stand
inside, such as a line that is one of the marks, makes a call that is not written in this form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from regreen.templates.calls.fences import TICKS, FenceLine, LineText, fence_for, fence_line
from regreen.templates.calls.text_calls import Native, Shape, begin_call, end_call
from regreen.templates.grammar.parts import Format
from regreen.templates.grammar.text_calls import EDIT, PATCH
from regreen.templates.source import Source, Steps

__all__ = ["Patch", "SearchReplace"]

_SEARCH, _DIVIDER, _REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
_MARK = re.compile(rf"^(?:{_SEARCH}|{_DIVIDER}|{_REPLACE})[ \t\r]*$", re.MULTILINE)
_PATH = re.compile(r"[^\s`*:#<>'\"](?:[^\s`]{0,198}[^\s`*:])?")
_BEGIN, _END = "*** Begin Patch", "*** End Patch"
_PATCH = re.compile(rf"{re.escape(_BEGIN)}\n\*\*\* [^\n]")
_REST = re.compile(r"[ \t\r]*(?:\n|\Z)")
_LONGEST = 80
"""Characters behind a mark that are waited for."""
_LAST = re.compile(rf"^(?:{re.escape(_END)}|{re.escape(_BEGIN)})[ \t\r]*$", re.MULTILINE)


def _line_is(source: Source, at: int, mark: str) -> Steps[bool]:
    """Whether the line at ``at`` is ``mark`` and blanks.

    That is known when the line ends: until then what stands behind the mark may be the end mark
    of the turn.
    """
    while True:
        text, end = source.text, at + len(mark)
        if source.ended or text.find("\n", at) >= 0:
            return text.startswith(mark, at) and _REST.match(text, end) is not None
        known = text[at:end]
        if not mark.startswith(known) or len(text) > end + _LONGEST:
            return False
        yield


_SHAPES = {
    "edit": Shape(
        roles=(
            ("path", "file_path", "filename", "file"),
            ("search", "old_str", "old_string"),
            ("replace", "new_str", "new_string"),
        ),
        names=(),
        default=Native("edit", ("path", "search", "replace")),
    ),
    "patch": Shape(
        roles=(("input", "patch"),),
        names=("apply_patch",),
        default=Native("apply_patch", ("input",)),
    ),
}


@dataclass(frozen=True)
class SearchReplace:
    """A file's name, and below it a fence around what to search and what to put in its place."""

    shape: Shape = _SHAPES["edit"]
    """How the tool is known."""
    openers: tuple[str, ...] = ()
    """None beside the fence."""
    shell: tuple[str, ...] = ("bash", "sh", "shell")
    """Blocks of other calls."""

    def write(self, values: Sequence[str]) -> str:
        """The block; empty for a name that is no plain file name, or marks in the text."""
        path, search, replace = values
        if not _PATH.fullmatch(path) or _MARK.search(search) or _MARK.search(replace):
            return ""
        ticks = fence_for(f"{search}\n{replace}")
        old, new = (text + "\n" if text else "" for text in (search, replace))
        return f"{path}\n{ticks}\n{_SEARCH}\n{old}{_DIVIDER}\n{new}{_REPLACE}\n{ticks}"

    def read(
        self, source: Source, at: int, line: FenceLine | None, native: Native, *, named: bool
    ) -> Steps[bool]:
        """Read the edits of a block; see ``NativeForm``."""
        text = source.text
        name = text[at : text.find("\n", at)].strip("*:") if named else ""
        if line is None or not _PATH.fullmatch(name):
            return False
        if not (yield from _line_is(source, line.end + 1, _SEARCH)):
            return False
        source.drop(line.end + 1)
        while (yield from self._edit(source, name, native)):
            pass
        return True

    def structure(self) -> tuple[Format, tuple[str, ...]]:
        """The grammar; see ``NativeForm``."""
        return EDIT, (_SEARCH,)

    def _edit(self, source: Source, name: str, native: Native) -> Steps[bool]:
        """Read one edit from its first mark on; whether another follows in the same block."""
        source.drop(len(_SEARCH))
        index = begin_call(source, native.name)
        path, search, replace = (json.dumps(key) for key in native.keys)
        shown = json.dumps(name, ensure_ascii=False)
        source.emit("arguments", f'{{{path}: {shown}, {search}: "', index)
        reason = yield from self._until(source, index, _DIVIDER)
        if not reason:
            source.emit("arguments", f'", {replace}: "', index)
            reason = yield from self._until(source, index, _REPLACE)
        unclosed, again = yield from self._behind(source)
        yield from end_call(source, index, reason or unclosed, '"}')
        return again

    def _until(self, source: Source, index: int, mark: str) -> Steps[str]:
        """Give a text out up to the line ``mark``, which is dropped; why it does not come."""
        yield from _blanks(source)
        value = LineText(source, index, (_SEARCH, _DIVIDER, _REPLACE))
        while (yield from value.next()):
            if (yield from _line_is(source, 1, mark)):
                source.drop(1 + len(mark))
                return ""
            if (yield from _line_is(source, 1, _SEARCH)):
                source.drop(1)
                return f"another edit begins where {mark} should be"
            if (yield from _line_is(source, 1, _REPLACE)):
                source.drop(1 + len(_REPLACE))
                return f"there is no line {mark}"
            value.give(2)
        return f"there is no line {mark}"

    def _behind(self, source: Source) -> Steps[tuple[str, bool]]:
        place = yield from source.word(0)
        if place == len(source.text):
            return "the block is not closed", False
        if (yield from _line_is(source, place, _SEARCH)):
            source.drop(place)
            return "", True
        line = yield from fence_line(source, place)
        if line is not None and not line.info:
            source.drop(line.end)
            return "", False
        rest = source.text[place : place + len(_SEARCH)]
        if TICKS.startswith(rest) or _SEARCH.startswith(rest):
            return "the block is not closed", False
        source.emit("fault", "a block of edits that is not closed", 0)
        return "", False


def _blanks(source: Source) -> Steps[None]:
    """Drop blanks up to the end of a line."""
    while True:
        rest = source.text.lstrip(" \t\r")
        source.drop(len(source.text) - len(rest))
        if rest or source.ended:
            return
        yield


@dataclass(frozen=True)
class Patch:
    """A patch over any number of files, the text of which is the argument."""

    shape: Shape = _SHAPES["patch"]
    """How the tool is known."""
    openers: tuple[str, ...] = (_BEGIN,)
    """The first line of a patch."""
    shell: tuple[str, ...] = ("bash", "sh", "shell")
    """Blocks of other calls."""

    def write(self, values: Sequence[str]) -> str:
        """The patch; empty for a text that is not one patch and nothing else."""
        (patch,) = values
        if not _PATCH.match(patch) or not patch.endswith(f"\n{_END}"):
            return ""
        return "" if _LAST.search(patch, len(_BEGIN), len(patch) - len(_END)) else patch

    def read(
        self, source: Source, at: int, line: FenceLine | None, native: Native, *, named: bool
    ) -> Steps[bool]:
        """Read a patch; see ``NativeForm``."""
        if line is not None or not (yield from self._begins(source, at)):
            return False
        source.drop(at)
        index = begin_call(source, native.name)
        source.emit("arguments", "{" + json.dumps(native.keys[0]) + ': "', index)
        text = LineText(source, index, (_END, _BEGIN), framed=False)
        reason = "there is no end of the patch"
        while (yield from text.next()):
            if (yield from _line_is(source, 1, _END)):
                text.give(1 + len(_END))
                yield from _blanks(source)
                reason = ""
                break
            if (yield from _line_is(source, 1, _BEGIN)):
                reason = "another patch begins before this one ends"
                break
            text.give(2)
        yield from end_call(source, index, reason, '"}')
        return True

    def structure(self) -> tuple[Format, tuple[str, ...]]:
        """The grammar; see ``NativeForm``."""
        return PATCH, (_BEGIN,)

    def _begins(self, source: Source, at: int) -> Steps[bool]:
        """Whether the line behind the first is one of a patch, so that this is no prose."""
        shape = re.compile(rf"{re.escape(_BEGIN)}[ \t\r]*\n\*\*\* [^\n]")
        growing = re.compile(rf"{re.escape(_BEGIN)}[ \t\r]*(?:\n(?:\*(?:\*(?:\* ?)?)?)?)?\Z")
        while not source.ended and growing.match(source.text, at):
            yield
        return shape.match(source.text, at) is not None
