"""A preamble above a program: both run as one, whatever the program begins with."""

from __future__ import annotations

import pytest

from regreen.train.code.preamble import with_preamble

PREAMBLE = "import math\nBASE = 7"
PROGRAMS = {
    "plain": "def f(): return BASE + math.floor(1.5)",
    "one line": "from __future__ import annotations\ndef f(x: Nowhere = 8) -> Never: return x",
    "many lines": (
        "from __future__ import (\n    annotations,  # late\n    division,\n)\n"
        "def f(x: Nowhere = 8): return x"
    ),
    "two, one renamed": (
        "from __future__ import annotations as late\nfrom __future__ import division\n"
        "def f(x: Nowhere = 8): return x if late.optional else 0"
    ),
    "a semicolon": (
        "from __future__ import annotations; import os\n"
        "def f(x: Nowhere = 8): return x * len(os.sep)"
    ),
    "a continued line": "from __future__ \\\n  import annotations\ndef f(x: Nowhere = 8): return x",
    "after a docstring of bytes": (
        '"""é"""; from __future__ import annotations; Y = "é"\ndef f(x: Nowhere = 8): return x'
    ),
    "windows": "from __future__ import annotations\r\ndef f(x: Nowhere = 8):\r\n    return x\r\n",
    "a form feed": "# \x0c\nfrom __future__ import annotations\ndef f(x: Nowhere = 8): return x",
    "words in a string": (
        'def f():\n    text = """\nfrom __future__ import annotations\n"""\n'
        "    return 8 if text == '\\nfrom __future__ import ' + 'annotations\\n' else 0"
    ),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("future", ["", '"""Notes."""\nfrom __future__ import generators\n'])
def test_a_program_runs_below_a_preamble(program: str, future: str) -> None:
    space: dict[str, object] = {}
    source = with_preamble(future + PREAMBLE, program)
    exec(compile(source, "joined", "exec", dont_inherit=True), space)
    assert callable(space["f"])
    assert space["f"]() == 8
    assert space["BASE"] == 7


@pytest.mark.parametrize(
    "program",
    [
        "from __future__ import annotations\ndef f(:",
        "from __future__ import annotations, nothing_of_the_kind",
        "x = 1\nfrom __future__ import annotations",
        "\0",
    ],
)
def test_a_mistake_of_the_program_stays_one(program: str) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        compile(with_preamble(PREAMBLE, program), "joined", "exec", dont_inherit=True)


def test_without_a_preamble_nothing_is_touched() -> None:
    assert with_preamble("", PROGRAMS["many lines"]) == PROGRAMS["many lines"]
    assert with_preamble(PREAMBLE, "x = '\\d'") == f"{PREAMBLE}\nx = '\\d'"
    assert with_preamble(PREAMBLE, "def f(:") == f"{PREAMBLE}\ndef f(:"
