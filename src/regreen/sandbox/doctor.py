"""What ``regreen doctor`` says about sandboxes: which work here, and what mends the others.

Nothing is concluded from versions or settings alone: a box is made and used, and settings are read
only to name the mending command when that failed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path

from regreen.core.errors import InfrastructureError, PrerequisiteError, RegreenError
from regreen.sandbox import provider
from regreen.sandbox.base import BoxSpec, Check, Mount, Sandbox, SandboxProvider
from regreen.sandbox.bwrap import Bwrap, find_bwrap
from regreen.sandbox.cgroups import detect
from regreen.sandbox.lifeline import run_base
from regreen.sandbox.seccomp import deny_list_program

__all__ = ["checks", "namespace_checks", "process_checks", "start_error"]

_SWITCHES = (
    ("/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone", 1),
    ("/proc/sys/user/max_user_namespaces", "user.max_user_namespaces", 15000),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "kernel.apparmor_restrict_unprivileged_userns",
        0,
    ),
)
_REFUSALS = ("namespace", "uid map", "Operation not permitted", "No space left on device")


def _setting(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def _namespace_mend() -> str:
    """The command that lets us make user namespaces."""
    for path, name, wanted in _SWITCHES:
        value = _setting(path)
        if value is not None and ((value == 0) != (wanted == 0)):
            return f"sudo sysctl -w {name}={wanted}"
    return "run outside a container, or start it with --security-opt seccomp=unconfined"


def start_error(text: str) -> InfrastructureError | PrerequisiteError:
    """The error for what ``bwrap`` said before it gave up."""
    said = text.splitlines()[-1] if text else "it said nothing"
    if any(word in said for word in _REFUSALS) and "overlay" not in said:
        return PrerequisiteError(
            "bubblewrap may not make namespaces here", where=said, mend=_namespace_mend()
        )
    if "overlay" in said:
        return PrerequisiteError(
            "the kernel refuses an overlay mount in a user namespace",
            where=said,
            mend="use Linux 5.11 or newer, and layers on ext4, xfs, btrfs or tmpfs",
        )
    return InfrastructureError("the box could not be made", where=said, mend="regreen doctor")


def _run(work: Callable[[], Coroutine[None, None, tuple[Check, ...]]]) -> tuple[Check, ...]:
    """Run a coroutine from plain code, whether or not an event loop runs in this thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def _finding(name: str, ok: bool, detail: str, mend: str, *, required: bool = True) -> Check:
    return Check(name=name, ok=ok, detail=detail, mend="" if ok else mend, required=required)


def _failure(name: str, exc: RegreenError, *, required: bool = True) -> Check:
    detail = f"{exc.what} ({exc.where})" if exc.where else exc.what
    return Check(name=name, ok=False, detail=detail, mend=exc.mend, required=required)


async def _try(name: str, provider: SandboxProvider, detail: str) -> tuple[Check, ...]:
    lower = run_base() / f"doctor-{os.getpid()}"
    try:
        (lower / "folder").mkdir(parents=True, exist_ok=True)
        box = await provider.create(BoxSpec(mounts=(Mount(target="/testbed", lowers=(lower,)),)))
        result = await box.exec(["/bin/true"], timeout=30)
        if result.exit_code:
            return (
                Check(name=name, ok=False, detail=f"`true` ended with status {result.exit_code}"),
            )
        inside = await _inside(box) if name == "namespace" else ()
        return (Check(name=name, ok=True, detail=detail), *inside)
    except RegreenError as exc:
        return (_failure(name, exc),)
    finally:
        await provider.close()
        shutil.rmtree(lower, ignore_errors=True)


async def _inside(box: Sandbox) -> tuple[Check, ...]:
    """What only a live box shows."""
    opaque = await box.exec(["/bin/sh", "-c", "rm -r folder && mkdir folder"], timeout=30)
    overlay = _finding(
        "overlay",
        not opaque.exit_code,
        "a directory can be deleted and made again"
        if not opaque.exit_code
        else "directories from a layer cannot be made again after deletion",
        "use Linux 6.6 or newer, whose tmpfs keeps user attributes",
    )
    status = await box.exec(
        ["/bin/grep", "-E", "^(NoNewPrivs|Seccomp|CapEff):", "/proc/self/status"]
    )
    found = dict(line.split(b":\t") for line in status.stdout.splitlines())
    sealed = found == {b"CapEff": b"0" * 16, b"NoNewPrivs": b"1", b"Seccomp": b"2"}
    seccomp = _finding(
        "seccomp",
        sealed,
        "filter loaded, no capability, no new privileges" if sealed else str(found),
        "use a kernel with CONFIG_SECCOMP_FILTER",
    )
    return overlay, seccomp


