"""What may come out otherwise next time, told by its words: runs are spent where these stand."""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def draws_lots(split: Split, tests: Sequence[str]) -> list[str]:
    """Tests that speak of chance, of waiting or of threads; all, where what repairs them does.

    Args:
        split: the change.
        tests: node ids of tests that it turns green.
    """
    if any(_LOTS.search(line) for line in split.patch.splitlines() if line[:1] == "+"):
        return list(tests)
    known: dict[str, bool] = {}
    for test in tests:
        function = test.partition("[")[0]
        if function not in known:
            path, _, name = function.partition("::")
            state = split.tests.get(path, (None, None))[1]
            text = state.data.decode("utf-8", "replace") if state else ""
            body = re.search(_BODY % re.escape(name.rpartition("::")[2]), text)
            known[function] = bool(body and _LOTS.search(body[0]))
    return [test for test in tests if known[test.partition("[")[0]]]
