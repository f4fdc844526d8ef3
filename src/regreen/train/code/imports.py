"""Rows of other projects as problems; which shape a row has is told by its columns.

A row that cannot be turned into data is refused by name and the others go on: the caller sees both
and decides. Nothing is downloaded; files come from wherever their licence lets the user take them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from regreen.core.errors import UsageError
from regreen.store.jsonl import read_jsonl
from regreen.store.rows import to_record
from regreen.train.code.asserted import from_human_eval, from_mbpp
from regreen.train.code.judged import from_apps, from_code_contests, from_live_code_bench
from regreen.train.code.literals import NotLiteral
from regreen.train.code.problems import Problem

__all__ = ["SHAPES", "Imported", "import_problems"]

SHAPES: dict[str, tuple[frozenset[str], Callable[..., Problem]]] = {
    "HumanEval": (frozenset(("prompt", "test", "entry_point")), from_human_eval),
    "MBPP": (frozenset(("test_list",)), from_mbpp),
    "APPS": (frozenset(("question", "input_output")), from_apps),
    "LiveCodeBench": (frozenset(("question_content", "private_test_cases")), from_live_code_bench),
    "CodeContests": (frozenset(("description", "private_tests")), from_code_contests),
}
"""Columns that tell a shape, and its reader."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file."""

    problems: tuple[Problem, ...]
    """Rows that could be read."""
    refused: tuple[tuple[str, str], ...]
    """``file:line`` and why, of those that could not."""


def import_problems(path: Path, *, license: str = "") -> Imported:
    """Read a file of JSON lines in any known shape, ours included.

    Args:
        path: the file.
        license: recorded with every row of another project.

    Raises:
        UsageError: a row has no known shape, or a problem stands there twice.
    """
    problems: dict[str, Problem] = {}
    refused = []
    for number, row in read_jsonl(path):
        where = f"{path}:{number}"
        try:
            problem = _problem(row, where, license)
        except (NotLiteral, ValidationError, LookupError, TypeError, AttributeError) as exc:
            refused.append((where, _why(exc)))
            continue
        if problem.problem_id in problems:
            what = f"the problem {problem.problem_id!r} stands here twice"
            raise UsageError(what, where=where, mend="give each row its own id")
        problems[problem.problem_id] = problem
    return Imported(tuple(problems.values()), tuple(refused))


def _problem(row: dict[str, Any], where: str, license: str) -> Problem:
    if row.get("schema_name") is not None:
        return to_record(Problem, row, where)
    for columns, reader in SHAPES.values():
        if columns <= set(row):
            return reader(row, license=license)
    what = f"no known shape of a problem has the columns {', '.join(sorted(row)[:8])}"
    shapes = "; ".join(f"{name}: {', '.join(sorted(c))}" for name, (c, _) in SHAPES.items())
    raise UsageError(what, where=where, mend=f"give it those of one of {shapes}")


def _why(exc: Exception) -> str:
    if isinstance(exc, ValidationError):
        return exc.errors(include_url=False, include_context=False)[0]["msg"]
    return f"missing column {exc}" if isinstance(exc, KeyError) else str(exc)
