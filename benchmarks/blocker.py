"""How much the blocker sees and what it costs, beside the original's literal rule.

The literal rule refuses a call whose text holds both the repository's link and one of the words
git, curl or wget. Both judge the same stored calls; the rules' own examples are counted apart,
because they were written together with the rules.

    python benchmarks/blocker.py
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from regreen.guard.blocker import Blocker
from regreen.guard.rules import load
from regreen.guard.subject import Subject

CALLS = Path(__file__).parents[1] / "tests" / "guard" / "calls"
REPO = "octo/widget"
BLOCKER = Blocker(Subject.of(REPO))
Judge = Callable[[str], bool]


def literal(command: str) -> bool:
    return f"github.com/{REPO}" in command and bool(re.search(r"\b(git|curl|wget)\b", command))


def ours(command: str) -> bool:
    return BLOCKER.judge("bash", {"command": command}).blocked


def stored(name: str) -> list[str]:
    return (CALLS / f"{name}.txt").read_text().split("\n%%\n")


def examples(kind: str) -> list[str]:
    rules = [rule for rule in load().rules if not rule.flag]
    return [each for rule in rules for each in getattr(rule, kind) if isinstance(each, str)]


def share(judge: Judge, calls: Sequence[str]) -> str:
    refused = sum(map(judge, calls))
    return f"{refused:4}/{len(calls):<4} {refused / len(calls):6.1%}"


def microseconds(judge: Judge, calls: Sequence[str]) -> tuple[float, float]:
    spent = []
    for call in calls:
        begin = time.perf_counter()
        judge(call)
        spent.append(1e6 * (time.perf_counter() - begin))
    return statistics.median(spent), statistics.quantiles(spent, n=100)[98]


def main() -> None:
    sets = {
        "attempts refused": stored("attempts"),
        "attempts, second list": stored("unseen-attempts"),
        "attempts, third list": stored("third-attempts"),
        "attempts, fourth list": stored("fourth-attempts"),
        "attempts, rules' examples": examples("block"),
        "ordinary calls refused": stored("ordinary"),
        "ordinary, second list": stored("unseen-ordinary"),
        "ordinary, third list": stored("third-ordinary"),
        "ordinary, fourth list": stored("fourth-ordinary"),
        "ordinary, rules' examples": examples("allow"),
    }
    print(f"{'':28}{'literal rule':>18}{'parsed rules':>18}")
    for name, calls in sets.items():
        print(f"{name:28}{share(literal, calls):>18}{share(ours, calls):>18}")
    every = [call for calls in sets.values() for call in calls]
    for name, judge in (("literal", literal), ("parsed", ours)):
        median, worst = microseconds(judge, every)
        print(f"{name}: {median:.1f} us per call in the median, {worst:.0f} us at the 99th percent")


if __name__ == "__main__":
    main()
