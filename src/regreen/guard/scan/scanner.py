"""The walk: find repositories and the base tree, decide what is evidence, look everywhere.

The patch's base is looked for before anything else, because only what the base does not hold is a
leak; where no tree fits the patch, its own lines have to do and short ones count for less.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from regreen.core.errors import UsageError
from regreen.guard.scan.collecting import Collector
from regreen.guard.scan.evidence import Evidence, Match
from regreen.guard.scan.findings import Leak, ScanReport
from regreen.guard.scan.hunks import FilePatch, applied, blob_ids, parse_patch
from regreen.guard.scan.inventory import Inventory
from regreen.guard.scan.places import Places, git_part_kind, secret_kind
from regreen.guard.scan.references import config_findings
from regreen.guard.scan.repository import Repository

__all__ = ["scan", "scan_report"]

_LARGE = 256 << 20
_SLICE, _OVERLAP = 64 << 20, 1 << 20
_CREDENTIALS = {".git-credentials", ".netrc", "_netrc", ".pypirc"}
_NAME = re.compile(r"^\s*name\s*[=:]\s*[\"']?([\w.-]+)", re.MULTILINE | re.IGNORECASE)
Reader = Callable[[str], bytes | None]


@dataclass(frozen=True)
class _Base:
    before: Mapping[str, bytes] = field(default_factory=dict)
    after: Mapping[str, bytes] = field(default_factory=dict)
    repository: Repository | None = None
    fixed_at: tuple[str, ...] = ()
    """Prefixes of trees to which the patch has been applied already."""


def scan(
    path: Path,
    patch: str,
    *,
    base: Reader | None = None,
    distributions: Sequence[str] = (),
    forbidden: Mapping[str, bytes] | None = None,
    only_fix: bool = False,
) -> tuple[Leak, ...]:
    """Name every place below a directory, or in an image, where a fix can be found.

    Args:
        path: a repository, a root file system, any directory; an image as OCI layout or tar.
        patch: the gold patch; empty for what can be said without one.
        base: reads a file of the tree the patch is for, where PATH does not hold that tree.
        distributions: names under which the package is installed; its own files are read too.
        forbidden: further files, by name, whose content must not be found.
        only_fix: leave out what does not hold the fix itself, such as remotes.

    Raises:
        UsageError: the path is not there, or the patch is none.
    """
    return scan_report(
        path, patch, base=base, distributions=distributions, forbidden=forbidden, only_fix=only_fix
    ).leaks


def scan_report(
    path: Path,
    patch: str,
    *,
    base: Reader | None = None,
    distributions: Sequence[str] = (),
    forbidden: Mapping[str, bytes] | None = None,
    only_fix: bool = False,
) -> ScanReport:
    """As :func:`scan`, with counts and what could not be read."""
    from regreen.guard.scan.image import is_image, opened_image

    files = parse_patch(patch)
    if patch.strip() and not files:
        msg = "the patch names no file"
        raise UsageError(msg, where="the gold patch", mend="give a diff in git's format")
    if not path.exists():
        msg = "there is nothing to scan"
        raise UsageError(msg, where=str(path), mend="give a directory or an image that exists")
    options = _Options(base, tuple(distributions), dict(forbidden or {}), only_fix)
    if not is_image(path):
        found = Inventory.of(path)
        with closing(found):
            return _searched(found, _prepared(found, files, options))
    with opened_image(path) as image:
        found, aside = Inventory.of(image.merged), Inventory.of(image.hidden)
        with closing(found), closing(aside):
            search = _prepared(found, files, options)
            report = _searched(found, search)
            return _joined(report, _searched(aside, replace(search, hidden=True)), image.notes)


@dataclass(frozen=True)
class _Options:
    base: Reader | None
    distributions: tuple[str, ...]
    forbidden: Mapping[str, bytes]
    only_fix: bool


@dataclass(frozen=True)
class _Search:
    """What is looked for, and what is known of the tree the patch is for."""

    files: tuple[FilePatch, ...]
    base: _Base
    evidence: Evidence
    places: Places
    base_ids: frozenset[str]
    only_fix: bool
    hidden: bool = False


def _prepared(found: Inventory, files: tuple[FilePatch, ...], options: _Options) -> _Search:
    base = _find_base(files, found, options.base)
    repository = base.repository
    evidence = Evidence(
        files,
        base=base.before,
        fixed=base.after,
        forbidden=options.forbidden,
        held=repository.held() if repository else None,
    )
    names = (*options.distributions, *_names(found, base))
    if files and not base.before and not base.after:
        reason = "no tree here fits the patch, so short lines of it were not sought"
        found.notes.append((found.relative(found.root), reason))
    found.notes += _unsought(files, evidence, any_objects=bool(found.repositories))
    ids = {row.id for row in repository.head_tree.values()} if repository else set()
    return _Search(
        files, base, evidence, Places.of(evidence.paths, names), frozenset(ids), options.only_fix
    )


def _unsought(
    files: tuple[FilePatch, ...], evidence: Evidence, *, any_objects: bool
) -> Iterator[tuple[str, str]]:
    """What of a patch no scan can find."""
    others = len(evidence) - len(evidence.prefixes)
    usable = others or any_objects or any(len(start) >= 40 for start in evidence.prefixes)
    if files and not (evidence and usable):
        yield "the patch", "nothing in this patch can be looked for"
        return
    for file in files:
        if file.unseen and file.new_id in evidence.prefixes and len(file.new_id) < 40:
            reason = "the patch has a short id of its content only, which is sought among objects"
            yield file.new or "", reason


def _searched(found: Inventory, search: _Search) -> ScanReport:
    out = Collector(search.evidence, search.places, only_fix=search.only_fix)
    for note in found.notes:
        out.note(*note)
    out.stores += [repository.objects_dir for repository in found.repositories]
    out.counts["repositories"] = len(found.repositories)
    for repository in found.repositories:
        if _related(repository, search.files, found):
            repository.structure(out)
        repository.settings(out)
        repository.contents(out, search.base_ids)
    for path in found.files:
        try:
            _look_at(path, found, search, out)
        except (
            OSError,
            ValueError,
            ArithmeticError,
            LookupError,
            RuntimeError,
            MemoryError,
        ) as exc:
            out.note(found.relative(path), f"cannot be looked at in full: {exc!r}")
    return out.report()


def _find_base(files: tuple[FilePatch, ...], found: Inventory, base: Reader | None) -> _Base:
    """The tree a patch is for: given, in a repository, or lying somewhere as plain files."""
    if not files:
        return _Base()
    fixed: list[str] = []
    best = _tried(files, base, None) if base else None
    late: _Base | None = None
    for repository in found.repositories:
        if not repository.head:
            continue
        forward, backward = _either(files, repository.read, repository)
        if forward is not None and (best is None or best.repository is None):
            best = forward
        if backward is not None:
            late = late or backward
            fixed.append(f"{repository.label} HEAD")
    for prefix in _prefixes(files, found):
        read = _reader(prefix)
        forward, backward = _either(files, read, None)
        best = best or forward
        if backward is not None:
            late = late or backward
            fixed.append(found.relative(prefix) if prefix != found.root else ".")
    chosen = best or late or _Base()
    return _Base(chosen.before, chosen.after, chosen.repository if best else None, tuple(fixed))


def _either(
    files: tuple[FilePatch, ...], read: Reader, repository: Repository | None
) -> tuple[_Base | None, _Base | None]:
    """The tree as base or as repaired one, never both.

    A small patch may apply a second time a few lines further; then its line numbers decide.
    """
    forward = _tried(files, read, repository)
    backward = _tried(files, read, repository, reverse=True)
    if forward and backward:
        twice = not applied(files, read, exact=True) and applied(
            files, read, reverse=True, exact=True
        )
        return (None, backward) if twice else (forward, None)
    return forward, backward


def _tried(
    files: tuple[FilePatch, ...],
    read: Reader,
    repository: Repository | None,
    *,
    reverse: bool = False,
) -> _Base | None:
    result = applied(files, read, reverse=reverse)
    if result is None:
        return None
    there = {path: data for path in result if (data := read(path)) is not None}
    other = {path: data for path, data in result.items() if data is not None}
    before, after = (other, there) if reverse else (there, other)
    return _Base(before, after, repository)


def _prefixes(files: tuple[FilePatch, ...], found: Inventory) -> Iterator[Path]:
    """Directories below which the patched files lie."""
    wanted = next((file.new or file.old for file in files if file.old), None) or files[0].new or ""
    tail = "/" + wanted
    if (found.root / wanted).is_file():
        yield found.root
    for path in found.files:
        text = str(path)
        prefix = Path(text[: -len(tail)]) if text.endswith(tail) else None
        if prefix and prefix != found.root and ".git" not in prefix.parts:
            yield prefix


def _reader(prefix: Path) -> Reader:
    def read(path: str) -> bytes | None:
        place = prefix / path
        try:
            return place.read_bytes() if place.is_file() and ".." not in place.parts else None
        except OSError:
            return None

    return read


def _names(found: Inventory, base: _Base) -> Iterator[str]:
    """Names of the package, from the files that packaging reads."""
    for name in ("pyproject.toml", "setup.cfg", "setup.py", "PKG-INFO"):
        data = base.repository.read(name) if base.repository else _reader(found.root)(name)
        text = (data or b"").decode("utf-8", "replace")
        yield from (match for match in _NAME.findall(text)[:1])


def _related(repository: Repository, files: tuple[FilePatch, ...], found: Inventory) -> bool:
    """Whether a repository has to do with the patch; an image's tools may have their own."""
    top = repository.git_dir in (found.root, found.root / ".git")
    if top or not files or not repository.head:
        return True
    return any(
        path in repository.head_tree for file in files for path in (file.old, file.new)
    ) or any(
        other.work_tree is not None
        and repository.git_dir.is_relative_to(other.work_tree)
        and any(file.old in other.head_tree for file in files)
        for other in found.repositories
        if other is not repository
    )


