"""What a scan says: leaks, each with its kind, its place and what gave it away.

The kind names the place where something lies and not how it was recognised, because the place is
what a person has to clean; how it was recognised is in the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

__all__ = ["KINDS", "Leak", "ScanReport", "reference_page"]

_PLACES = {
    "fixed_tree": "The tree itself is the repaired one: the gold patch is already applied.",
    "file": "A plain file holds lines of the fix.",
    "patch_file": "A file holds the fix as a diff, or a row of a task file with it.",
    "archive": "A member of an archive or a compressed file holds the fix.",
    "encoded": "Base64, hexadecimal or another text encoding of the fix.",
    "bytecode": "Compiled Python of the repaired functions, or of a source of the repaired size.",
    "build_output": "A build, egg, test-environment or cache directory holds the fix.",
    "installed_copy": "An installed copy of the package holds the fix.",
    "package_cache": "A cache of pip, uv, conda or another package manager holds the fix.",
    "hidden_layer": "A layer of an image holds the fix in a file that a later layer hides.",
    "hidden_test": "The content of a hidden test.",
    "secret": "The content of another forbidden file, such as an oracle or a grader's script.",
    "history": "A commit before HEAD holds the fix.",
    "branch": "A branch that is not checked out, or what it reaches.",
    "tag": "A tag that leads beyond HEAD, or what it reaches.",
    "remote_branch": "A remote-tracking reference, or what it reaches.",
    "stash": "A stash.",
    "note": "A git note.",
    "replace": "A replace reference, which changes what git shows.",
    "ref": "Another reference (pull requests, bisect, original …), or what it reaches.",
    "reflog": "A reflog entry that leads beyond HEAD or names where the repository came from.",
    "unreachable": "An object that no reference reaches.",
    "git_pack": "A pack without an index, or with one that does not list all of it.",
    "index": "An entry of the index that HEAD does not have.",
    "message_file": "ORIG_HEAD, FETCH_HEAD, COMMIT_EDITMSG and other files that git leaves.",
    "rr_cache": "A recorded conflict resolution.",
    "lost_found": "What git fsck has saved.",
    "git_file": "Another file in a git directory holds the fix.",
    "bundle": "A git bundle.",
    "alternate": "An object store that a repository borrows from.",
    "worktree": "Another working tree of a repository, or a git directory kept elsewhere.",
    "submodule": "The store of a submodule.",
    "nested_repository": "A repository within or beside the one that is scanned.",
    "remote": "A configured remote: the place where the fix can be fetched.",
    "credential": "A password, token or credential helper.",
    "hook": "A hook, filter or command that git would run.",
    "future_commit": "A commit that HEAD does not descend from.",
}

KINDS: Mapping[str, str] = MappingProxyType(_PLACES)
"""Every kind of leak and what it means."""


class Leak(BaseModel):
    """One place where the fix, or a way to it, can be found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """One of :data:`KINDS`."""
    where: str
    """Path below what was scanned; ``!/`` leads into an archive; object id and path for git."""
    evidence: str
    """What gave it away, in words."""


class ScanReport(BaseModel):
    """Leaks, and what was looked at to find them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    leaks: tuple[Leak, ...] = ()
    """In the order of the walk."""
    scanned: dict[str, int] = {}
    """Counts: ``files``, ``bytes``, ``objects``, ``repositories``, ``archives``, ``evidence``."""
    unreadable: tuple[str, ...] = ()
    """What could not be looked at, with the reason; these are no leaks."""


def reference_page() -> str:
    """The page ``docs/reference/leaks.md``."""
    rows = "\n".join(f"| `{kind}` | {meaning} |" for kind, meaning in KINDS.items())
    return f"""# Kinds of leaks

What `regreen guard scan` reports; a test compares this page with the code. `where` names the place
and `evidence` what was recognised there. The last four kinds, and references, reflogs, alternates
and worktrees, are reported without the fix in them as well: a sealed repository has none.
`--only-fix` leaves only places that hold the fix or a hidden test.

| kind | what it is |
|---|---|
{rows}
"""
