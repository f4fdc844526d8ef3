"""The runs of lines of a text that are long enough to be looked for elsewhere, each as one number.

A run is whole lines, because text is copied by lines, and the shortest that begins or that ends
with some line. Both are needed: of a longer copy, every line lies in a run that is in the copy too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Hashes", "LineRuns", "digest", "line_runs", "normal_line"]

_COPYRIGHT = re.compile(r"copyright|\(c\)|©|licen[cs]e", re.IGNORECASE)
_YEARS = re.compile(r"\b(?:19|20)\d\d(?:\s*[-,\u2013]\s*(?:(?:19|20)?\d\d|present))*\b")
_SPACE = re.compile(r"\s+")
_BASE = 0x9E3779B97F4A7C15

Hashes = NDArray[np.uint64]


class LineRuns(NamedTuple):
    """The shortest runs of lines that are long enough, from each line on and up to each line."""

    hashes: Hashes
    """What each run says."""
    starts: NDArray[np.int64]
    """First character of each run."""
    ends: NDArray[np.int64]
    """One past its last."""


def line_runs(text: str, least: int) -> LineRuns:
    """The runs of a text.

    Args:
        text: whole lines.
        least: characters that a run must have, white space left out.
    """
    lines = [(*_line(line), len(line) + 1) for line in text.split("\n")]
    each = np.array([line[0] for line in lines], np.uint64)
    sizes, widths = np.array([line[1:] for line in lines], np.int64).T
    after = np.minimum(np.cumsum(widths), len(text))
    said = sizes > 0
    each, sizes = each[said], sizes[said]
    firsts, lasts = np.concatenate([[0], after[:-1]])[said], after[said]
    sums = np.concatenate([[0], np.cumsum(sizes)])
    begin, end = _shortest(sums, least)
    powers = np.full(len(each), _BASE, np.uint64)
    inverse = np.full(len(each), pow(_BASE, -1, 1 << 64), np.uint64)
    powers[:1] = inverse[:1] = 1
    prefix = np.concatenate([np.zeros(1, np.uint64), np.cumsum(each * np.cumprod(powers))])
    # a polynomial in the hashes of the lines, the same wherever the run begins
    hashes = (prefix[end] - prefix[begin]) * np.cumprod(inverse)[begin]
    return LineRuns(hashes, firsts[begin], lasts[end - 1])


def _shortest(sums: NDArray[np.int64], least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First line of each run, and one past its last, from the sizes of all lines added up."""
    lines = np.arange(len(sums) - 1)
    end = np.searchsorted(sums, sums[:-1] + least)
    begin = np.searchsorted(sums, sums[1:] - least, side="right") - 1
    forth, back = end < len(sums), begin >= 0
    return (
        np.concatenate([lines[forth], begin[back]]),
        np.concatenate([end[forth], lines[back] + 1]),
    )


@lru_cache(maxsize=1 << 16)
def _line(line: str) -> tuple[int, int]:
    """Hash and size of a line, white space left out."""
    said = normal_line(line)
    return int.from_bytes(digest(said), "big"), len(said)


def normal_line(line: str) -> str:
    """What of a line counts: no white space, and no year beside a copyright."""
    if _COPYRIGHT.search(line):
        line = _YEARS.sub("", line)
    return _SPACE.sub("", line)


def digest(text: str) -> bytes:
    """Eight bytes that stand for a text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