def _look_at(path: Path, found: Inventory, search: _Search, out: Collector) -> None:
    where = found.relative(path)
    owner = _owner(path, found.repositories)
    inside = (
        path.relative_to(owner.git_dir).parts
        if owner and path.is_relative_to(owner.git_dir)
        else ()
    )
    if owner and inside and owner.handled(inside):
        return
    data = _data(path, where, out)
    if data is None:
        return
    out.counts["files"] += 1
    out.counts["bytes"] += len(data)
    _credentials(path, data, search.base_ids, where, out)
    for start in range(0, max(1, len(data)), _SLICE):
        piece = data[start : start + _SLICE + _OVERLAP] if len(data) > _LARGE else data[:]
        for place, how, match in out.examine(where, piece, in_repository=owner is not None):
            kind = _kind((place, how, match), inside, owner, search)
            line = f":{match.line}" if match.line and place == where else ""
            out.add(kind, place + line, match.words)
        if len(data) <= _LARGE:
            return


def _kind(
    found: tuple[str, str, Match],
    inside: tuple[str, ...],
    owner: Repository | None,
    search: _Search,
) -> str:
    """The plainest word for a finding in a file: the first of these that holds."""
    place, how, match = found
    kind = git_part_kind(inside) if inside else search.places.kind(place)
    plain = kind == "file" and not how
    choices = (
        (bool(match.secret), secret_kind(match.secret)),
        (search.hidden, "hidden_layer"),
        (bool(inside) and owner is not None, owner.kind if owner else ""),
        (bool(how), how),
        (bool(inside), kind),
        (match.form == "bytecode", "bytecode"),
        (plain and _is_fixed(place, search.base, search.evidence.paths), "fixed_tree"),
        (plain and match.form == "diff", "patch_file"),
    )
    return next((word for holds, word in choices if holds and word), kind)


