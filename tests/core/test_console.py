from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from regreen.core.console import Console
from regreen.core.errors import PrerequisiteError, UsageError
from regreen.core.verdict import Reward


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def console():
    return Console(stdout=io.StringIO(), stderr=io.StringIO(), environ={})


def test_results_and_the_rest_are_kept_apart(console):
    console.result("a result")
    console.note("a note")
    console.error(UsageError("wrong", where="here", mend="do this"))
    assert console.stdout.getvalue() == "a result\n"
    assert console.stderr.getvalue() == ("a note\nerror: wrong\nwhere: here\n mend: do this\n")


def test_quiet_leaves_out_notes_and_never_errors():
    quiet = Console(stdout=io.StringIO(), stderr=io.StringIO(), quiet=True, environ={})
    quiet.note("a note")
    quiet.result("a result")
    quiet.error(UsageError("wrong"))
    with quiet.progress("work", total=1) as progress:
        progress.finish("a", "resolved")
    assert quiet.stderr.getvalue() == "error: wrong\n"
    assert quiet.stdout.getvalue() == "a result\n"


def test_a_traceback_comes_with_verbose_only(console):
    try:
        raise PrerequisiteError("no bwrap")
    except PrerequisiteError as error:
        console.error(error)
        assert "Traceback" not in console.stderr.getvalue()
        console.error(error, verbose=True)
    assert "Traceback" in console.stderr.getvalue()


def test_an_unexpected_error_says_how_to_see_more(console):
    console.error(KeyError("x"))
    assert console.stderr.getvalue() == "error: KeyError: 'x'\n mend: run again with -v\n"


def test_json_converts_models_and_paths(console):
    console.json({"reward": Reward(name="resolved", score=1), "path": Path("a/b"), "text": "é"})
    assert json.loads(console.stdout.getvalue()) == {
        "reward": {"name": "resolved", "score": 1.0, "weight": 1.0},
        "path": "a/b",
        "text": "é",
    }


def test_a_table_is_aligned_and_numbers_stand_right(console):
    console.table(["agent", "resolved"], [["mini", 10], ["oracle", 9]])
    assert console.stdout.getvalue() == "agent   resolved\nmini          10\noracle         9\n"


def test_an_empty_table_has_its_head(console):
    console.table(["agent", "resolved"], [])
    assert console.stdout.getvalue() == "agent  resolved\n"


def test_a_terminal_shows_control_characters_and_a_pipe_gets_them(console):
    text = "\x1b]0;owned\x07 ok\ttab"
    terminal = Console(stdout=Terminal(), stderr=Terminal(), environ={})
    terminal.result(text)
    assert terminal.stdout.getvalue() == "\\x1b]0;owned\\x07 ok\ttab\n"
    terminal.table(["a"], [["\x1b[2J"]])
    assert "\x1b[2J" not in terminal.stdout.getvalue()
    console.result(text)
    assert console.stdout.getvalue() == text + "\n"


def test_text_the_stream_cannot_encode_is_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(stdout=stream, environ={}).result("caf\u00e9 \udce9")
    stream.seek(0)
    assert stream.read() == "caf\\xe9 \\udce9\n"


@pytest.mark.parametrize(
    ("stream", "environ", "live"),
    [
        (Terminal, {}, True),
        (Terminal, {"CI": "true"}, False),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_only_a_terminal_is_redrawn(stream, environ, live):
    assert Console(stderr=stream(), environ=environ).live is live


_LIVE = """
import time
from regreen.core.console import Console
console = Console(environ={"TERM": "xterm"})
with console.progress("rollouts", total=2) as progress:
    progress.phase("toolz.1#mini#0", "act")
    time.sleep(0.6)
    console.note("a note \\x1b[2J between")
    progress.finish("toolz.1#mini#0", "resolved")
console.result("done")
"""


def test_a_real_terminal_sees_each_running_item_and_a_last_line():
    leader, follower = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-c", _LIVE], stderr=follower, stdout=subprocess.PIPE, env=environ
    ) as process:
        os.close(follower)
        assert process.stdout is not None
        assert process.stdout.read() == b"done\n"
        chunks = []
        try:
            while chunk := os.read(leader, 65536):
                chunks.append(chunk)
        except OSError:  # the other end of a terminal closed
            pass
        os.close(leader)
    screen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(chunks).decode())
    assert re.search(r"toolz\.1#mini#0\s+act", screen)
    assert screen.count("a note \\x1b[2J between") == 1
    last = screen.strip().splitlines()[-1]
    assert "rollouts 1/2 · resolved 1/1 (100%)" in last


def test_importing_the_console_loads_nothing_heavy():
    code = (
        "import sys, regreen.core.console, regreen.core.config\n"
        "print([name for name in ('rich', 'pyarrow', 'jinja2', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
