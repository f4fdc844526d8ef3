"""Infilling as an edit: the file with a mark where code is missing, answered by search and replace.

The form is that of search-and-replace infilling (SRI, arXiv 2601.13384): a comment marks the place,
the lines around it may be edited, and the answer echoes them in a SEARCH block before it writes
them anew in a REPLACE block, between the marks of a merge conflict. The rows are ordinary chats, so
that every tool format can render them. A file that holds such marks itself is left out: its answer
could be read in two ways.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from regreen.train.data.files import SourceFile
from regreen.train.data.holes import Hole, holes
from regreen.train.data.joined import Source
from regreen.train.data.settings import TextsConfig

__all__ = ["MARK", "Infilling", "apply", "infilling", "search_replace_rows"]

MARK = "MIDDLE CODE TO COMPLETE"
"""What the comment at the missing place says."""

_SEARCH, _DIVIDER, _REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
_ANSWER = re.compile(rf"{_SEARCH}\n(.*?)\n{_DIVIDER}\n(.*?)\n{_REPLACE}", re.DOTALL)
_SYSTEM = f"""\
You complete code by editing. A file is shown with a comment that says `{MARK}` in place of code \
that is missing. Answer with one edit and nothing else: repeat the editable lines as they are \
shown in a SEARCH block, then write them with the missing code in a REPLACE block:

{_SEARCH}
the lines as they are shown
{_DIVIDER}
the lines with the missing code
{_REPLACE}"""
_USER = """\
{path}, editable from line {first} to line {last}:

{shown}"""


class Infilling(NamedTuple):
    """One sample."""

    shown: str
    """The file with the mark in place of the hole."""
    first: int
    """First editable line of ``shown``, from 1."""
    last: int
    """Last editable line."""
    answer: str
    """The edit."""


def search_replace_rows(
    files: Sequence[SourceFile], source: Source, config: TextsConfig, left_out: Counter[str]
) -> Iterator[dict[str, Any]]:
    """A chat for each hole of each file.

    Args:
        files: the files.
        source: where they come from.
        config: how holes are drawn and how far an edit may reach.
        left_out: takes the reasons of samples that cannot be made, with their number.
    """
    for file in files:
        place = source.origin(file.path)
        for number, hole in enumerate(holes(file, f"{config.seed}:{place}", config)):
            made = infilling(file, hole, config.region_lines)
            if isinstance(made, str):
                left_out[made] += 1
                continue
            asked = _USER.format(path=file.path, **made._asdict())
            yield {
                "name": f"{source.repo}@{source.commit[:10]}:{file.path}#{hole.kind}-{number}",
                "messages": [
                    {"role": "system", "content": _SYSTEM},
                    {"role": "user", "content": asked},
                    {"role": "assistant", "content": made.answer},
                ],
                "path": file.path,
                **source._asdict(),
            }


def infilling(file: SourceFile, hole: Hole, region_lines: int) -> Infilling | str:
    """The sample of a hole, or why there is none.

    Args:
        file: the file.
        hole: what is to be written.
        region_lines: lines before and behind the mark that may be edited.
    """
    if MARK in file.text:
        return "the file holds the mark of a missing middle"
    comment = file.language.comment(MARK)
    before, after = file.text[: hole.start], file.text[hole.end :]
    shown = before + comment + after
    lines = shown.split("\n")
    at = before.count("\n")
    first, last = max(0, at - region_lines), min(len(lines) - 1, at + region_lines)
    start = sum(len(line) + 1 for line in lines[:first])
    search = "\n".join(lines[first : last + 1])
    middle = file.text[hole.start : hole.end]
    replace = search[: len(before) - start] + middle + search[len(before) - start + len(comment) :]
    marks = {_SEARCH, _DIVIDER, _REPLACE}
    if marks & {*search.split("\n"), *replace.split("\n")}:
        return "the lines around the hole hold marks of a merge conflict"
    answer = "\n".join([_SEARCH, search, _DIVIDER, replace, _REPLACE])
    return Infilling(shown, first + 1, last + 1, answer)


def apply(shown: str, answer: str) -> str | None:
    """The file after an answer's edit; None where the answer is none that can be applied.

    Args:
        shown: the file with the mark.
        answer: the SEARCH and the REPLACE block, and nothing else.
    """
    found = _ANSWER.fullmatch(answer)
    if found is None or shown.count(found[1]) != 1:
        return None
    return shown.replace(found[1], found[2], 1)
