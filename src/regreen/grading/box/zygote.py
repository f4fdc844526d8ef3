"""The zygote: every run of tests is forked from it, and it has never seen a request.

A worker inherits all memory of the process it is forked from. Were that the supervisor, a run could
find there which run it is, what an earlier one was asked, and the nonce; so the supervisor keeps
those, and this process, forked off before anything was read, only imports, forks and reaps.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from typing import Any, NoReturn

WORKER_FD = 250
SCRATCH = ("/tmp", "/home/agent", "/dev/shm")
ORDER_LIMIT = 1 << 16
LINK, PROGRAM = "120000", "100755"


def serve(control: socket.socket) -> NoReturn:
    """Answer the supervisor until it is gone.

    Orders: ``warm`` once, then ``start`` with a descriptor to read the request from and one to
    report on, and ``end``, which waits, kills what is left and tells the exit code.
    """
    worker = 0
    seccomp, python = b"", ""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, ORDER_LIMIT, 2)
        if not data:
            os._exit(0)
        order = json.loads(data)
        if order["op"] == "warm":
            seccomp, foreign = prepare(order)
            python = order["legacy"]
            answer = {"cpu": cpu_seconds(), "foreign": foreign}
        elif order["op"] == "start":
            answer = {"cpu": cpu_seconds()}
            worker = os.fork()
            if worker == 0:
                control.close()
                become_worker(
                    *descriptors, isolated=order["isolate"], seccomp=seccomp, legacy=python
                )
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            code = end_worker(worker, grace=order["grace"])
            worker = 0
            answer = {"code": code, "cpu": cpu_seconds()}
        control.send(json.dumps(answer).encode())


def prepare(order: dict[str, Any]) -> tuple[bytes, bool]:
    """Import what all runs share.

    Returns the system call filter they load, and whether code of the repository came into memory,
    so that this process is of no use.
    """
    from . import isolate

    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)  # the supervisor's requests come in there
    os.close(null)
    sys.path[:] = [entry for entry in sys.path if entry]
    sys.path.extend(entry for entry in order["path"] if entry not in sys.path)
    foreign = False
    if order["warm"]:
        foreign = warm(order["warm"], os.getcwd())  # noqa: PTH109
        gc.collect()
        gc.freeze()  # what is shared is left out of every collection in the forks
    isolate.undumpable()
    isolate.become_subreaper()
    return base64.b64decode(order["seccomp"]), foreign


def become_worker(
    request_fd: int, report_fd: int, *, isolated: bool, seccomp: bytes, legacy: str
) -> NoReturn:
    """In the fork: isolate when asked, put the files in place, run pytest, never return.

    Args:
        request_fd: where to read the request.
        report_fd: where to write reports.
        isolated: whether to make a box of its own first.
        seccomp: the system call filter of that box.
        legacy: interpreter to run pytest in; this process itself when empty.
    """
    status = 70
    try:
        from . import isolate

        os.dup2(report_fd, WORKER_FD, inheritable=False)
        os.close(report_fd)
        with os.fdopen(request_fd, "rb") as handle:
            request = json.loads(handle.read())
        quiet(keep_output=bool(request.get("keep_output")))
        if isolated:
            isolate.enter_namespaces()
            become_first_process()
            isolate.mount_fresh(os.getcwd(), SCRATCH)  # noqa: PTH109
            isolate.raise_loopback()
        else:
            isolate.dumpable()
            os.setsid()
        place_files(request.pop("files", None) or {}, request.pop("modes", None) or {})
        if isolated:
            isolate.drop_privileges(seccomp)
            become_child()
        if legacy:
            execute(legacy, request)
        from . import worker  # not sooner: what pytest needs may be what was put in place

        status = worker.run(request, WORKER_FD)
    except BaseException as exc:
        line = json.dumps({"event": "broken", "message": repr(exc)}).encode() + b"\n"
        os.write(WORKER_FD, line)
    finally:
        os._exit(status)


def execute(python: str, request: dict[str, Any]) -> NoReturn:
    """Go on as another interpreter, too old to be forked from this one."""
    paper = os.memfd_create("request", 0)
    os.write(paper, json.dumps(request).encode())
    os.lseek(paper, 0, os.SEEK_SET)
    os.set_inheritable(WORKER_FD, True)
    code = os.path.join(os.path.dirname(__file__), "legacy.py")  # noqa: PTH118, PTH120
    os.execv(python, [python, code, str(paper), str(WORKER_FD)])


def cpu_seconds() -> float:
    """CPU seconds of this process and of every child it has reaped."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def quiet(*, keep_output: bool) -> None:
    """What tests print goes nowhere; it is kept only on request."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0,) if keep_output else (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def become_first_process() -> None:
    """Fork into the new pid namespace; the parent only passes the child's end on."""
    pid = os.fork()
    if pid:
        os.close(WORKER_FD)
        status = os.waitpid(pid, 0)[1]
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def become_child() -> None:
    """Stay as pid 1, which reaps, and go on in a child, which has ordinary signal rules."""
    pid = os.fork()
    if not pid:
        os.setsid()
        return
    os.close(WORKER_FD)
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            os._exit(71)
        if ended == pid:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def place_files(files: dict[str, str | None], modes: dict[str, str]) -> None:
    """Write, or delete for None, files relative to the tree; latin-1 keeps every byte.

    Deletions come first, and take the directories along that they leave empty: what was a
    directory may become a file. Links come last, so that nothing is written through one.

    Raises:
        OSError: a directory on the way is a link, which a submitted tree may hold.
    """
    here = os.getcwd()  # noqa: PTH109
    for name in [name for name, text in files.items() if text is None]:
        os.unlink(name)  # noqa: PTH108
        with contextlib.suppress(OSError):  # not empty, or the tree's root
            os.removedirs(os.path.dirname(name))  # noqa: PTH120
    links = [name for name in files if modes.get(name) == LINK]
    for name in (*(one for one in files if one not in links), *links):
        text = files[name]
        if text is None:
            continue
        folder = os.path.dirname(name)  # noqa: PTH120
        if folder:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        if os.path.realpath(folder) != os.path.join(here, folder).rstrip("/"):  # noqa: PTH118
            raise OSError(errno.ELOOP, "a directory of the tests is a link", folder)
        if os.path.islink(name) or (name in links and os.path.exists(name)):  # noqa: PTH110, PTH114
            os.unlink(name)  # noqa: PTH108
        if name in links:
            os.symlink(text.encode("latin-1"), name.encode())  # noqa: PTH211
            continue
        with open(name, "wb") as handle:  # noqa: PTH123
            handle.write(text.encode("latin-1"))
        if name in modes:
            os.chmod(name, 0o755 if modes[name] == PROGRAM else 0o644)  # noqa: PTH101


