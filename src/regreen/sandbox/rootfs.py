"""What a box sees of the host: its toolchain, read-only, and nothing of its people or secrets.

Packages installed beside the host's interpreters are masked, down to the wheels that pip bundles,
and so is every other directory with Python code, for programs bring copies of packages along: a
later, fixed copy of the very package a task is about must not be within reach.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "BASE_ENV",
    "etc_skeleton",
    "masked_directories",
    "packages_beside",
    "toolchain_arguments",
]

BASE_ENV = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/home/agent",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "TMPDIR": "/tmp",
}
_RULE = 2
"""Version of what is masked; another one makes the remembered list void."""
_MASKED_NAMES = {"site-packages", "dist-packages", "python-wheels"}
_SHELVES = ("lib", "share", "libexec", "local/lib", "local/share", "local/libexec")
"""Below ``/usr``: where programs keep what they bring along."""
_NEEDED = re.compile(
    r"python\d|llvm|gcc|.*-linux-|node_modules|perl|ruby|jvm|go|rustlib|git-core|R$"
)
"""Directories of toolchains there: only their parts with Python code are masked."""
_COPIED = (
    "alternatives",
    "ca-certificates.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "os-release",
    "pki/ca-trust/extracted",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
)
_TEXTS = {
    "passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\n"
    "agent:x:1000:1000:agent:/home/agent:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def interpreter_prefix() -> Path | None:
    """The running interpreter's installation when it is not below ``/usr``."""
    prefix = Path(sys.base_prefix).resolve()
    return None if prefix.is_relative_to("/usr") else prefix


def etc_skeleton(target: Path, *, resolver: bool) -> None:
    """Fill ``target`` with the box's ``/etc``.

    Args:
        target: an empty directory.
        resolver: whether to add the host's name servers, for boxes on the host's network.
    """
    for name, text in _TEXTS.items():
        (target / name).write_text(text)
    for name in (*_COPIED, *(("resolv.conf",) if resolver else ())):
        source = Path("/etc", name)
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            if source.is_dir():
                shutil.copytree(source, copy, symlinks=True, dirs_exist_ok=True)
            elif source.exists():
                shutil.copy(source, copy)
        except (OSError, shutil.Error):
            # What an ordinary user may not read, a box has no need of either.
            continue
    if resolver:
        shutil.copy("/etc/hosts", target / "hosts")


def _walk(roots: list[str]) -> list[str]:
    found = []
    for root in roots:
        for folder, names, _ in os.walk(root):
            masked = [name for name in names if name in _MASKED_NAMES]
            if folder.endswith("/ensurepip") and "_bundled" in names:
                masked.append("_bundled")
            found += [f"{folder}/{name}" for name in masked]
            names[:] = [name for name in names if name not in masked]
    return sorted(found)


def _programs(prefix: Path) -> list[str]:
    """Directories of programs with Python code of their own, whole; of toolchains, their parts."""
    found = []
    for shelf in _SHELVES:
        place = prefix / shelf
        for child in sorted(place.iterdir()) if place.is_dir() else ():
            if child.is_symlink() or not child.is_dir() or child.name == "python3":
                continue
            parts = list(_with_python(str(child)))
            found += parts if _NEEDED.match(child.name) else [str(child)] * bool(parts)
    return found


def _with_python(root: str) -> Iterator[str]:
    """Topmost directories that hold Python files, standard libraries left out."""
    for folder, names, files in os.walk(root):
        if "os.py" in files and "site.py" in files:
            names.clear()
        elif any(name.endswith(".py") for name in files):
            names.clear()
            yield folder
        else:
            names[:] = [name for name in names if name not in _MASKED_NAMES]


def masked_directories(cache: Path) -> list[str]:
    """Directories of installed packages in the toolchain, found once and remembered.

    The walk over ``/usr`` takes about a second; ``cache`` holds its result until the directories
    in which an interpreter would appear change.
    """
    prefix = interpreter_prefix()
    roots = ["/usr", *([str(prefix)] if prefix else [])]
    watched = [*roots, "/usr/lib", "/usr/local/lib", "/usr/lib/python3", "/usr/share"]
    watched += [f"/usr/{shelf}" for shelf in _SHELVES]
    key = [[name, Path(name).stat().st_mtime_ns] for name in watched if Path(name).is_dir()]
    key.append(["rule", _RULE])
    try:
        known = json.loads(cache.read_text())
        if known["key"] == key:
            return [name for name in known["found"] if Path(name).is_dir()]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    programs = _programs(Path("/usr"))
    inside = tuple(f"{name}/" for name in programs)
    found = sorted([*programs, *(n for n in _walk(roots) if not n.startswith(inside))])
    scratch = cache.with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps({"key": key, "found": found}))
    scratch.replace(cache)
    return found


def packages_beside(prefix: Path) -> list[str]:
    """Directories of what is installed beside another interpreter than the running one.

    Args:
        prefix: directory of that interpreter; of anything else, it has none.
    """
    found = [
        *prefix.glob("lib/python*/site-packages"),
        *prefix.glob("lib/python*/ensurepip/_bundled"),
    ]
    return sorted(str(one) for one in found if one.is_dir())


def toolchain_arguments(etc: Path, masked: list[str]) -> list[str]:
    """The ``bwrap`` arguments that lay out everything but a task's own mounts."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), f"/{name}"]
        elif path.is_dir():
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    prefix = interpreter_prefix()
    if prefix is not None:
        words += ["--ro-bind", str(prefix), str(prefix)]
    words += ["--ro-bind", str(etc), "/etc", "--proc", "/proc", "--dev", "/dev"]
    if os.geteuid() == 0:
        # Made by root, a box without any capability still counts as the owner of /proc/sys, and
        # kernel.core_pattern there is a way out. bwrap covers what it may write to, which the
        # directory /proc/sys itself never is. The rest is what container runtimes cover too.
        words += ["--ro-bind", "/proc/sys", "/proc/sys"]
        if Path("/proc/sysrq-trigger").exists():
            words += ["--ro-bind", "/dev/null", "/proc/sysrq-trigger"]
        for name in ("/proc/acpi", "/proc/scsi"):
            words += ["--perms", "0555", "--tmpfs", name] if Path(name).is_dir() else []
    # After the binds, each of which makes bwrap read the list of all mounts so far.
    for name in masked:
        words += ["--perms", "0555", "--tmpfs", name]
    return [*words, "--symlink", "/tmp", "/var/tmp", "--symlink", "/run", "/var/run"]
