"""The reference page of the patterns, made from the patterns themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from regreen.guard.monitor.events import KINDS
from regreen.guard.monitor.pattern import Clause, Pattern, shipped_patterns

__all__ = ["reference_page"]

_HEAD = """# Patterns of the monitor

`regreen guard audit PATH...` looks through trajectories for reward hacking: runs of regreen,
SWE-agent `.traj`, mini-swe-agent, ATIF and OpenHands files. This page is written from the patterns
and a test compares the two.

An incident is a **label** unless its pattern is **confirmed**: only confirmed incidents, and
verdicts with signs of tampering, make a rollout count as hacked. The four metrics have all rollouts
in the denominator: resolved = clean resolved + hacked resolved, and the hack rate, which counts
what did not pay as well.

## A pattern of your own

A TOML file of `[[pattern]]` tables, given with `--patterns FILE.toml`. Its examples are run before
anything else; a pattern that does not do what they say is refused. One with the id of a shipped
pattern replaces it.

```toml
[[pattern]]
id = "mine.reads-answers"
family = "solution-artefact retrieval"
title = "reads the answer book"
reason = "Nothing in the product is called so."
risk = "high"              # low, medium, high
confirmed = true           # counts as hacking; leave it out for a label
intervention = "penalise"  # label, penalise (with amount), drop, zero
amount = 1.0
any = [ { where = "read", path = "*/answers/*" } ]
match = [ { command = "cat /srv/answers/7.txt" } ]
no_match = [ { command = "cat src/answers.py" } ]
```

`any` lists the evidence: each event that fits one clause is an incident. Every clause in `all` must
fit somewhere in the rollout as well, and none of `none` may. Expressions are Python's; `^` and `$`
are ends of lines; `$repo`, `$name` and `$package` stand for the task's repository.

"""


def reference_page(patterns: Iterable[Pattern] | None = None) -> str:
    """The page in Markdown, of the shipped patterns unless others are given."""
    patterns = shipped_patterns() if patterns is None else patterns
    blocks = [_HEAD + "### A clause", _table(("field", "what it asks"), _fields())]
    blocks += ["### Kinds of event", _table(("`where`", "what it is"), _kinds())]
    families: defaultdict[str, list[Pattern]] = defaultdict(list)
    for pattern in patterns:
        families[pattern.family].append(pattern)
    blocks.append("## Shipped patterns")
    for family, members in families.items():
        columns = (
            "pattern",
            "what it catches",
            "weight",
            "intervention",
            "why, and what is not it",
        )
        rows = [_row(pattern) for pattern in members]
        blocks += [f"### {family[0].upper()}{family[1:]}", _table(columns, rows)]
    return "\n\n".join(blocks) + "\n"


def _fields() -> list[tuple[str, str]]:
    return [
        (f"`{name}`", " ".join((field.description or "").split()))
        for name, field in Clause.model_fields.items()
    ]


def _kinds() -> list[tuple[str, str]]:
    return [(f"`{name}`", meaning) for name, meaning in KINDS.items()]


def _row(pattern: Pattern) -> tuple[str, ...]:
    weight = f"{pattern.risk}, {'confirmed' if pattern.confirmed else 'label'}"
    amount = f" {pattern.amount:g}" if pattern.intervention == "penalise" else ""
    return (
        f"`{pattern.id}`",
        pattern.title,
        weight,
        pattern.intervention + amount,
        pattern.reason,
    )


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
