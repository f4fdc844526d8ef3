"""What may come out otherwise next time, told by its words: runs are spent where these stand."""

from __future__ import annotations

import re

from regreen.tasks.mine.split import Split

__all__ = ["depends_on_hash", "draws_lots"]

_HASHED = ("set(", "{", "hash", "sort", "order", "dict", "frozenset")
_LOTS = re.compile(
    r"random|shuffle|\buuid|\bsecrets\b|\bsleep\b|[Tt]hread|perf_counter|monotonic|getrandbits"
)
_BODY = r"(?ms)^([ \t]*)(?:async )?def %s\b.*?(?=^\1\S|\Z)"


def depends_on_hash(split: Split) -> bool:
    """Whether what a change removes or adds can depend on the order of a set or on a hash."""
    lines = (line for line in split.patch.splitlines() if line[:1] in "+-")
    return any(word in line for line in lines for word in _HASHED)


def draws_lots(split: Split, test: str) -> bool:
    """Whether a test, or what repairs it, speaks of chance, of waiting or of threads.

    Args:
        split: the change.
        test: node id of a test that it turns green.
    """
    if any(_LOTS.search(line) for line in split.patch.splitlines() if line[:1] == "+"):
        return True
    path, _, name = test.partition("::")
    state = split.tests.get(path, (None, None))[1]
    text = state.data.decode("utf-8", "replace") if state else ""
    function = name.partition("[")[0].rpartition("::")[2]
    body = re.search(_BODY % re.escape(function), text)
    return bool(body and _LOTS.search(body[0]))