def namespace_checks(make: Callable[[Bwrap], SandboxProvider]) -> tuple[Check, ...]:
    """Whether boxes of namespaces can be made and what limits them.

    Args:
        make: makes a provider of its own for the trial.
    """
    try:
        bwrap = find_bwrap()
        deny_list_program()
    except PrerequisiteError as exc:
        return (_failure("namespace", exc), _cgroup_check(), _upper_check())
    found = _run(lambda: _try("namespace", make(bwrap), bwrap.describe()))
    return (*found, _cgroup_check(), _upper_check())


def process_checks(make: Callable[[], SandboxProvider]) -> tuple[Check, ...]:
    """Whether the provider without isolation works; ``make`` makes one for the trial."""
    detail = "works, isolates nothing; only behind --unsafe-no-isolation"
    (found,) = _run(lambda: _try("process", make(), detail))
    return (Check(name="process", ok=found.ok, detail=found.detail, required=False),)


def _cgroup_check() -> Check:
    found = detect()
    if found.memory and found.pids:
        return Check(name="cgroups", ok=True, detail=found.detail, required=False)
    missing = [
        word for word, path in (("memory", found.memory), ("processes", found.pids)) if not path
    ]
    mend = "run as root"
    if os.geteuid() != 0:
        mend = "systemd-run --user --scope -p Delegate=yes regreen ..., or run as root"
    return Check(
        name="cgroups",
        ok=False,
        detail=f"limits of {' and '.join(missing)} are NOT enforced by a control group: "
        f"{found.detail}",
        mend=mend,
        required=False,
    )


def _filesystem(path: Path) -> str:
    """Type of the filesystem that holds ``path``."""
    best, kind = Path("/"), "unknown"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        mount = Path(left.split()[4])
        if path.is_relative_to(mount) and len(mount.parts) >= len(best.parts):
            best, kind = mount, right.split()[0]
    return kind


def _upper_check() -> Check:
    try:
        base = run_base()
    except InfrastructureError as exc:
        return _failure("uppers", exc)
    kind = _filesystem(base)
    free = shutil.disk_usage(base).free
    return _finding(
        "uppers",
        kind == "tmpfs" and free > 2**28,
        f"{base} on {kind}, {free >> 20} MiB free",
        "mount -t tmpfs tmpfs /dev/shm, or make /dev/shm writable and larger",
        required=False,
    )


def _daemon_check(name: str) -> Check:
    """Whether a container engine answers; measured beside ours, not a provider yet."""
    path = shutil.which(name)
    if path is None:
        detail, mend = (
            "not installed",
            f"apt-get install {'docker.io' if name == 'docker' else name}",
        )
        return Check(name=name, ok=False, detail=detail, mend=mend, required=False)
    try:
        done = subprocess.run(
            [path, "info"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return Check(
            name=name, ok=False, detail=str(exc), mend=f"check `{name} info`", required=False
        )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        mend = "start the daemon: service docker start" if name == "docker" else "podman info"
        detail = f"does not answer: {said[-1] if said else done.returncode}"
        return Check(name=name, ok=False, detail=detail, mend=mend, required=False)
    detail = "answers; boxes are not made with it, the benchmarks compare against it"
    return Check(name=name, ok=True, detail=detail, required=False)


def checks() -> tuple[Check, ...]:
    """Every finding about sandboxes on this machine, by trying each provider."""
    kernel = platform.release()
    return (
        _finding("kernel", platform.system() == "Linux", kernel, "use Linux"),
        *provider("namespace").check(),
        *provider("process", unsafe=True).check(),
        *(_daemon_check(name) for name in ("docker", "podman")),
    )
