"""What surrounds a report and is none of it: templates, checklists, trailers, badges, diffs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from regreen.tasks.words.passages import Passage, join, passages, tidy

__all__ = ["Origin", "Removal", "clean", "clean_title"]

Origin = Literal["issue", "pull", "commit"]
_SHOWN = 200

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u200e\u200f\u202a-\u202e\ufeff]")
_TAG = re.compile(r"</?(?:details|summary|br|p|div|span|sub|sup|center|a)\b[^<>]*>", re.IGNORECASE)
_BADGE = re.compile(
    r"\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)"
    r"|!\[[^\]]*\]\([^)]*(?:badge|shields\.io|travis-ci|codecov|coveralls|appveyor)[^)]*\)"
    r"|<img\b[^>]*(?:badge|shields\.io|travis-ci|codecov|coveralls|appveyor)[^>]*>",
    re.IGNORECASE,
)
_BOX = re.compile(r"^\s*(?:[-*+]|\d+[.)])?\s*\[[ xX✓✔]\]\s")
_TRAILER = re.compile(
    r"^\s*(?:(?:Signed-off|Co-authored|Co-developed|Reviewed|Acked|Tested|Reported|Suggested"
    r"|Requested|Approved|Authored|Committed|Generated|Helped|Based-on-patch|Merged|Pushed)-by"
    r"|Cc|Change-Id|Reviewed-on|git-svn-id|Differential Revision|Reviewers?|Subscribers"
    r"|Tags|Test Plan|--HG--|PiperOrigin-RevId|GitOrigin-RevId|Pull-Request"
    r"|Signed-Off-By|Skip-Checks|Auto-Submit)\s*(?::.*)?$"
    r"|^\s*git-svn-id\b.*$"
    r"|^\s*(?:thanks|thx|provided by|patch by|cc|kudos)\b[^.]*@\w+[^.]*[.!]?\s*$"
    r"|^\s*(?:thanks|thx)[.! :)]*$"
    r"|^\s*branch : .*$|^\(cherry[- ]picked from .*$"
    r"|^\s*(?:🤖 )?Generated with .*$|^\s*\[(?:skip ci|ci skip|no ci)\]\s*$",
    re.IGNORECASE,
)
_BLANK_FORM = re.compile(
    r"^\W*(?:(?:pull request |pr |contribut\w+ )?check ?list"
    r"|(?:fix(?:es)?|close[sd]?|resolves?|issue|for)?\s*#?\s*<[^<>]*>|(?:fix(?:es)?|close[sd]?|resolves?)\s*#(?:xxx+|\.\.\.|issue\w*|number)?"
    r"|n/a|none|no response|_no response_)\W*$",
    re.IGNORECASE,
)
_MARK = re.compile(r"\s*\[(?:skip ci|ci skip|no ci|skip actions|skip travis)\]", re.IGNORECASE)
_CONFLICTS = re.compile(r"^#?\s*Conflicts:\s*$")
_DIFF_LINE = re.compile(r"^(?:diff --git |index [0-9a-f]{7,}|@@ .*@@|--- \S|\+\+\+ \S)")
_HEADED = re.compile(r"^\s{0,3}(?:#{1,6}\s+(.+?)\s*#*|\*\*([^*]+)\*\*:?|__([^_]+)__:?)\s*$")

_DROPPED: dict[Origin, re.Pattern[str]] = {
    "issue": re.compile(
        r"check ?list|before (?:you )?(?:submit|post|open)ing|code of conduct|are you willing"
        r"|(?:suggested|possible|proposed|potential) (?:fix|patch|code change)|possible solution"
        r"|prerequisites?$",
        re.IGNORECASE,
    ),
    "pull": re.compile(
        r"check ?list|types? of changes?|(?:how )?(?:has|was) (?:this|it) (?:been )?tested"
        r"|test(?:s|ing)?(?: (?:plan|done|instructions|notes))?$|reviewers?|release notes?"
        r"|related (?:issues?|prs?|pull requests?)|linked issues?|code of conduct|changelog"
        r"|(?:proposed |the |my )?(?:solution|fix|changes|implementation|approach)(?: made)?$"
        r"|what (?:has |was |i )?(?:changed|did)|what (?:does|do|is) th(?:is|ese) (?:pr|change)"
        r"|changes (?:made|proposed|in this)|how (?:does|did|is) (?:it|this|i)"
        r"|description of (?:the )?(?:changes?|fix)"
        r"|summary (?:of|by)|walkthrough",
        re.IGNORECASE,
    ),
    "commit": re.compile(r"check ?list|test plan", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Something that was cut out of a text."""

    kind: str
    """What it was, for example ``trailer`` or ``fix line``."""
    text: str
    """It, shortened."""