def _is_fixed(place: str, base: _Base, paths: Sequence[str]) -> bool:
    prefixes = ["" if at in {".", ".git HEAD", ". HEAD"} else f"{at}/" for at in base.fixed_at]
    return any(place == prefix + path for prefix in prefixes for path in paths)


def _owner(path: Path, repositories: Sequence[Repository]) -> Repository | None:
    """The innermost repository that a file belongs to."""
    owners = [
        repository
        for repository in repositories
        if path.is_relative_to(repository.git_dir)
        or (repository.work_tree is not None and path.is_relative_to(repository.work_tree))
    ]
    return max(owners, key=lambda repository: len(repository.git_dir.parts), default=None)


def _data(path: Path, where: str, out: Collector) -> bytes | mmap.mmap | None:
    try:
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            return os.fsencode(path.readlink())
        if not stat.S_ISREG(info.st_mode):
            return None
        if info.st_size <= _LARGE:
            return path.read_bytes()
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as exc:
        out.note(where, exc.strerror or "not readable")
        return None


def _credentials(
    path: Path, data: bytes | mmap.mmap, base_ids: Iterable[str], where: str, out: Collector
) -> None:
    if path.name in _CREDENTIALS and len(data):
        if not set(blob_ids(data[:])) & set(base_ids):
            out.add("credential", where, "a file that holds passwords", fix=False)
    elif path.name in {".gitconfig", "gitconfig"}:
        for kind, words in config_findings(path):
            if kind in {"credential", "remote"}:
                out.add(kind, where, words, fix=False)


def _joined(report: ScanReport, hidden: ScanReport, notes: Sequence[str]) -> ScanReport:
    counts = {
        name: report.scanned.get(name, 0) + hidden.scanned.get(name, 0)
        for name in {*report.scanned, *hidden.scanned}
    }
    unreadable = dict.fromkeys((*report.unreadable, *hidden.unreadable, *notes))
    return ScanReport(
        leaks=(*report.leaks, *hidden.leaks),
        scanned=dict(sorted(counts.items())),
        unreadable=tuple(unreadable),
    )
