"""Lists of problems that must not come out of mining: benchmarks, by id, by commit, by content.

A list is any file that names them: rows of a benchmark (JSON lines, a JSON list, Parquet) or plain
lines. Of rows only the columns that say which change it is, and what it asks, are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regreen.core.errors import UsageError

__all__ = ["Entry", "entry_of_id", "read_known"]

_ID = re.compile(r"(?:instance_)?(?P<owner>[\w.-]+?)__(?P<name>[\w.-]+?)-(?P<number>\d+)")
_ID_COMMIT = re.compile(
    r"(?:instance_)?(?P<owner>[\w.-]+?)__(?P<name>[\w.-]+?)-(?P<commit>[0-9a-f]{7,40})(?:-v.*)?"
)
_NUMBERED = re.compile(r"(?P<repo>[\w.-]+(?:/[\w.-]+)?)(?:#|!|:pr-)(?P<number>\d+)")
_AT = re.compile(r"(?P<repo>[\w.-]+(?:/[\w.-]+)?)@(?P<commit>[0-9a-f]{7,40})")
_URL = re.compile(
    r"https?://[^/]+/(?P<repo>[\w.-]+/[\w.-]+)/"
    r"(?:(?:pull|pulls|merge_requests)/(?P<number>\d+)|commit/(?P<commit>[0-9a-f]{7,40}))\S*"
)
_COPY = re.compile(r"(?:swesmith|swe-?bench\w*)/(?P<owner>[\w.-]+?)__(?P<name>[\w-]+)(?:\.\w+)?")
_COLUMNS = (
    *("instance_id", "repo", "base_commit", "patch", "problem_statement", "pull_number"),
    *("org", "number", "base", "fix_patch", "resolved_issues", "issue_numbers", "commit", "sha"),
    *("fix_commit", "merge_commit", "repo_name", "commit_hash", "task_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One problem of a list; what it does not say is empty."""

    name: str
    """As the list calls it, for reasons."""
    instance_id: str = ""
    """Its id there."""
    repo: str = ""
    """``owner/name``, lower case; the name alone when the list gives no owner."""
    number: int | None = None
    """Number of its pull request."""
    commits: tuple[str, ...] = ()
    """Commits it starts from or is fixed by; at least seven digits."""
    patch: str = ""
    """Its gold patch."""
    statement: str = ""
    """Its problem statement."""


def read_known(path: Path) -> Iterator[Entry]:
    """The problems that a file lists.

    Raises:
        UsageError: it cannot be read, holds something that names no problem, or nothing at all.
    """
    count = 0
    for place, row in _rows(path):
        entry = _entry(row)
        if entry is None:
            what = f"this names no problem: {str(row)[:60]!r}"
            mend = "give rows with instance_id, or lines such as owner__name-1, owner/name#1"
            raise UsageError(what, where=f"{path}:{place}", mend=mend)
        count += 1
        yield entry
    if not count:
        what = "this list names no problem"
        raise UsageError(what, where=str(path), mend="leave it out, or give another file")


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Numbered rows or lines of a file."""
    if path.suffix == ".parquet":
        yield from enumerate(_parquet(path), 1)
        return
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        what = f"the list cannot be read: {exc}"
        raise UsageError(what, where=str(path), mend="give a text or Parquet file") from exc
    if text.lstrip().startswith("["):
        try:
            yield from enumerate(json.loads(text), 1)
        except (ValueError, RecursionError) as exc:
            what = f"the list is no JSON: {exc}"
            raise UsageError(what, where=str(path), mend="give a JSON list of rows") from exc
        return
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        yield number, _line(bare, path, number)


def _line(line: str, path: Path, number: int) -> Any:
    if line[0] not in '{"':
        return re.split(r"\s+#\s|[\s,;]", line)[0]
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as exc:
        what = f"this line is no JSON: {exc}"
        raise UsageError(what, where=f"{path}:{number}", mend="give one JSON row a line") from exc


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if name in _COLUMNS]
            for batch in file.iter_batches(batch_size=256, columns=names):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as exc:
        what = f"the list cannot be read: {exc}"
        raise UsageError(what, where=str(path), mend="give a Parquet file that is whole") from exc


def _entry(row: Any) -> Entry | None:
    if isinstance(row, str):
        return _named(row.strip())
    if not isinstance(row, Mapping):
        return None
    text = {key: value for key in _COLUMNS if isinstance(value := row.get(key), str) and value}
    instance_id = text.get("instance_id") or text.get("task_id", "")
    named = entry_of_id(instance_id)
    repo = text.get("repo") or text.get("repo_name", "")
    if text.get("org") and repo and "/" not in repo:
        repo = f"{text['org']}/{repo}"
    number = row.get("number", row.get("pull_number"))
    base = row.get("base")
    commits = [text.get(key, "") for key in ("base_commit", "commit", "sha", "fix_commit",
                                             "merge_commit", "commit_hash")]  # fmt: skip
    commits.append(str(base.get("sha") or "") if isinstance(base, Mapping) else "")
    found = Entry(
        name=instance_id or f"{repo}#{number}",
        instance_id=instance_id,
        repo=_repo(repo) or named.repo,
        number=int(number) if str(number).isdecimal() else named.number,
        commits=(*_commits(commits), *named.commits),
        patch=text.get("fix_patch") or text.get("patch", ""),
        statement=text.get("problem_statement") or _issues(row.get("resolved_issues")),
    )
    usable = instance_id or found.commits or found.patch or (found.repo and found.number)
    return found if usable else None


def _named(line: str) -> Entry | None:
    """What one line names."""
    for form in (_URL, _NUMBERED, _AT):
        if found := form.fullmatch(line):
            parts = found.groupdict()
            return Entry(
                name=line,
                repo=_repo(parts["repo"]),
                number=int(parts["number"]) if parts.get("number") else None,
                commits=_commits([parts.get("commit") or ""]),
            )
    if re.fullmatch(r"[0-9a-f]{40}", line):
        return Entry(name=line, commits=(line,))
    return entry_of_id(line) if re.fullmatch(r"[\w.-]*[._-][\w.-]*", line) else None


def entry_of_id(instance_id: str) -> Entry:
    """What an instance id says by itself: ``owner__name-123``, or a commit in place of 123."""
    if found := _ID.fullmatch(instance_id):
        repo, number = f"{found['owner']}/{found['name']}", int(found["number"])
        return Entry(name=instance_id, instance_id=instance_id, repo=_repo(repo), number=number)
    if found := _ID_COMMIT.fullmatch(instance_id):
        repo = _repo(f"{found['owner']}/{found['name']}")
        return Entry(
            name=instance_id, instance_id=instance_id, repo=repo, commits=(found["commit"],)
        )
    return Entry(name=instance_id, instance_id=instance_id)


def _repo(name: str) -> str:
    """A repository's name for comparison; a data set's own copy is named after the original."""
    if found := _COPY.fullmatch(name):
        name = f"{found['owner']}/{found['name']}"
    return name.lower().removesuffix(".git").strip("/")


def _commits(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(one.lower() for one in names if re.fullmatch(r"[0-9a-fA-F]{7,40}", one))


def _issues(rows: Any) -> str:
    """Titles and bodies of issues, as Multi-SWE rows list them."""
    if not isinstance(rows, list):
        return ""
    texts = [f"{row.get('title') or ''}\n{row.get('body') or ''}" for row in rows
             if isinstance(row, Mapping)]  # fmt: skip
    return "\n".join(texts).strip()
