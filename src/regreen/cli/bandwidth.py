"""How fast this machine reads its memory: numpy over a buffer that no cache holds.

It is a lower bound of what the memory can do, read with the simplest loop there is, best of several
passes. The cache is assumed to be large: shared third-level caches of 260 MB exist, and a virtual
machine may not say so.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import PrerequisiteError

__all__ = ["Bandwidth", "measure_bandwidth"]

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
_LEAST = 2**30
_PASSES = 3


@dataclass(frozen=True)
class Bandwidth:
    """One measurement."""

    bytes_per_second: float
    """The best pass."""
    num_threads: int
    """Threads of that pass."""
    buffer_bytes: int
    """What each pass read."""


def measure_bandwidth(*, size: int | None = None, clock: Clock | None = None) -> Bandwidth:
    """Read a buffer with one thread and with one per core; the fastest pass counts.

    Args:
        size: bytes to read; by default 1 GiB, or four times the largest cache known.
        clock: times the passes.

    Raises:
        PrerequisiteError: there is no memory for the buffer.
    """
    import numpy as np

    clock = clock or SystemClock()
    size = size or max(_LEAST, 4 * _largest_cache())
    try:
        buffer = np.ones(size // 8, dtype=np.uint64)
    except MemoryError as error:
        msg = f"there is no memory for a buffer of {size / 1e9:.1f} GB to measure with"
        raise PrerequisiteError(msg, where="memory", mend="give --bandwidth GB/s") from error
    best = Bandwidth(0.0, 1, buffer.nbytes)
    for num_threads in sorted({1, len(os.sched_getaffinity(0))}):
        parts = np.array_split(buffer, num_threads)
        with ThreadPoolExecutor(num_threads) as pool:
            for _ in range(_PASSES):
                start = clock.monotonic()
                list(pool.map(np.bitwise_or.reduce, parts))
                rate = buffer.nbytes / max(clock.monotonic() - start, 1e-9)
                if rate > best.bytes_per_second:
                    best = Bandwidth(rate, num_threads, buffer.nbytes)
    return best


def _largest_cache() -> int:
    sizes = [0]
    for path in _CACHES.glob("index*/size"):
        text = path.read_text().strip()
        if text[:-1].isdigit() and text[-1:] in _UNITS:
            sizes.append(int(text[:-1]) * _UNITS[text[-1]])
    return max(sizes)
