"""``regreen guard scan``: every place where a task's fix can be found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from regreen.cli.shared import Output
from regreen.core.console import Console
from regreen.core.errors import PrerequisiteError, UsageError
from regreen.core.task import Task
from regreen.guard.scan import ScanReport, scan_report
from regreen.store.taskset import load_tasks

__all__ = ["scan"]

_ROWS = 60


def scan(
    path: Path,
    /,
    *,
    patch: Path | None = None,
    task: Path | None = None,
    instance_id: str | None = None,
    distribution: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    forbidden: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    only_fix: Annotated[bool, Parameter(negative="")] = False,
    output: Output | None = None,
) -> int:
    """Name every place in a repository, directory or image where a fix can be found; exit 1 if any.

    For example:

        regreen guard scan . --patch gold.diff
        regreen guard scan image.tar --task tasks.jsonl --instance-id ledger-3 --json
        regreen guard scan /srv/rootfs

    Parameters
    ----------
    path
        Repository, root file system or any directory; an image as OCI layout or docker save tar.
    patch
        The gold patch; without one only remotes, credentials, later commits and the like are named.
    task
        Taskset to take the patch from; its hidden tests must not be found either.
    instance_id
        Which task of --task; not needed when there is one.
    distribution
        Name under which the package is installed; can be repeated.
    forbidden
        Further file whose content must not be found; can be repeated.
    only_fix
        Leave out what does not hold the fix itself, such as remotes.
    """
    output = output or Output()
    if patch is not None and task is not None:
        msg = "give either --patch or --task"
        raise UsageError(msg, where="regreen guard scan", mend="regreen guard scan --help")
    if instance_id is not None and task is None:
        msg = "--instance-id needs --task"
        raise UsageError(msg, where="regreen guard scan", mend="regreen guard scan --help")
    secrets = {str(name): _bytes(name) for name in forbidden}
    gold = _text(patch) if patch is not None else ""
    names = list(distribution)
    if task is not None:
        row = _task(task, instance_id)
        gold = row.patch
        names.append(row.repo.rpartition("/")[2])
        secrets |= _hidden_tests(row)
    try:
        report = scan_report(path, gold, distributions=names, forbidden=secrets, only_fix=only_fix)
    except (UsageError, PrerequisiteError):
        raise
    except Exception as exc:  # 1 is the exit code of leaks, and nothing else may have it
        msg = f"the scan could not be finished: {str(exc) or type(exc).__name__}"
        raise UsageError(msg, where=str(path), mend="check that all of it can be read") from exc
    console = output.console()
    if gold and not report.scanned.get("evidence"):
        console.note("warning: nothing in this patch can be looked for; finding none says nothing")
    _tell(report, path, console, as_json=output.json)
    return 1 if report.leaks else 0


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "surrogateescape")


def _bytes(path: Path) -> bytes:
    try:
        found = path.read_bytes()
    except OSError as exc:
        msg = f"the file cannot be read: {exc.strerror}"
        raise UsageError(msg, where=str(path), mend="give a file that exists") from exc
    if not found.strip():
        msg = "the file is empty, so there is nothing to look for"
        raise UsageError(msg, where=str(path), mend="give the gold patch, or leave the flag out")
    return found


def _task(path: Path, instance_id: str | None) -> Task:
    rows = load_tasks(path)
    chosen = [row for row in rows if instance_id in (None, row.instance_id)]
    if len(chosen) == 1:
        return chosen[0]
    if instance_id is None:
        msg = f"the taskset holds {len(rows)} tasks"
        raise UsageError(msg, where=str(path), mend=f"--instance-id {rows[0].instance_id}")
    msg = f"the taskset has no task {instance_id!r}"
    raise UsageError(msg, where=str(path), mend="regreen tasks show TASKS lists the ids")


def _hidden_tests(task: Task) -> Mapping[str, bytes]:
    from regreen.guard.scan.hunks import parse_patch

    return {
        f"hidden test {file.new}": b"".join(
            line for hunk in file.hunks for mark, line in hunk.rows if mark == b"+"
        )
        for file in parse_patch(task.test_patch)
        if file.new
    }


def _tell(report: ScanReport, path: Path, console: Console, *, as_json: bool) -> None:
    if as_json:
        console.json(report.model_dump(mode="json"))
        return
    leaks = report.leaks
    if leaks:
        shown = [(leak.kind, leak.where, leak.evidence[:100]) for leak in leaks[:_ROWS]]
        console.table(("kind", "where", "evidence"), shown)
    if len(leaks) > _ROWS:
        console.note(f"{len(leaks) - _ROWS} more leaks; --json shows all")
    for line in report.unreadable[:10]:
        console.note(f"not looked at: {line}")
    if len(report.unreadable) > 10:
        console.note(f"and {len(report.unreadable) - 10} more; --json shows all")
    counts = report.scanned
    looked = f"{counts.get('files', 0)} files and {counts.get('objects', 0)} git objects"
    console.result(f"{len(leaks) or 'no'} leak{'s' * (len(leaks) != 1)} in {path}: {looked}")
