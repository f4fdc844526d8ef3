"""A real change undone on today's tree: by a three-way merge, and by a model where that conflicts.

The tests of today, which know the change, are then the ones that fail.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from regreen.core.errors import UsageError
from regreen.grading.patch import text_patch
from regreen.tasks.inject.candidate import Region
from regreen.tasks.language.base import Language
from regreen.tasks.written import prompts
from regreen.tasks.written.answers import Answers
from regreen.tasks.written.draft import Draft, Refusal, settled
from regreen.tasks.written.reading import read_file

__all__ = ["OPERATOR", "Past", "draft_mirror", "regions_of", "unmerged"]

OPERATOR = "pr_mirror"
MAX_FILE = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A change of the library's files that is to be undone."""

    commit: str
    """The state after it, 40 hexadecimal digits."""
    files: Mapping[str, tuple[str, str]]
    """Path -> (text before, text after)."""


async def draft_mirror(
    past: Past,
    texts: Mapping[str, str],
    *,
    language: Language,
    answers: Answers | None,
    seed: int,
) -> Draft | Refusal:
    """Undo a change file by file.

    Args:
        past: the change.
        texts: today's files.
        language: of the files.
        answers: the model, for files whose merge conflicts; None refuses those.
        seed: of the job.

    Raises:
        ModelError: the endpoint cannot be reached.
    """
    made: dict[str, tuple[str, str]] = {}
    for path, (before, after) in sorted(past.files.items()):
        today = texts[path]
        undone = unmerged(today, before=before, after=after)
        if undone is None or _unusable(language, path, today, undone):
            if answers is None:
                return Refusal(OPERATOR, "conflict")
            if len(today) > MAX_FILE:
                return Refusal(OPERATOR, "too_long")
            asked = prompts.mirror(language, path, today, text_patch(path, before, after))
            reader = partial(read_file, language, path, today, before)
            found = await settled(answers, asked, reader, seed=seed)
            if found.faults:
                return Refusal(OPERATOR, found.faults[0].kind)
            undone = found.text
        if undone != today:
            made[path] = (today, undone)
    if all(_is_unchanged(language, path, *pair) for path, pair in made.items()):
        return Refusal(OPERATOR, "unchanged")
    regions = tuple(regions_of(language, path, *pair) for path, pair in made.items())
    return Draft(operator=OPERATOR, files=made, regions=regions)


def unmerged(today: str, *, before: str, after: str) -> str | None:
    """Today's text with the change from ``before`` to ``after`` taken out; None on a conflict."""
    with TemporaryDirectory(prefix="regreen-merge-") as scratch:
        names = []
        for name, text in (("today", today), ("after", after), ("before", before)):
            place = Path(scratch, name)
            place.write_bytes(text.encode("utf-8", "surrogateescape"))
            names.append(str(place))
        done = subprocess.run(
            ["git", "merge-file", "-p", "-q", *names], capture_output=True, check=False
        )
    if done.returncode != 0:
        return None
    return done.stdout.decode("utf-8", "surrogateescape")


def _unusable(language: Language, path: str, today: str, undone: str) -> bool:
    """Whether a merge without conflict still gave text that cannot stand."""
    if undone == today:
        return False
    return any(fault.kind != "unchanged" for fault in language.faults(path, today, undone))


def _is_unchanged(language: Language, path: str, today: str, undone: str) -> bool:
    return any(fault.kind == "unchanged" for fault in language.faults(path, today, undone))


def regions_of(language: Language, path: str, healthy: str, broken: str) -> Region:
    """The healthy lines that differ; ``whole`` when some stand outside of every function's body."""
    old, new = healthy.split("\n"), broken.split("\n")
    changed: set[int] = set()
    for tag, start, end, _, _ in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            changed.update(range(start + 1, end + 1) or (start, start + 1))
    changed &= set(range(1, len(old) + 1))
    try:
        functions = language.functions(path, healthy)
    except UsageError:
        functions = ()
    lines: set[int] = set()
    inside: set[int] = set()
    for function in functions:
        body = set(range(function.body_line, function.end_line + 1))
        if changed & body:
            lines |= body
        inside |= body
    return Region(path=path, lines=tuple(sorted(lines)), whole=bool(changed - inside))
