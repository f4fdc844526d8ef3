"""One holder at a time, whether a lock's file is left behind or taken away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from regreen.core.errors import UsageError
from regreen.store.writer_lock import WriterLock

COUNT = """
import sys
from pathlib import Path
from regreen.core.errors import UsageError
from regreen.store.writer_lock import WriterLock

lock, total = Path(sys.argv[1]), Path(sys.argv[2])
done = 0
while done < 150:
    try:
        held = WriterLock(lock)
    except UsageError:
        continue
    number = int(total.read_text())
    total.write_text(str(number + 1))
    held.remove()
    done += 1
"""


def test_a_lock_is_held_by_one_and_can_be_had_again(tmp_path: Path) -> None:
    place = tmp_path / "lock"
    first = WriterLock(place)
    with pytest.raises(UsageError, match=r"written by process \d+"):
        WriterLock(place)
    first.release()
    WriterLock(place).release()
    assert place.exists()


def test_a_lock_that_is_removed_leaves_nothing(tmp_path: Path) -> None:
    first = WriterLock(tmp_path / "lock")
    first.remove()
    assert list(tmp_path.iterdir()) == []
    second = WriterLock(tmp_path / "lock")
    first.remove()
    assert (tmp_path / "lock").exists()
    second.remove()


def test_locks_that_are_removed_are_still_held_by_one(tmp_path: Path) -> None:
    total = tmp_path / "total"
    total.write_text("0")
    words = [sys.executable, "-c", COUNT, str(tmp_path / "lock"), str(total)]
    jobs = [subprocess.Popen(words) for _ in range(3)]
    assert [job.wait() for job in jobs] == [0, 0, 0]
    assert total.read_text() == "450"
