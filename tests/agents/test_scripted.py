"""The deterministic agent: what it repairs, what it does not, and that it repeats itself."""

from __future__ import annotations

import pytest

from regreen.agents.rewrites import rewrites
from regreen.agents.scripted import reply
from regreen.agents.statement import read_statement

COMPARISON = """\
calc: I get a wrong result here:

```python
values = [1, 2, 3]
```

Expected to hold:
```python
total(values) == 6
```

Observed:
```python
-6 == 6
where -6 = total([1, 2, 3])
```

Please find the cause and repair it without changing what works.
"""
RAISES = """\
```python
if add(2, 2) != 4:
    raise ValueError("bad sum")
```

It fails with:
```python
ValueError: bad
```
"""


@pytest.mark.parametrize("statement", [COMPARISON, RAISES])
def test_it_repairs_a_flipped_operator(run_agent, statement):
    acted = run_agent("scripted", statement=statement)
    assert acted.status == "submitted"
    assert "return a + b" in acted.files["calc.py"]
    assert acted.log.num_turns <= 12
    assert "\n0 of 1 checks fail" in acted.observations[-2]


def test_the_same_seed_leaves_the_same_record(run_agent):
    runs = [run_agent("scripted", statement=COMPARISON, seed=5) for _ in range(2)]
    calls = [[m.get("tool_calls") for m in acted.log.messages] for acted in runs]
    assert calls[0] == calls[1]


@pytest.mark.parametrize(
    "statement",
    [
        "add is broken, please mend it",
        "```python\nassert 1 == 2\n```",
        "```python\nno_such_function(1)\n```",
        "```python\ntotal([1]) == 'nothing gives this'\n```",
        "```python\ndef broken(:\n```",
    ],
)
def test_what_it_cannot_repair_it_leaves_as_it_is(run_agent, statement):
    acted = run_agent("scripted", statement=statement)
    assert acted.status == "submitted"
    assert "return a - b" in acted.files["calc.py"]


def test_the_same_policy_drives_react_over_a_socket(run_agent):
    acted = run_agent("react", reply, statement=COMPARISON)
    assert acted.status == "submitted"
    assert "return a + b" in acted.files["calc.py"]


def test_checks_are_taken_from_the_fences():
    quoted = read_statement(COMPARISON)
    assert quoted.checks == ("values = [1, 2, 3]\nassert total(values) == 6",)
    assert quoted.undefined == ("total",)
    assert quoted.called == ("total",)


def test_rewrites_leave_strings_and_definitions_alone():
    lines = ["def f(a=1):", "    if a < 1 and a is not None:", "        return '<'"]
    tried = {(r.line, r.new.strip()) for r in rewrites("f.py", 10, lines)}
    assert (11, "if a <= 1 and a is not None:") in tried
    assert (11, "if a < 2 and a is not None:") in tried
    assert (11, "if a < 1 or a is not None:") in tried
    assert (11, "if a < 1 and a is None:") in tried
    assert (11, "if not (a < 1 and a is not None):") in tried
    assert {line for line, _ in tried} == {11}