def descendants(pid: int) -> list[int]:
    """Every process below ``pid``, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as handle:  # noqa: PTH123
                    parent = int(handle.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def end_worker(pid: int, grace: float) -> int:
    """Let a worker end by itself for ``grace`` seconds, then kill and reap all it left.

    The zygote is a subreaper, so daemons of the tests come back to it and their CPU time is
    counted. Returns the worker's exit code, negative for a signal.
    """
    handle = os.pidfd_open(pid)
    select.select([handle], [], [], grace)
    os.close(handle)
    code = 0
    while True:
        for victim in descendants(os.getpid()):
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            ended, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return code
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)


def warm(names: list[str], root: str) -> bool:
    """Import modules, to be shared by all forks, but none that leads to repository code.

    A repository that the runner itself depends on (pluggy, say) would otherwise stay in memory
    in its healthy form. Packages are tried in a fork first, one by one; the standard library is
    not suspected, and the runner is imported at once, for it rarely leads there. Returns whether
    it did.
    """
    known = getattr(sys, "stdlib_module_names", ())  # since 3.10; else all are tried
    groups: dict[str, list[str]] = {}
    for name in names:
        top = name.partition(".")[0]
        key = "" if top in known else top
        groups.setdefault(key, []).append(name)
    for key, members in groups.items():
        if key in ("", __package__) or not leads_into(members, root):
            import_all(members)
    return holds_code_of(root)


def import_all(names: list[str]) -> None:
    """Import what can be imported; an absent module only makes runs slower."""
    for name in names:
        try:
            __import__(name)
        except Exception:  # a package may raise anything
            continue


def holds_code_of(root: str) -> bool:
    """Whether a module in memory comes from below ``root``."""
    files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    return any(name.startswith(root + "/") for name in files)


def leads_into(names: list[str], root: str) -> bool:
    """Whether importing modules loads something from ``root``, found out in a fork."""
    pid = os.fork()
    if pid == 0:
        inside = True
        try:
            quiet(keep_output=False)
            import_all(names)
            inside = holds_code_of(root)
        finally:
            os._exit(int(inside))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
