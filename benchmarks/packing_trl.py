"""TRL's packer on given lengths, for `benchmarks/packing.py`; runs in a Python that has `trl`.

    python packing_trl.py LENGTHS.npy CAPACITY FILLS.npy [--window N] [--whole]

Plans alone are timed with TRL's own segment tree, driven as its `bfd_split` drives it, since TRL
has no planner apart from the moving of tokens; `--whole` runs its real packer, on made-up tokens.
Writes the rows' fills, sorted, and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict, deque

import numpy as np
import pyarrow as pa
import trl
from trl.data_utils import _pack_bfd, _SegmentTree


def planned(lengths: np.ndarray, capacity: int) -> list[list[int]]:
    """Best fit, decreasing, one item after the other; rows as lists of items."""
    tree, by_space = _SegmentTree(capacity), defaultdict(deque)
    tree.add(capacity)
    rows: list[list[int]] = []
    order = np.argsort(-lengths, kind="stable")
    for length, item in zip(lengths[order].tolist(), order.tolist(), strict=True):
        space = tree.search(length)
        if space < capacity:
            row = by_space[space].popleft()
            if not by_space[space]:
                tree.remove(space)
        else:
            row = []
            rows.append(row)
        row.append(item)
        space -= length
        by_space[space].append(row)
        if space:
            tree.add(space)
    return rows


def chunks(lengths: np.ndarray, capacity: int) -> np.ndarray:
    """Lengths of the pieces of at most a row."""
    full = np.full(int((lengths // capacity).sum()), capacity)
    rest = lengths % capacity
    return np.concatenate([full, rest[rest > 0]])


def whole(lengths: np.ndarray, capacity: int) -> np.ndarray:
    """Fills of the rows that TRL's packer makes of documents of these lengths."""
    ends = np.concatenate([[0], np.cumsum(lengths)])
    tokens = pa.array(np.zeros(int(ends[-1]), np.int32))
    table = pa.table({"input_ids": pa.ListArray.from_arrays(ends.astype(np.int32), tokens)})
    packed = _pack_bfd(table, capacity, "split")
    return np.diff(packed["input_ids"].combine_chunks().offsets.to_numpy())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("lengths")
    parser.add_argument("capacity", type=int)
    parser.add_argument("fills")
    parser.add_argument("--window", type=int, default=0, help="plan so many documents at a time")
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    lengths, fills = np.load(given.lengths), []
    window = given.window or len(lengths)
    begin, cpu = time.perf_counter(), time.process_time()
    for first in range(0, len(lengths), window):
        part = lengths[first : first + window]
        if given.whole:
            fills.append(whole(part, given.capacity))
            continue
        sizes = chunks(part, given.capacity)
        rows = planned(sizes, given.capacity)
        if not given.window:
            seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
        fills.append(np.array([sizes[row].sum() for row in rows]))
    if given.whole or given.window:
        seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
    np.save(given.fills, np.sort(np.concatenate(fills)))
    print(json.dumps({"version": trl.__version__, "seconds": seconds, "cpu_seconds": cpu_seconds}))


if __name__ == "__main__":
    main()
