"""The build of llama.cpp that benchmarks and tests compare with, from a pinned source archive.

The archive is that of ``llama-cpp-python``, because an index carries it at a digest that does not
move, with the converter and the server; wheels are built for another processor and have neither.
Built once (about ten minutes of one core), kept below ``REGREEN_HOME``; a later call needs neither
the network nor a compiler.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from regreen.cli.shared import home
from regreen.core.errors import PrerequisiteError, RegreenError
from regreen.tasks.repo.index import fetch_sdist, index_url

VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
TARGETS = ("llama-server", "llama-bench", "llama-batched-bench", "llama-quantize")
FLAGS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_NATIVE": "ON",
    "GGML_OPENMP": "ON",
    "GGML_CCACHE": "OFF",
    "LLAMA_BUILD_COMMON": "ON",
    "LLAMA_BUILD_TOOLS": "ON",
    "LLAMA_BUILD_SERVER": "ON",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    # The page of the server and TLS would be fetched from, or linked for, the network.
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_OPENSSL": "OFF",
}


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """A built tree."""

    source: Path
    """The unpacked tree: converter, its own ``gguf-py``."""
    programs: Path
    """Directory of the programs in ``TARGETS``."""

    def __getitem__(self, name: str) -> str:
        return str(self.programs / name)


def build() -> LlamaCpp:
    """The programs, built when they are not there yet.

    Raises:
        PrerequisiteError: cmake or a compiler is missing, or the index does not answer.
        RegreenError: the archive is not the one that was pinned, or it does not build.
    """
    root = home() / "llama_cpp" / f"{VERSION}-{_machine()}"
    root.mkdir(parents=True, exist_ok=True)
    found = LlamaCpp(root / "source", root / "build" / "bin")
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "built").exists():
            cmake, compilers = _cmake(), _compilers()
            _unpack(found.source)
            settings = [f"-D{name}={value}" for name, value in {**FLAGS, **compilers}.items()]
            log = root / "build.log"
            _make([cmake, "-S", str(found.source), "-B", str(root / "build"), *settings], log)
            jobs = ["-j", str(os.cpu_count() or 1), "--target", *TARGETS]
            _make([cmake, "--build", str(root / "build"), *jobs], log)
            (root / "built").touch()
    return found


def end_of(text: str) -> str:
    """The last lines of a program's output, where it says what was wrong."""
    return "\n".join(text.splitlines()[-12:])


def _machine() -> str:
    """What a build is good for: these flags on this kind of processor."""
    features = platform.machine()
    if (cpus := Path("/proc/cpuinfo")).exists():
        lines = cpus.read_text().splitlines()
        features = next((line for line in lines if line.startswith("flags")), features)
    told = json.dumps([SHA256, FLAGS, TARGETS, features])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _cmake() -> str:
    if found := shutil.which("cmake"):
        return found
    what = "cmake is needed to build llama.cpp, and there is none"
    raise PrerequisiteError(what, where="PATH", mend="apt-get install cmake, or pip install cmake")


def _compilers() -> dict[str, str]:
    for first, second in ((os.environ.get("CC"), os.environ.get("CXX")), ("gcc", "g++")):
        if first and second and (c := shutil.which(first)) and (cxx := shutil.which(second)):
            return {"CMAKE_C_COMPILER": c, "CMAKE_CXX_COMPILER": cxx}
    what = "a C and a C++ compiler are needed to build llama.cpp, and gcc and g++ are not there"
    raise PrerequisiteError(what, where="PATH", mend="apt-get install g++, or set CC and CXX")


def _unpack(source: Path) -> None:
    """The part of the archive that is llama.cpp; a half-unpacked tree is begun anew."""
    if source.exists():
        return
    cache = home() / "store" / "downloads"
    sdist, archive = fetch_sdist("llama-cpp-python", VERSION, cache, index=index_url(os.environ))
    if sdist.sha256 != SHA256:
        what = f"the archive of llama-cpp-python {VERSION} is not the pinned one"
        raise RegreenError(what, where=sdist.url, mend="use an index that mirrors pypi.org")
    partial = source.with_name("unpacking")
    shutil.rmtree(partial, ignore_errors=True)
    prefix = f"llama_cpp_python-{VERSION}/vendor/llama.cpp/"
    with tarfile.open(archive) as tar:
        wanted = [member for member in tar if member.name.startswith(prefix)]
        tar.extractall(partial, wanted, filter="data")
    (partial / prefix).rename(source)
    shutil.rmtree(partial)


def _make(command: list[str], log: Path) -> None:
    with log.open("a") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        what = "llama.cpp does not build: " + end_of(log.read_text(errors="replace"))
        raise RegreenError(what, where=str(log), mend="read the log; gcc 12 builds it")
