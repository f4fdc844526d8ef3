"""The code a patch adds, line by line without its spaces, to find it in a text.

Comments, documentation and examples at prompts are no part of it, nor is a line that stood in the
old text already: who quotes those gives nothing away.
"""

from __future__ import annotations

import ast
import keyword
import re
import textwrap
from dataclasses import dataclass

__all__ = ["FixLines", "fix_lines", "is_prose"]

_DISTINCTIVE = 12
_PIECE = 16
_KEYWORDS = frozenset((*keyword.kwlist, "match", "case", "type"))
_PROSE_FILES = re.compile(
    r"\.(?:md|rst|txt|html?|adoc|po|pot|csv|json|lock)$|(?:^|/)(?:docs?|changes|news)[./]"
    r"|(?:^|/)(?:AUTHORS|CHANGE\w*|HISTORY|NEWS|README|LICENSE|COPYING)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"\w\(|\w\[|\w=|=\s|[=<>!]=|[:,\\({\[]$|^[)\]}]|\w\.\w+\b.*[()=]|\byield\b|->")
_SPAN = re.compile(r"(`+)(?:(?<=```)\w*\n)?(.+?)\1", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|#.*")
_SIGNATURE = re.compile(r"^(?:async)?(?:def\w+\(|class\w+[(:])")


@dataclass(frozen=True, slots=True)
class FixLines:
    """What a fix adds and what stood there before."""

    added: frozenset[str]
    """Distinctive lines of code, spaces taken out."""
    before: str = ""
    """Context and removed lines, spaces taken out, joined."""
    short: frozenset[str] = frozenset()
    """Lines too short to be known in running text, known where they are quoted alone."""
    names: frozenset[str] = frozenset()
    """Identifiers of the code that the patch shows, removed lines and context included."""

    def shown_by(self, text: str) -> bool:
        """Whether a text holds one of the lines, whatever its spaces."""
        return self.first(text) is not None

    def first(self, text: str) -> tuple[int, int] | None:
        """Where the first line of the fix stands in a text: its begin and end."""
        if not self.added:
            return None
        places = [i for i, char in enumerate(text) if not char.isspace()]
        squeezed = "".join(text[i] for i in places)
        for line in sorted(self.added):
            at = squeezed.find(line)
            while at >= 0:
                start, end = places[at], places[at + len(line) - 1] + 1
                if _alone(text, start, end):
                    return start, end
                at = squeezed.find(line, at + 1)
        return None

    def piece(self, code: str) -> bool:
        """Whether code is a telling part of one of the lines, and of nothing that stood before."""
        text = _squeezed(code)
        if len(text) < _PIECE or not re.search(r"[(\[=]", text) or text in self.before:
            return False
        return any(text in line for line in self.added if not _SIGNATURE.match(line))

    def quoted(self, code: str) -> bool:
        """Whether code is all of one of the lines, however short, or several of them."""
        rows = [_squeezed(line) for line in code.splitlines() if line.strip()]
        known = self.added | self.short
        return bool(rows) and (all(row in known for row in rows) or "".join(rows) in known)

    def quoted_in(self, text: str) -> bool:
        """Whether one of the lines stands in backticks of its own."""
        return any(self.quoted(found[2]) for found in _SPAN.finditer(text))


def fix_lines(patch: str) -> FixLines:
    """Read a patch; files of prose and data that it touches do not count."""
    added: list[str] = []
    before: list[str] = []
    names: set[str] = set()
    inside = counted = False
    for line in patch.splitlines():
        if line.startswith("diff --git "):
            inside, counted = False, not is_prose(line.rpartition(" b/")[2].strip('"'))
        elif line.startswith("@@"):
            inside = True
        elif inside and counted and line[:1] == "+":
            added.append(line[1:])
        elif inside and counted and line[:1] in ("-", " "):
            before.append(_squeezed(line[1:]))
        if inside and counted and _is_code(line[1:]):
            names |= set(re.findall(r"[^\W\d]\w*", _QUOTED.sub(" ", line[1:])))
    old = "\n".join(before)
    known = set(before)
    code = [line.strip() for line in added if _is_code(line) and _squeezed(line) not in known]
    kept = {text for line in code if len(text := _squeezed(line)) >= _DISTINCTIVE}
    short = {_squeezed(line) for line in code if not _is_plain(line)} - kept
    return FixLines(frozenset(kept), old, frozenset(short), frozenset(names - _KEYWORDS))


def is_prose(path: str) -> bool:
    """Whether a file holds documentation or data rather than code."""
    return bool(_PROSE_FILES.search(path))


def _alone(text: str, start: int, end: int) -> bool:
    """Whether a span is not a part of longer words."""
    left = start and text[start - 1].isalnum() and text[start].isalnum()
    right = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return not (left or right)


def _is_code(line: str) -> bool:
    bare = line.strip()
    if not bare or bare.startswith(("#", ">>>", "... ", '"""', "'''", ":param", ":return", "..")):
        return False
    for text in (bare, f"{bare}\n    pass", f"if x:\n    pass\n{bare}\n    pass"):
        try:
            tree = ast.parse(textwrap.dedent(text))
        except (SyntaxError, ValueError):
            continue
        return not _is_words(tree)
    return bool(_CODE.search(bare))


def _is_plain(line: str) -> bool:
    """Whether a line is only a name, a value, a mark or a word of the language."""
    text = line.rstrip(",: ")
    if not re.search(r"\w", text) or re.fullmatch(r"[\w.]+", text):
        return True
    try:
        ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return False
    return True


def _is_words(tree: ast.Module) -> bool:
    """Whether it parses only as words do, for example ``not found`` or ``foo``."""
    node = tree.body[0] if tree.body else None
    if not isinstance(node, ast.Expr):
        return False
    kinds = (
        *(ast.Name, ast.Constant, ast.Attribute, ast.Compare, ast.BoolOp, ast.UnaryOp),
        *(ast.Is, ast.IsNot, ast.In, ast.NotIn, ast.And, ast.Or, ast.Not, ast.Load),
    )
    return all(isinstance(one, kinds) for one in ast.walk(node.value))


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