def clean(text: str, origin: Origin, removed: list[Removal]) -> str:
    """A body without what surrounds it.

    Args:
        text: body of an issue or a pull request, or the rest of a commit's message.
        origin: where it stood; each has templates of its own.
        removed: told what was cut.
    """
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _drop(_COMMENT, text, "comment", removed)
    found = [part for part in passages(text) if not _is_diff(part, removed)]
    done = [
        part if part.code else replace(part, lines=tuple(_prose(part.lines, removed)))
        for part in found
    ]
    return tidy(_without_sections(join(done), _DROPPED[origin], removed))


def clean_title(title: str, removed: list[Removal], names: Collection[str] = frozenset()) -> str:
    """A title or first line without number, marks and prefixes, and with a capital.

    Args:
        title: as it was written.
        removed: told what was cut.
        names: identifiers, which keep their case at its start.
    """
    text = _drop(_MARK, " ".join(_CONTROL.sub("", title).split()), "boilerplate", removed)
    text = re.sub(r"^Merge (?:pull request|branch|PR|remote)\b.*", "", text)
    text = re.sub(r"\s*\((?:PR |GH-?|bug |issue )?#?\d+\)\s*$", "", text, flags=re.IGNORECASE)
    text = re.sub(r"^(?:\[(?:WIP|MRG(?:\+\d)?|RFC|BUG|ENH|FIX|RDY|READY)\]\s*)+", "", text)
    text = re.sub(r"^\w{1,10}(?:\([\w., /-]+\))?!?:\s+(?=\S)", _kind_prefix, text)
    text = text.strip(" \t-:")
    first = re.match(r"([a-z]+)\s", text)
    return text[:1].upper() + text[1:] if first and first[1] not in names else text


def _kind_prefix(found: re.Match[str]) -> str:
    """Nothing for the word that only classifies a change, the prefix itself otherwise."""
    word = re.match(r"\w+", found[0])
    kinds = "fix feat bug bugfix enh chore refactor perf docs doc test tests style build ci wip mnt"
    kinds += " tst maint sty dep rel"
    return "" if word and word[0].lower() in kinds.split() else found[0]


def _is_diff(part: Passage, removed: list[Removal]) -> bool:
    """Whether code is a quoted diff."""
    if not part.code:
        return False
    named = re.match(r"[`~]+\s*(?:diff|patch)\b", part.fence, re.IGNORECASE)
    marked = sum(bool(_DIFF_LINE.match(line.strip())) for line in part.lines)
    if named or marked > 1 or any(line.strip().startswith("diff --git") for line in part.lines):
        removed.append(Removal(kind="diff", text="\n".join(part.lines)[:_SHOWN]))
        return True
    return False


def _prose(lines: Iterable[str], removed: list[Removal]) -> list[str]:
    kept: list[str] = []
    state = ""
    for line in lines:
        if state == "diff" and re.match(r"^(?:[-+ @\\]|index |new file|deleted file)", line):
            removed.append(Removal(kind="diff", text=line[:_SHOWN]))
            continue
        if state == "conflicts" and re.match(r"^#?\s+\S+$", line):
            continue
        state = ""
        if line.startswith("diff --git ") or re.match(r"^@@ -\d.* @@", line):
            state, kind = "diff", "diff"
        elif _CONFLICTS.match(line):
            state, kind = "conflicts", "boilerplate"
        elif _TRAILER.match(line):
            kind = "trailer"
        elif _BOX.match(line) or (line.strip() and _BLANK_FORM.match(line)):
            kind = "checklist"
        else:
            plain = _drop(_BADGE, line, "badge", removed)
            kept.append(_MARK.sub("", _TAG.sub("", plain)))
            continue
        removed.append(Removal(kind=kind, text=line.strip()[:_SHOWN]))
    return kept


def _without_sections(text: str, dropped: re.Pattern[str], removed: list[Removal]) -> str:
    """Without the headed sections whose heading says that they are no part of the report."""
    kept: list[Passage] = []
    cutting = False
    for part in passages(text):
        if part.code:
            if not cutting:
                kept.append(part)
            continue
        rows: list[str] = []
        for line in part.lines:
            headed = _HEADED.match(line)
            if headed:
                title = next(filter(None, headed.groups())).strip(" :?*_")
                cutting = bool(dropped.search(title))
                if cutting:
                    removed.append(Removal(kind="section", text=title[:_SHOWN]))
            if not cutting:
                rows.append(line)
        kept.append(replace(part, lines=tuple(rows)))
    return join(kept)


def _drop(pattern: re.Pattern[str], text: str, kind: str, removed: list[Removal]) -> str:
    removed += [Removal(kind=kind, text=hit[0].strip()[:_SHOWN]) for hit in pattern.finditer(text)]
    return pattern.sub("", text)
