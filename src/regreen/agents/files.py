"""Tools on files: view, edit by exact replacement, search.

An edit names the text it replaces, and that text must occur once: line numbers go stale with the
first edit, and a fuzzy match can change the wrong place without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import join, normpath
from typing import Any

from regreen.agents.tools import Context, Result, Tool, cut

__all__ = ["EDIT", "SEARCH", "VIEW"]

_LONGEST_LINE = 400
_MOST_MATCHES = 100


def _path(context: Context, arguments: Mapping[str, Any]) -> str:
    return normpath(join(context.workdir, arguments.get("path") or "."))


def _error(text: str) -> Result:
    return Result(text=text, error=True)


def _numbered(lines: list[str], start: int, end: int) -> str:
    """Lines ``start`` to ``end``, counted from 1, each behind its number."""
    return "\n".join(f"{i:6}\t{lines[i - 1]}" for i in range(start, end + 1))


async def _view(context: Context, arguments: Mapping[str, Any]) -> Result:
    path = _path(context, arguments)
    try:
        data = await context.box.read(path)
    except IsADirectoryError:
        listing = await context.box.exec(["ls", "-Ap", "--", path])
        text = listing.stdout.decode("utf-8", "replace")
        return Result(text=cut(text, context.limits.output_characters) or "[empty directory]")
    except OSError as exc:
        return _error(f"Cannot read {path}: {exc.strerror or exc}.")
    if b"\0" in data[:8192]:
        return _error(f"{path} is a binary file of {len(data)} bytes.")
    lines = data.decode("utf-8", "replace").splitlines()
    start, end = arguments.get("start", 1), min(arguments.get("end", len(lines)), len(lines))
    if not lines:
        return Result(text="[empty file]")
    if not 1 <= start <= end:
        return _error(f"{path} has {len(lines)} lines; {start} to {end} is no part of it.")
    text = _numbered(lines, start, end)
    return Result(text=cut(text, context.limits.output_characters))


async def _edit(context: Context, arguments: Mapping[str, Any]) -> Result:
    path, old, new = _path(context, arguments), arguments["old"], arguments["new"]
    try:
        data = await context.box.read(path)
    except FileNotFoundError:
        return await _create(context, path, old, new)
    except OSError as exc:
        return _error(f"Cannot read {path}: {exc.strerror or exc}.")
    text = data.decode("utf-8", "surrogateescape")
    if not old and text:
        return _error(f"{path} exists already. To change it, give the text to replace as old.")
    if old and text.count(old) != 1:
        return _error(_why_not_once(text, old, path))
    changed = text.replace(old, new, 1)
    # cp writes into the file that is there: its mode, and a link to it, stay.
    wrote = await context.box.exec(["cp", "/dev/stdin", path], stdin=_bytes(changed))
    if wrote.exit_code != 0:
        return _error(wrote.stderr.decode("utf-8", "replace"))
    return Result(text=f"Edited {path}:\n{_around(changed, text.find(old), new)}")


def _around(text: str, offset: int, new: str) -> str:
    """The changed place with three lines on either side."""
    first = text.count("\n", 0, offset) + 1
    lines = text.encode("utf-8", "replace").decode().splitlines()
    end = min(len(lines), first + new.count("\n") + 3)
    return cut(_numbered(lines, max(1, first - 3), end), 4000)


async def _create(context: Context, path: str, old: str, new: str) -> Result:
    if old:
        return _error(f"There is no file {path}. To create it, leave old empty.")
    try:
        await context.box.write(path, _bytes(new))
    except OSError as exc:
        return _error(f"Cannot write {path}: {exc.strerror or exc}.")
    return Result(text=f"Created {path}.")


def _bytes(text: str) -> bytes:
    """Bytes that were not UTF-8 come back as they were; what JSON can smuggle in does not."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _why_not_once(text: str, old: str, path: str) -> str:
    count = text.count(old)
    if count > 1:
        return (
            f"The old text occurs {count} times in {path}. Add lines around it until it is unique."
        )
    wanted = [line.strip() for line in old.splitlines() if line.strip()]
    near = [
        str(i)
        for i, line in enumerate(text.splitlines(), 1)
        if wanted and line.strip() == wanted[0]
    ]
    hint = f" Its first line, differently indented, is line {', '.join(near[:5])}." if near else ""
    return f"The old text does not occur in {path}. It must match exactly, blanks included.{hint}"


async def _search(context: Context, arguments: Mapping[str, Any]) -> Result:
    only = [f"--include={arguments['glob']}"] if arguments.get("glob") else []
    options = ["-rnIE", "--exclude-dir=.git", *only]
    found = await context.box.exec(
        ["grep", *options, "-e", arguments["pattern"], "--", arguments.get("path") or "."],
        cwd=context.workdir,
        timeout=max(0.01, min(context.limits.command_seconds, context.remaining())),
        output_limit=1 << 22,
    )
    lines = found.stdout.decode("utf-8", "replace").splitlines()
    if found.timed_out:
        return _error("The search took too long. Give a path or a glob.")
    if found.exit_code > 1 and not lines:
        return _error(found.stderr.decode("utf-8", "replace").strip())
    if not lines:
        return Result(text="[no match]")
    shown = [line[:_LONGEST_LINE].removeprefix("./") for line in lines[:_MOST_MATCHES]]
    if len(lines) > _MOST_MATCHES:
        shown.append(f"[… {len(lines) - _MOST_MATCHES} more matches; narrow the search …]")
    return Result(text=cut("\n".join(shown), context.limits.output_characters))


VIEW = Tool(
    name="view",
    description="Show a file with line numbers, or list a directory.",
    parameters={
        "path": ("string", "Absolute, or relative to the repository."),
        "start": ("integer", "First line, counted from 1."),
        "end": ("integer", "Last line."),
    },
    required=("path",),
    run=_view,
    reads_only=True,
)
EDIT = Tool(
    name="edit",
    description=(
        "Replace a piece of text in a file. It must occur exactly once, so include enough lines"
        " around it. With an empty old text, create a new file."
    ),
    parameters={
        "path": ("string", "Absolute, or relative to the repository."),
        "old": ("string", "The text to replace, exactly as it stands in the file."),
        "new": ("string", "The text to put in its place."),
    },
    required=("path", "old", "new"),
    run=_edit,
)
SEARCH = Tool(
    name="search",
    description="Search files for lines that match an extended regular expression.",
    parameters={
        "pattern": ("string", "An extended regular expression, as of grep -E."),
        "path": ("string", "File or directory to search; the whole repository when left out."),
        "glob": ("string", "Only files of this name, for example *.py."),
    },
    required=("pattern",),
    run=_search,
    reads_only=True,
)
