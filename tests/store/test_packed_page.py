"""The page on packed shards says what is there: its example runs, its tables are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from regreen.cli.main import main
from regreen.store.packed_header import DEFAULT_WEIGHTS, ROLES
from regreen.store.packed_shard import ShardShape

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "packed-shards.md").read_text()
RECORDED = Path(__file__).parents[1] / "templates" / "data" / "scripted.jsonl"


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["pack", str(RECORDED), "--tokenizer", "bytes", "-o", "packed", "-q"])
    (tmp_path / "packed" / "rejected.jsonl").touch()
    listed = PAGE.split("```")[1]
    names = re.findall(r"^(\S+\.\w+) ", listed, re.MULTILINE)
    assert {path.name for path in Path("packed").iterdir()} == set(names)

    found: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], found)
    shards = found["shards"]
    assert shards.weights["tool"] == 0.1  # type: ignore[attr-defined]


def test_roles_and_weights_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (`.*?`) \|.*\| (\S+) \|$", PAGE, re.MULTILINE)
    told = {role: weight for names, weight in rows for role in re.findall(r"`(\w+)`", names)}

    assert tuple(told) == ROLES
    for role, weight in told.items():
        wanted = "never" if role in {"pad", "context"} else f"{DEFAULT_WEIGHTS.get(role, 0):g}"
        assert weight == wanted, role


def test_arrays_are_those_of_the_code() -> None:
    part = PAGE[PAGE.index("| array |") :]
    names = [
        name for row in re.findall(r"^\| ([\w, ]+) \|", part, re.M) for name in row.split(", ")
    ]

    assert names[1:] == [*ShardShape(2, 1, 1, 1).sections()][:-1]
