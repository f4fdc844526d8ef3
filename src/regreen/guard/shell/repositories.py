"""Git repositories that a call makes, and copies of the git directory that it leaves elsewhere.

A fresh repository outside the working copy has no history to hide, until something could have
brought the other one's objects in: from then on it counts as no longer fresh.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from regreen.guard.shell.git import read_git
from regreen.guard.shell.scope import HOLE, Scope

if TYPE_CHECKING:
    from regreen.guard.shell.command import Command

__all__ = ["follow_repositories"]

_COPIERS = frozenset(
    {"cp", "mv", "ln", "rsync", "install", "scp", "tar", "cpio", "unzip", "dd", "mount", "bsdtar",
     "rclone", "pax", "7z", "shutil.copytree", "shutil.move", "os.rename", "os.symlink",
     "os.replace", "shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.unpack_archive"}
)  # fmt: skip
_RENAMERS = _COPIERS - {"tar", "bsdtar", "cpio", "unzip", "dd", "mount", "pax", "7z"}
_BRINGS = frozenset(
    {"fetch", "pull", "clone", "bundle", "unpack-objects", "index-pack", "worktree", "submodule",
     "subtree", "fast-import", "push", "read-tree", "fetch-pack", "am"}
)  # fmt: skip
_ELSEWHERE = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE")
_GIT = re.compile(r"(^|/)\.git(/|$)")


def follow_repositories(scope: Scope, command: Command) -> None:
    """Note what a command does to repositories."""
    given = {**scope.variables, **command.assignments}
    if any(name.startswith(_ELSEWHERE) for name in given):
        scope.repositories.clear()
    if any(">" in operator and _GIT.search(target) for operator, target in command.redirects):
        scope.repositories.clear()
    if command.program == "tee" and any(map(_GIT.search, command.arguments)):
        scope.repositories.clear()
    if command.program in _COPIERS:
        _copied(scope, command)
    elif command.program == "git":
        _git(scope, command)


def _git(scope: Scope, command: Command) -> None:
    call = read_git(command.arguments)
    if call.name in _BRINGS or (call.name == "remote" and call.words[:1] == ("add",)):
        scope.repositories.clear()
    plain = not any(
        word.startswith(("--template", "--separate-git-dir", "--git-dir"))
        for word in command.arguments
    )
    if call.name != "init" or not plain:
        return
    values = {"-b", "--initial-branch", "--object-format"}
    words = [
        word
        for place, word in enumerate(call.arguments)
        if not word.startswith("-") and not (place and call.arguments[place - 1] in values)
    ]
    place = posixpath.join(scope.cwd, *call.folders, *words[:1])
    path = posixpath.normpath(place)
    if HOLE not in path and not (path + "/").startswith(scope.start.rstrip("/") + "/"):
        scope.repositories.add(path)


def _copied(scope: Scope, command: Command) -> None:
    """A copy of one file brings no history; any other may."""
    words = list(command.arguments)
    target = ""
    for place, word in enumerate(words[:-1]):
        if word in {"-t", "--target-directory"}:
            target = words[place + 1]
            words[place : place + 2] = []
            break
    single = command.program in {"cp", "install"} and not any(
        re.match(r"-[a-zA-Z]*[rRa]|--(recursive|archive)", word) for word in words
    )
    named = [word for word in words if not word.startswith("-")]
    if not single or any(HOLE in word or _GIT.search(word) for word in named):
        scope.repositories.clear()
    target = target or (named.pop() if len(named) > 1 else "")
    for source in named if target and command.program in _RENAMERS else ():
        inner = re.sub(r"/[.*]?$", "", source)
        origin = scope.origin(scope.path(inner))
        into = inner == source and (target.endswith("/") or command.program == "rsync")
        copy = scope.path(target)
        if _GIT.search(origin) and not into and copy.count("/") > 1 and copy != scope.start:
            scope.links[copy] = origin
