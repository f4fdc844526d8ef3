"""Where a quoted or nested piece of shell text ends.

Text that never closes what it opens ends at its own end: an attempt is judged by what is there.
"""

from __future__ import annotations

__all__ = [
    "end_of_ansi",
    "end_of_backticks",
    "end_of_braces",
    "end_of_double",
    "end_of_parens",
    "end_of_single",
    "heredoc_body",
    "heredoc_word",
    "is_arithmetic",
    "is_open",
    "past",
]

_UNQUOTE = str.maketrans("", "", "'\"\\")


def end_of_single(text: str, start: int) -> int:
    """One past the quote that closes the one at ``start``."""
    end = text.find("'", start + 1)
    return len(text) if end < 0 else end + 1


def end_of_ansi(text: str, start: int) -> int:
    """One past the end of ``$'...'`` whose quote stands at ``start``."""
    at = start + 1
    while at < len(text) and text[at] != "'":
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def end_of_double(text: str, start: int) -> int:
    """One past the double quote that closes the one at ``start``."""
    at = start + 1
    while at < len(text) and text[at] != '"':
        at = _past(text, at, quoted=True)
    return min(at + 1, len(text))


def end_of_backticks(text: str, start: int) -> int:
    """One past the backtick that closes the one at ``start``."""
    at = start + 1
    while at < len(text) and text[at] != "`":
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def end_of_parens(text: str, start: int) -> int:
    """One past the parenthesis that closes the one at ``start``."""
    depth, at = 0, start
    arithmetic = text.startswith("((", start)
    waiting: tuple[tuple[str, bool], ...] = ()
    while at < len(text):
        char = text[at]
        if char == "(":
            depth += 1
            at += 1
        elif char == ")":
            depth -= 1
            at += 1
            if not depth:
                return at
        elif (
            not arithmetic
            and text.startswith("<<", at)
            and text[at + 2 : at + 3] not in ("<", "", "=")
        ):
            at, waiting = _note_heredoc(text, at, waiting)
        elif char == "\n" and waiting:
            at += 1
            for raw, tabs in waiting:
                at = heredoc_body(text, at, raw, tabs=tabs)[1]
            waiting = ()
        elif char == "#" and text[at - 1] in " \t\n;(":
            newline = text.find("\n", at)
            at = len(text) if newline < 0 else newline
        else:
            at = _past(text, at)
    return len(text)


def is_arithmetic(text: str, start: int) -> bool:
    """Whether ``((`` at ``start`` opens a calculation and not a subshell in a subshell."""
    if not text.startswith("((", start):
        return False
    end = end_of_parens(text, start)
    return text[end - 2 : end] == "))" and end_of_parens(text, start + 1) == end - 1


def end_of_braces(text: str, start: int) -> int:
    """One past the brace that closes the one at ``start``, as in ``${name:-word}``."""
    at = start + 1
    while at < len(text) and text[at] != "}":
        at = _past(text, at)
    return min(at + 1, len(text))


def heredoc_word(text: str, at: int) -> tuple[str, int]:
    """The raw end marker at ``at`` and where it ends."""
    start = at
    while at < len(text) and text[at] not in " \t\n;&|<>()":
        at = past(text, at)
    return text[start:at], at


def heredoc_body(text: str, start: int, raw: str, *, tabs: bool) -> tuple[str, int]:
    """The lines from ``start`` up to a heredoc's end marker, and where the next line begins."""
    marker = raw.translate(_UNQUOTE)
    lines: list[str] = []
    at = start
    while at < len(text):
        newline = text.find("\n", at)
        end = len(text) if newline < 0 else newline
        line = text[at:end].lstrip("\t") if tabs else text[at:end]
        at = end + 1
        if line == marker:
            break
        lines.append(line + "\n")
    return "".join(lines), min(at, len(text))


def _note_heredoc(
    text: str, at: int, waiting: tuple[tuple[str, bool], ...]
) -> tuple[int, tuple[tuple[str, bool], ...]]:
    at += 2
    tabs = text.startswith("-", at)
    at += tabs
    while at < len(text) and text[at] in " \t":
        at += 1
    raw, at = heredoc_word(text, at)
    return at, (*waiting, (raw, tabs))


def _past(text: str, at: int, *, quoted: bool = False) -> int:  # noqa: PLR0911
    """One past the piece at ``at``: an escape, a quotation, an expansion or one character."""
    char, two = text[at], text[at : at + 2]
    if char == "\\":
        return at + 2
    if two == "$(":
        return end_of_parens(text, at + 1)
    if two == "${":
        return end_of_braces(text, at + 1)
    if char == "`":
        return end_of_backticks(text, at)
    if quoted:
        return at + 1
    if two == "$'":
        return end_of_ansi(text, at + 1)
    if char == "'":
        return end_of_single(text, at)
    if char == '"':
        return end_of_double(text, at)
    return at + 1


def past(text: str, at: int) -> int:
    """One past the unquoted piece at ``at``."""
    return min(_past(text, at), len(text))


def is_open(text: str, at: int) -> bool:
    """Whether the quotation or expansion at ``at`` is never closed."""
    return text[at] != "\\" and _past(text + " ", at) > len(text)
