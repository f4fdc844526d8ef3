"""A root file system to stand below an environment: its interpreter, a shell, what both link to.

This machine's own root is not shipped: nobody knows what lies in it. Named programs and the
interpreter are taken, with the shared libraries that the loader finds for them in a box, where
foreign extension modules may be asked without running on the host. Packages installed beside the
interpreter stay behind, as they are hidden in every box.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from regreen.core.errors import InfrastructureError, PrerequisiteError
from regreen.grading.interpreter import own_python
from regreen.grading.place import ENV, TESTBED, Place
from regreen.sandbox.base import BoxSpec, Mount, SandboxProvider
from regreen.sandbox.layers import Layer, LayerStore
from regreen.sandbox.rootfs import etc_skeleton
from regreen.tasks.build.oci import Part

__all__ = ["PROGRAMS", "standalone_parts"]

PROGRAMS = (
    *("sh", "bash", "env", "awk", "basename", "cat", "chmod", "chown", "cmp", "comm", "cp", "cut"),
    *("date", "dd", "df", "diff", "dirname", "du", "echo", "expr", "false", "find", "git", "grep"),
    *("gunzip", "gzip", "head", "hostname", "id", "install", "join", "ln", "ls", "md5sum", "mkdir"),
    *("mkfifo", "mktemp", "mv", "nl", "nproc", "od", "patch", "printenv", "printf", "ps", "pwd"),
    *("readlink", "realpath", "rm", "rmdir", "sed", "seq", "sha256sum", "sleep", "sort", "split"),
    *("stat", "stty", "tail", "tar", "tee", "test", "timeout", "touch", "tr", "true", "tty"),
    *("uname", "uniq", "wc", "which", "whoami", "xargs", "yes"),
)
"""What a shell session and a test suite call; those this machine lacks are left out."""

_LIBRARIES = (
    *("libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
    *("libc.so.6", "libcrypt.so.1", "libdl.so.2", "libm.so.6", "libnsl.so.1", "libnss_dns.so.2"),
    *("libnss_files.so.2", "libpthread.so.0", "libresolv.so.2", "librt.so.1", "libutil.so.1"),
)
"""What a thread's end opens and what wheels from an index may rely on (PEP 600), as far as it is
beside a library that is needed anyway."""
_EMPTY = ("dev", "home/agent", "proc", "root", "run", "sys", "tmp", "usr/local/bin", "var/tmp")
_LEFT = {"site-packages", "dist-packages", "__pycache__", "_bundled"}
_TESTS_KEPT = {"__init__.py", "support"}
_OLDEST_COMPILED = (3, 9)
"""The first whose compiler can be told where the files are going to lie."""
_SECONDS = 300.0
_ASK = """
import json, os, re, subprocess, sys
programs, libraries, link, program, library, roots = json.loads(sys.stdin.read())
found = [p for p in ("/usr/bin/" + n for n in programs) if os.path.exists(p)]
def needed(files):
    if not files:
        return []
    text = subprocess.run(["ldd", *files], capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"(?:=> |^\\s+)(/\\S+) \\(0x", text, re.M)))
def modules(root):
    return sorted(os.path.join(f, n) for f, _, names in os.walk(root) for n in names
                  if n.endswith(".so") or ".so." in n)
base = needed([*found, os.path.realpath(program), *modules(library)])
places = {os.path.dirname(one) for one in base}
base += [os.path.join(p, n) for n in libraries for p in sorted(places)
         if os.path.exists(os.path.join(p, n))]
chain = [program]
while os.path.islink(link):
    link = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
    chain.append(link)
more = needed([one for root in roots for one in modules(root)])
print(json.dumps({"programs": found, "libraries": sorted({*base, *needed(base)}), "more": more,
                  "python": chain}))
"""


@dataclass(frozen=True, slots=True)
class _Closure:
    """What has to be there, as paths of this machine."""

    programs: tuple[str, ...]
    libraries: tuple[str, ...]
    more: tuple[str, ...]
    python: tuple[str, ...]
    """Programs of the interpreter: its own first, then what the environment's links lead to."""
    prefix: str
    stdlib: str


async def standalone_parts(
    place: Place, *, store: LayerStore, provider: SandboxProvider
) -> tuple[Part, ...]:
    """The layers below an environment so that nothing else is needed, the lowest first.

    Programs and libraries; the interpreter with its standard library; its bytecode; and what only
    this environment's extension modules link to, when they do.

    Args:
        place: the environment.
        store: takes the layers.
        provider: makes the boxes.

    Raises:
        PrerequisiteError: this machine cannot tell what a program links to.
        InfrastructureError: a box failed.
    """
    found = await _closure(place, provider)
    own = (f"{ENV}/", f"{TESTBED}/", f"{found.stdlib}/")
    libraries = [one for one in found.libraries if not one.startswith(own)]
    more = [one for one in found.more if not one.startswith(own) and one not in libraries]
    base = _staged(store, lambda root: _lay_base(root, (*found.programs, *libraries)))
    interpreter = _staged(store, lambda root: _lay_interpreter(root, found))
    parts = [
        Part("/", base.path, "programs and libraries"),
        Part("/", interpreter.path, "interpreter"),
    ]
    if place.python.version >= _OLDEST_COMPILED:
        bytecode = await _compile(interpreter, found, place, store=store, provider=provider)
        parts.append(Part(found.stdlib, bytecode.path, "bytecode of the standard library"))
    if more:
        extra = _staged(store, lambda root: _lay_all(root, more))
        parts.append(Part("/", extra.path, "libraries of extension modules"))
    return tuple(parts)


