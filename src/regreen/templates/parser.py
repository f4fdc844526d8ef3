"""A completion as a stream: reasoning first, then text and calls, until the end of the turn.

``StreamParser`` is the one reader of completions; a whole text is fed as one piece. What a mark of
the format means depends on where it stands: a call written inside reasoning is real only if the
reasoning is never closed and the text was not cut, one inside an open code fence only if the fence
is never closed, so both are held until that is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from regreen.templates.guard import JOINER, guarded
from regreen.templates.message import Delta
from regreen.templates.source import Source, Steps, hold
from regreen.templates.syntax import CallReader

__all__ = ["FENCE", "THINK", "Reasoning", "StreamParser"]

FENCE = "```"
"""Opens and closes code in text."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How a format marks reasoning; a newline next to the text is framing."""

    open: str = "<think>\n"
    """In front of it."""
    close: str = "\n</think>\n\n"
    """Behind it."""
    empty: str = ""
    """What is written where there is none."""


THINK = Reasoning()
"""The tags most models use."""


class StreamParser:
    """Reads one completion piece by piece.

    Args:
        reader: reads the calls.
        lead: framing between text and the first call.
        stops: marks that end the turn; at the very end of the text they are no content.
        reasoning: how reasoning is marked; None for a format without.
        in_reasoning: whether the prompt has opened the reasoning already.
    """

    def __init__(
        self,
        reader: CallReader,
        *,
        lead: str,
        stops: Iterable[str],
        reasoning: Reasoning | None = None,
        in_reasoning: bool = False,
    ) -> None:
        self._reader = reader
        self._lead = lead
        self._reasoning = reasoning
        self._in_reasoning = in_reasoning and reasoning is not None
        self._source = Source()
        marks = tuple(stops)
        self._stops = self._source.stops = marks
        self._ends = frozenset([*" \t\r\n", *(mark[-1] for mark in marks)])
        if reasoning is not None:
            marks = (*marks, reasoning.open.strip(), reasoning.close.strip())
        marks = (*marks, FENCE)
        self._stems = tuple(dict.fromkeys((*reader.stems, *marks)))
        self._search = _finder(reader.opener, marks).search
        self._fence = False  # whether a code fence of the text is open
        self._ticks = 0  # backticks at the end of the text so far that make no fence yet
        self._midline = False
        self._after_call = False  # whether nothing but white space came behind a call
        self._steps: Steps[None] = self._message()
        next(self._steps)

    def feed(self, delta: str) -> list[Delta]:
        """Read a piece of the completion; returns what became certain."""
        source = self._source
        if not delta or not source.feed(delta):
            return []
        next(self._steps)
        out = source.out
        if out:
            source.out = []
        return out

    def finish(self, *, truncated: bool | None = None) -> list[Delta]:
        """Say that nothing more comes; returns the rest.

        Args:
            truncated: whether the endpoint cut the completion (finish reason ``length``). True:
                a call at its very end is incomplete, even if its last tag was seen, because that
                tag may have been part of a value. False: the model ended by itself, so tags at
                the end are the call's own. None: not known, and nothing is assumed.
        """
        source = self._source
        if source.ended:
            return []
        source.end()
        source.truncated = truncated
        bare = source.text[: self._tail(source.text, len(source.text))]
        if bare != source.text:
            source.text = bare
            source.truncated = bool(truncated)  # the mark says that the model ended by itself
        next(self._steps, None)
        out, source.out = source.out, []
        return out

    def _tail(self, text: str, end: int) -> int:
        """Where the marks begin that stand last in ``text[:end]`` and say the turn is over."""
        at = end
        if text[max(0, end - 1) : end] not in self._ends:
            return at
        for _ in range(_MARKS):
            low = max(0, at - _MARKS)
            place = low + len(text[low:at].rstrip())
            mark = next((mark for mark in self._stops if text.endswith(mark, 0, place)), "")
            if not mark:
                break
            at = place - len(mark)
        return at

    # -- the message ------------------------------------------------------------------------

    def _message(self) -> Steps[None]:
        if self._reasoning is not None:
            yield from self._think(self._reasoning)
        yield from self._text()

    def _think(self, marks: Reasoning) -> Steps[None]:
        source, opening, closing = self._source, marks.open.strip(), marks.close.strip()
        if not self._in_reasoning:
            at = yield from source.word(0)
            firsts = (opening, closing) if marks.empty else (opening,)
            while not source.ended and any(mark.startswith(source.text[at:]) for mark in firsts):
                if source.text.startswith(firsts, at):
                    break
                yield
            if not source.text.startswith(firsts, at):
                return
            source.drop(at + len(opening) if source.text.startswith(opening, at) else at)
        yield from self._framing(marks.open[len(marks.open.rstrip()) :])
        search = _finder(self._opener_in_reasoning, (*self._stops, opening, closing, FENCE)).search
        scan = 0
        while True:
            end = source.text.find(closing, scan)
            call = search(source.text, scan)
            if end >= 0 and (call is None or call.start() > end):
                newline = len(marks.close) - len(marks.close.lstrip())
                cut = end - newline if source.text[:end].endswith("\n" * newline) else end
                source.emit("reasoning", source.text[:cut])
                source.drop(end + len(closing))
                yield from self._framing(marks.close[len(marks.close.rstrip()) :])
                return
            if call is not None and call.lastgroup in _GUARDED:
                source.emit("reasoning", source.text[: call.start() + 1])
                source.drop(call.start() + 2)
                scan = call.end() - call.start() - 2
                continue
            if call is not None and call.lastgroup == "B":
                scan = call.end()
                continue
            if call is not None:
                if (yield from self._called_in_reasoning(call.start(), closing)):
                    return
                scan = call.end()
                continue
            if source.ended:
                source.emit("reasoning", source.text)
                source.drop(len(source.text))
                source.emit("fault", "reasoning that is never closed", 0)
                return
            keep = self._keep(source.text, (marks.close, *self._stems))
            keep -= _newlines(source.text[:keep])
            source.emit("reasoning", source.text[:keep])
            source.drop(keep)
            scan = max(0, scan - keep)
            yield

    def _called_in_reasoning(self, at: int, closing: str) -> Steps[bool]:
        """Read the calls at ``at`` if the reasoning is never closed and they are calls."""
        source = self._source
        if not (yield from self._held_call(at, closing)) or source.truncated:
            return False
        before = source.text[:at]
        place = len(source.out)  # the text has ended: nothing else is given out in between
        if not (yield from self._reader.read(source, at, sure=before.endswith("\n"))):
            return False
        thought = before[: at - _newlines(before)]
        fault = Delta("fault", "a call inside reasoning that is never closed")
        source.out[place:place] = [Delta("reasoning", thought), fault] if thought else [fault]
        self._after_call = True
        return True

    def _framing(self, newlines: str) -> Steps[None]:
        """Drop as many newlines as the format puts here, at most."""
        source = self._source
        for _ in newlines:
            while not source.text and not source.ended:
                yield
            if not source.text.startswith("\n"):
                return
            source.drop(1)

    def _held_call(self, at: int, closing: str) -> Steps[bool]:
        """Whether ``closing`` never comes behind ``at``; in a text that was cut, it might have."""
        source = self._source
        while True:
            if source.text.find(closing, at) >= 0:
                return False
            if source.ended:
                return not source.truncated
            at = max(at, len(source.text) - len(closing) + 1)
            yield from source.until(closing[-1])

    def _text(self) -> Steps[None]:
        source, search = self._source, self._search
        scan = 0
        while True:
            found = search(source.text, scan)
            if found is None:
                if source.ended:
                    if not self._between_calls(source.text):
                        self._plain(len(source.text))
                    return
                scan = max(0, scan - self._wait())
                yield
            elif found.lastgroup in _GUARDED:
                self._plain(found.start())
                marker = found[0][0] + found[0][2:]
                source.emit("content", marker)
                source.drop(len(found[0]))
                self._midline, self._after_call, scan = True, False, 0
            else:
                kind = found.lastgroup or ""
                place = yield from self._call(found.start(), kind)
                self._after_call = self._after_call or place < 0
                scan = place + len(found[0]) if place >= 0 else 0

    def _between_calls(self, text: str) -> bool:
        """Whether ``text`` is only white space behind a call."""
        return self._after_call and not text.strip()

    def _call(self, at: int, kind: str) -> Steps[int]:
        """Try to read calls at ``at``; the text before them is given out in any case.

        Returns:
            -1 when calls were read, else where the candidate is now.
        """
        source = self._source
        before = source.text[:at]
        blank = self._between_calls(before)
        sure = blank or before.endswith("\n") or (not before and not self._midline)
        if not blank:
            cut = len(before)
            while cut and before[cut - 1 :] == self._lead[len(self._lead) - (at - cut + 1) :]:
                cut -= 1
            self._plain(cut)
            at -= cut
        source.fenced = self._fence
        held = self._fence and kind not in {"B", "T"}
        if held and not (yield from self._held_call(at, "\n```")):
            return at
        return -1 if (yield from self._reader.read(source, at, sure=sure)) else at

    def _plain(self, end: int) -> None:
        """Give out text as content."""
        text = self._source.text[:end]
        if text:
            ticks = "`" * self._ticks + text
            if ticks.count(FENCE) % 2:
                self._fence = not self._fence
            self._ticks = (len(ticks) - len(ticks.rstrip("`"))) % len(FENCE)
            self._midline = not text.endswith("\n")
            self._after_call = False
            self._source.emit("content", text)
            self._source.drop(end)

    @property
    def _opener_in_reasoning(self) -> re.Pattern[str]:
        """Finds a call that reasoning is not expected to hold."""
        return self._reader.opener

    def _keep(self, text: str, stems: tuple[str, ...]) -> int:
        """Where ``text`` must be held back, because a mark may be growing at its end."""
        keep = hold(text, 0, stems)
        tail = self._tail(text, len(text))
        keep = min(keep, tail if tail < len(text) else self._tail(text, keep))
        if JOINER in text:
            growing = _growing_guard(self._stems).search(text)
            keep = min(keep, growing.start()) if growing else keep
        return keep

    def _wait(self) -> int:
        """Give out what cannot become part of a mark; returns how much that was."""
        text = self._source.text
        keep = self._keep(text, self._stems)
        if self._between_calls(text[:keep]):
            return 0
        limit = keep - len(self._lead)
        while keep > 0 and keep > limit and text[keep - 1] == "\n":
            keep -= 1
        keep = max(keep, 0)
        self._plain(keep)
        return keep


_MARKS = 64
"""Most end marks, and most white space behind each, that are taken from the end of a text."""
_GUARDED = frozenset({"G", "guarded"})


@lru_cache(maxsize=256)
def _finder(opener: re.Pattern[str], marks: tuple[str, ...]) -> re.Pattern[str]:
    """Where calls may begin, and guarded markers, of calls and others."""
    if not marks:
        return opener
    return re.compile(f"{opener.pattern}|(?P<guarded>{guarded(marks)})", opener.flags)


def _newlines(text: str) -> int:
    """Newlines at the end of reasoning, of the two that are taken for framing."""
    return 2 if text.endswith("\n\n") else 1 if text.endswith("\n") else 0


@lru_cache(maxsize=64)
def _growing_guard(stems: tuple[str, ...]) -> re.Pattern[str]:
    """Finds, at the end of a text, what may become a guarded marker."""
    found = []
    for stem in stems:
        rest = ""
        for char in reversed(stem[1:-1]):
            rest = f"(?:{re.escape(char)}{rest})?"
        found.append(f"{re.escape(stem[0])}{JOINER}+{rest}")
    return re.compile(rf"(?:{'|'.join(found)})\Z" if found else r"(?!)")
