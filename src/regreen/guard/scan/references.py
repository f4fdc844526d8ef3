"""The names a git directory gives to commits: references, reflogs and the files git leaves behind.

They are read from the files and not asked of git, which would skip what it takes for broken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regreen.guard.scan.walk import files_below

__all__ = [
    "Reference",
    "config_findings",
    "head_commit",
    "references",
    "reflog_entries",
    "resolved",
]

_ID = re.compile(r"\b[0-9a-f]{40}(?:[0-9a-f]{24})?\b")
_ZERO = re.compile(r"0+")
_PREFIXES = (
    ("refs/heads/", "branch"),
    ("refs/tags/", "tag"),
    ("refs/remotes/", "remote_branch"),
    ("refs/stash", "stash"),
    ("refs/notes/", "note"),
    ("refs/replace/", "replace"),
)
_ALWAYS = {"remote_branch", "stash", "note", "replace"}
_SECTION = re.compile(r"\s*\[\s*([\w.-]+)(?:\s+\"((?:[^\"\\]|\\.)*)\")?\s*\](.*)")
_SECRET_URL = re.compile(r"\w+://[^/\s@]*:[^/\s@]+@|\w+://(?:gh[a-z]_|github_pat_|glpat-)[^/\s]*@")
_COMMANDS = re.compile(
    r"filter\..*\.(?:smudge|clean|process)|core\.(?:fsmonitor|sshcommand|pager|editor|askpass)"
    r"|diff\..*\.(?:textconv|command)|diff\.external|merge\..*\.driver|include(?:if\..*)?\.path"
    r"|core\.(?:attributesfile|worktree)|credential\..*|url\..*\.(?:push)?insteadof|uploadpack\..*hook"
)
_HARMLESS = {"", "false", "true", "0", "cat", "less"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that leads to an object."""

    kind: str
    """Kind of leak when it leads astray."""
    name: str
    """``refs/…``, or the file in the git directory."""
    target: str
    """Object id."""

    @property
    def always(self) -> bool:
        """Whether a sealed repository has none of its kind, wherever it leads."""
        return self.kind in _ALWAYS


def kind_of_name(name: str) -> str:
    """Kind of leak of a reference's name."""
    return next((kind for prefix, kind in _PREFIXES if name.startswith(prefix)), "ref")


def head_commit(git_dir: Path) -> tuple[str, str]:
    """What HEAD leads to, and the branch it is on; either may be empty."""
    text = _read(git_dir / "HEAD").strip()
    if text.startswith("ref:"):
        name = text[4:].strip()
        return resolved(git_dir, name), name
    return (text, "") if _ID.fullmatch(text) else ("", "")


def resolved(git_dir: Path, name: str, depth: int = 0) -> str:
    """The id a reference leads to; nothing when there is none."""
    for home in (git_dir, _common(git_dir)):
        text = _read(home / name).strip() if ".." not in name else ""
        if text.startswith("ref:") and depth < 5:
            return resolved(home, text[4:].strip(), depth + 1)
        if _ID.fullmatch(text):
            return text
        if packed := dict(_packed(home)).get(name):
            return packed
    return ""


def _common(git_dir: Path) -> Path:
    text = _read(git_dir / "commondir").strip()
    return (git_dir / text) if text else git_dir


def _packed(git_dir: Path) -> Iterator[tuple[str, str]]:
    for line in _read(git_dir / "packed-refs").splitlines():
        identity, _, name = line.partition(" ")
        if _ID.fullmatch(identity) and name:
            yield name.strip(), identity


def references(git_dir: Path) -> list[Reference]:
    """Every reference but HEAD's own branch, and the ids in files that git leaves."""
    _, current = head_commit(git_dir)
    found: dict[tuple[str, str], Reference] = {}
    pairs = list(_packed(git_dir))
    for path in files_below(git_dir / "refs"):
        text = _read(path).strip()
        if _ID.fullmatch(text):
            pairs.append((path.relative_to(git_dir).as_posix(), text))
    for name, target in pairs:
        if name != current:
            found[name, target] = Reference(kind_of_name(name), name, target)
    names = [path for path in git_dir.iterdir() if path.name.isupper() or "_" in path.name]
    more = (git_dir / "info" / "grafts", *git_dir.glob("worktrees/*/*HEAD"))
    for path in (*sorted(names), *more):
        if path.name == "HEAD" and path.parent == git_dir:
            continue
        kind = "worktree" if "worktrees" in path.parts else "message_file"
        for target in _ID.findall(_read(path)):
            name = path.relative_to(git_dir).as_posix()
            found[name, target] = Reference(kind, name, target)
    return list(found.values())


def reflog_entries(git_dir: Path) -> Iterator[tuple[str, str, str]]:
    """File, object id and message of every reflog line."""
    logs = git_dir / "logs"
    for path in files_below(logs):
        for line in _read(path).splitlines():
            head, _, message = line.partition("\t")
            for identity in head.split()[:2]:
                if _ID.fullmatch(identity) and not _ZERO.fullmatch(identity):
                    yield path.relative_to(git_dir).as_posix(), identity, message


def config_findings(path: Path) -> Iterator[tuple[str, str]]:
    """Kind and evidence of everything in a git configuration that leads out or runs something."""
    for key, value in _settings(_read(path)):
        lower = key.lower()
        if _SECRET_URL.search(value) or _SECRET_URL.search(key):
            yield "credential", f"{key.split('://')[0]} holds a URL with a password or token"
        if re.fullmatch(r"remote\..*\.(?:push)?url|branch\..*\.remote", lower):
            if value != ".":
                yield "remote", f"{key} = {_redacted(value)}"
        elif lower.endswith(".extraheader") or lower.startswith(("credential.", "http.cookie")):
            yield "credential", f"{_redacted(key)} is set"
        elif lower == "core.hookspath":
            if value not in {"/dev/null", "", "/var/empty"}:
                yield "hook", f"{key} = {value}"
        elif lower.startswith("alias.") and value.startswith("!"):
            yield "hook", f"{key} runs {value[1:80]}"
        elif _COMMANDS.fullmatch(lower) and value.lower() not in _HARMLESS:
            kind = "remote" if "insteadof" in lower else "hook"
            yield kind, f"{_redacted(key)} = {_redacted(value[:80])}"


def _settings(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in re.sub(r"\\\r?\n", "", text).splitlines():
        rest = line
        if match := _SECTION.match(line):
            section = match[1] + (f".{match[2]}" if match[2] is not None else "")
            rest = match[3]
        stripped = rest.strip()
        if stripped and stripped[0] not in "#;":
            key, _, value = stripped.partition("=")
            yield f"{section}.{key.strip()}", value.strip().strip('"')


def _redacted(text: str) -> str:
    return re.sub(r"//[^/\s@]*@", "//…@", text)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