async def _closure(place: Place, provider: SandboxProvider) -> _Closure:
    prefix, numbers = place.python.prefix, place.python.version
    if prefix is None:
        what = "the environment does not tell which interpreter it was made with"
        raise PrerequisiteError(what, where=f"{ENV}/pyvenv.cfg", mend="build it again")
    name = f"python{'.'.join(map(str, numbers[:2]))}"
    stdlib = str(prefix / "lib" / name)
    question = [PROGRAMS, _LIBRARIES, f"{ENV}/bin/python", str(prefix / "bin" / name), stdlib]
    asked = json.dumps([*question, [ENV, TESTBED]])
    box = await provider.create(place.spec(writable=False, runner=False))
    try:
        argv = [own_python(), "-I", "-c", _ASK]
        done = await box.exec(argv, stdin=asked.encode(), timeout=_SECONDS, output_limit=1 << 24)
    finally:
        await box.close()
    if done.exit_code:
        what = "the libraries of the environment cannot be listed"
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise PrerequisiteError(what, where=lines[-1], mend="install ldd (package libc-bin)")
    row = json.loads(done.stdout)
    return _Closure(
        programs=tuple(row["programs"]),
        libraries=tuple(row["libraries"]),
        more=tuple(row["more"]),
        python=tuple(row["python"]),
        prefix=str(prefix),
        stdlib=stdlib,
    )


def _staged(store: LayerStore, fill: Callable[[Path], None]) -> Layer:
    staged = store.stage()
    try:
        fill(staged)
        return store.commit(staged)
    except OSError as exc:
        raise store.failure(exc) from exc
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _lay_base(root: Path, files: Iterable[str]) -> None:
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        link = Path("/", name)
        if link.is_symlink():
            target = link.readlink().as_posix().removeprefix("/")
            (root / target).mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(target)
    for name in _EMPTY:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc").mkdir()
    etc_skeleton(root / "etc", resolver=False)
    (root / "etc" / "ld.so.cache").unlink(missing_ok=True)  # names what is not there
    zones = Path("/usr/share/zoneinfo")
    if zones.is_dir():
        shutil.copytree(zones, root / "usr/share/zoneinfo", symlinks=True)
    _lay_all(root, files)


def _lay_all(root: Path, files: Iterable[str]) -> None:
    for name in files:
        _lay(root, Path(name))


def _lay(root: Path, path: Path) -> None:
    """Put a file into the root, the links on its way as links."""
    place = path.parent.resolve() / path.name
    copy = root / place.relative_to("/")
    if copy.is_symlink() or copy.exists():
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        copy.symlink_to(place.readlink())
        _lay(root, place.parent / place.readlink())
    else:
        shutil.copy(place, copy)


def _lay_interpreter(root: Path, found: _Closure) -> None:
    for name in found.python:
        _lay(root, Path(name))
    folder = Path(found.python[0]).parent
    for name in ("python3", "python"):
        if (folder / name).exists() and not folder.is_relative_to("/usr"):
            _lay(root, folder / name)
    for library in sorted(Path(found.prefix, "lib").glob("libpython*.so*")):
        _lay(root, library)

    def left(folder: str, names: list[str]) -> list[str]:
        if Path(folder) == Path(found.stdlib, "test"):
            return [name for name in names if name not in _TESTS_KEPT]
        return [name for name in names if name in _LEFT or name.endswith(".a")]

    shutil.copytree(
        found.stdlib, root / found.stdlib.strip("/"), symlinks=True, ignore=left, dirs_exist_ok=True
    )


async def _compile(
    interpreter: Layer,
    found: _Closure,
    place: Place,
    *,
    store: LayerStore,
    provider: SandboxProvider,
) -> Layer:
    """Bytecode of the standard library, valid whatever time its files bear; remembered."""
    key = f"stdlib-bytecode:1:{interpreter.digest}:{found.stdlib}"
    known = store.alias(key)
    if known is not None:
        return known
    inner = "/opt/stdlib"
    lower = interpreter.path / found.stdlib.strip("/")
    spec = BoxSpec(
        mounts=(Mount(target=inner, lowers=(lower,)),),
        binds=place.spec(runner=False).binds,
        workdir="/tmp",
    )
    box = await provider.create(spec)
    try:
        done = await box.exec(
            [found.python[0], "-I", "-m", "compileall", "-q", "-j", "0", "-s", inner, "-p",
             found.stdlib, "--invalidation-mode", "unchecked-hash", "-x", "/(lib2to3/tests|test)/",
             inner],
            timeout=600,
        )  # fmt: skip
        if done.timed_out:
            msg = "compiling the standard library took too long"
            raise InfrastructureError(msg, where=found.stdlib)
        made = await box.snapshot(inner, store)
    finally:
        await box.close()
    store.remember(key, made)
    return made
