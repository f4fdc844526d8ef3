"""Which stretches of text stand in many places: licence headers, generated settings, boilerplate.

A line is repeated when it lies in a run of lines that together have so many characters and that
stands as it is in so many distinct places. White space and the year of a copyright line are passed
over, nothing else is: a line that differs makes another run, so what is unique cannot be found.
Places are counted, not rows, so that a file that is cut ten times is still one place.

The texts are read twice to count: first into a sketch of 64 MiB, which can only overrate a run (a
count-min sketch, Cormode and Muthukrishnan 2005), then exactly for the runs it lets through. So
memory grows with what is repeated and with the number of places, not with the lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regreen.packing.line_runs import Hashes, digest, line_runs, normal_line
from regreen.store.texts import TextPart, TextRow

__all__ = ["Repeats", "Repetition", "find_repeats", "measure_repeats"]

_ROWS, _BITS = 2, 23
_TALLIED = 100_000
_SHOWN, _SHOWN_CHARACTERS = 10, 240

Texts = Callable[[], Iterable[TextRow]]
"""Reads the texts from the beginning, as often as it is called."""


class Repetition(NamedTuple):
    """What was repeated, for people."""

    characters: int
    """Characters of all texts."""
    masked: int
    """Of those, characters in repeated stretches."""
    stretches: int
    """Repeated stretches."""
    top: tuple[tuple[int, int, str], ...]
    """How often, how long, and how it begins: the stretches with the most characters in all."""

    def told(self) -> dict[str, Any]:
        """As JSON."""
        share = self.masked / self.characters if self.characters else 0.0
        return {
            "characters": self.characters,
            "masked_characters": self.masked,
            "share": share,
            "stretches": self.stretches,
            "top": [{"times": n, "characters": size, "text": text} for n, size, text in self.top],
        }


@dataclass(frozen=True)
class Repeats:
    """The repeated runs of a corpus."""

    hashes: Hashes
    """Of each run, ascending."""
    least: int
    """Characters that a run must have."""

    def stretches(self, row: TextRow) -> list[tuple[int, int]]:
        """Characters of a text that are repeated, in order, neighbours joined."""
        found: list[tuple[int, int]] = []
        for part in _parts(row):
            runs = line_runs(row.text[part.start : part.end], self.least)
            at = np.searchsorted(self.hashes, runs.hashes)
            at[at == len(self.hashes)] = 0
            hit = self.hashes[at] == runs.hashes if len(self.hashes) else np.zeros(len(at), bool)
            places = zip(runs.starts[hit].tolist(), runs.ends[hit].tolist(), strict=True)
            for start, end in sorted(places):
                first, last = part.start + start, part.start + end
                if found and first <= found[-1][1]:
                    found[-1] = (found[-1][0], max(last, found[-1][1]))
                else:
                    found.append((first, last))
        return found


def find_repeats(texts: Texts, *, places: int, characters: int) -> Repeats:
    """Find what many places hold.

    Args:
        texts: reads the texts.
        places: distinct places that a run must stand in.
        characters: characters that a run must have, white space left out.
    """
    sketch = np.zeros((_ROWS, 1 << _BITS), np.uint32)
    for hashes in _by_place(texts(), characters):
        for row, column in zip(sketch, _columns(hashes), strict=True):
            np.add.at(row, column, 1)
    counts: dict[int, int] = {}
    for hashes in _by_place(texts(), characters):
        columns = _columns(hashes)
        likely = np.minimum(sketch[0, columns[0]], sketch[1, columns[1]]) >= places
        for found in hashes[likely].tolist():
            counts[found] = counts.get(found, 0) + 1
    repeated = sorted(found for found, count in counts.items() if count >= places)
    return Repeats(np.array(repeated, np.uint64), characters)


def measure_repeats(texts: Iterable[TextRow], repeats: Repeats) -> Repetition:
    """What of the texts is repeated; of very many different stretches the first are listed."""
    total = masked = stretches = 0
    tally: dict[bytes, tuple[int, int, str]] = {}
    for row in texts:
        total += len(row.text)
        for start, end in repeats.stretches(row):
            masked += end - start
            stretches += 1
            said = row.text[start:end]
            key = digest("\n".join(map(normal_line, said.split("\n"))))
            times, size, text = tally.get(key, (0, end - start, said[:_SHOWN_CHARACTERS]))
            if times or len(tally) < _TALLIED:
                tally[key] = times + 1, size, text
    top = sorted(tally.values(), key=lambda one: (-one[0] * one[1], one[2]))[:_SHOWN]
    return Repetition(total, masked, stretches, tuple(top))


def _columns(hashes: Hashes) -> list[NDArray[np.int64]]:
    """Place in each row of the sketch: the upper and the lower bits of a hash."""
    upper = (hashes >> np.uint64(64 - _BITS)).astype(np.int64)
    return [upper, (hashes & np.uint64((1 << _BITS) - 1)).astype(np.int64)]


def _by_place(texts: Iterable[TextRow], least: int) -> Iterator[Hashes]:
    """The runs of each place, each once; a place that was met in an earlier row is passed over."""
    met: set[bytes] = set()
    for row in texts:
        places: dict[bytes, list[Hashes]] = {}
        for part in _parts(row):
            runs = line_runs(row.text[part.start : part.end], least)
            places.setdefault(digest(part.origin), []).append(runs.hashes)
        for place, found in places.items():
            if place not in met:
                met.add(place)
                yield np.unique(np.concatenate(found))


def _parts(row: TextRow) -> Sequence[TextPart]:
    """Its parts; a text without any is its own place, so that copies of it count once."""
    if row.parts:
        return row.parts
    return [TextPart(start=0, end=len(row.text), origin=row.text)]
