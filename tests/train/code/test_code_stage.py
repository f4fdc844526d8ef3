"""The stage of code RL: sixty problems scored right, and attacks that score nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regreen.core.errors import TaskError
from regreen.inference.completion import Completion
from regreen.train.code.answer import read_answer
from regreen.train.code.problems import (
    CallTest,
    FeedTest,
    Problem,
    ProblemLimits,
    read_problems,
)
from regreen.train.code.stage import CodeStage, CodeStageConfig, Graded

HERE = Path(__file__).parent
PROBLEMS = {problem.problem_id: problem for problem in read_problems(HERE / "problems.jsonl")}
WRONG = [json.loads(line) for line in (HERE / "wrong.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def stage(loop: asyncio.Runner) -> Iterator[CodeStage]:
    made = CodeStage()
    loop.run(made.open())
    yield made
    loop.run(made.close())


def completion(program: str, reason: str = "stop") -> Completion:
    text = f"I thought about it.\n```python\n{program}\n```\n"
    return Completion(message={"role": "assistant", "content": text}, finish_reason=reason)


def test_right_programs_are_rewarded_and_wrong_ones_are_not(
    loop: asyncio.Runner, stage: CodeStage
) -> None:
    assert len(PROBLEMS) >= 60
    for problem in PROBLEMS.values():
        graded = loop.run(stage.grade(problem, completion(problem.solution)))
        assert graded == Graded(reward=1.0, resolved=True, finished=True, notes=graded.notes), (
            problem.problem_id,
            graded.notes,
        )
    for row in WRONG:
        graded = loop.run(stage.grade(PROBLEMS[row["problem_id"]], completion(row["program"])))
        assert (graded.reward, graded.resolved) == (0.0, False), row
        assert graded.notes["passed"] < graded.notes["tests"]


def test_a_program_that_knows_the_examples_fails(loop: asyncio.Runner, stage: CodeStage) -> None:
    for problem in PROBLEMS.values():
        table = {t.call: t.expected or None for t in problem.visible if isinstance(t, CallTest)}
        program = (
            f"SEEN = {table!r}\n"
            f"def {problem.entry_point}(*args):\n"
            f"    call = '{problem.entry_point}(' + ', '.join(map(repr, args)) + ')'\n"
            "    return eval(SEEN.get(call) or 'None', {})\n"
        )
        graded = loop.run(stage.grade(problem, completion(program)))
        assert graded.reward == 0.0, problem.problem_id


ADD = Problem(
    problem_id="add",
    prompt="Add two integers.",
    entry_point="add",
    hidden=tuple(CallTest(call=f"add({n}, {n + 1})", expected=str(2 * n + 1)) for n in range(4)),
    limits=ProblemLimits(seconds=0.1, memory_bytes=64 << 20),
)
ATTACKS = {
    "equal to everything": """
class Same(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
def add(a, b): return Same(0)""",
    "equal object": """
class Same:
    def __eq__(self, other): return True
    def __reduce__(self): return (int, (1,))
def add(a, b): return Same()""",
    "metaclass that lies about its type": """
class Meta(type):
    def __instancecheck__(self, x): return True
    def __eq__(self, other): return True
    def __hash__(self): return hash(int)
class Same(metaclass=Meta):
    __class__ = int
def add(a, b): return Same()""",
    "a truth value": "def add(a, b): return True if a + b == 1 else a + b",
    "a float": "def add(a, b): return float(a + b)",
    "a text": "def add(a, b): return str(a + b)",
    "nan": "def add(a, b): return float('nan')",
    "hang": "def add(a, b):\n    while True: pass",
    "hang while loading": "while True: pass\ndef add(a, b): return a + b",
    "sleep": "import time\ndef add(a, b): time.sleep(1000)",
    "stopped": "import os, signal\ndef add(a, b): os.kill(os.getpid(), signal.SIGSTOP); return 0",
    "regular expression without end": "import re\ndef add(a, b): re.match('(a+)+$', 'a'*50 + 'b')",
    "memory": "def add(a, b): return len(bytearray(1 << 40)) and a + b",
    "memory piece by piece": """
def add(a, b):
    x = []
    while True: x.append(bytearray(1 << 20))""",
    "files": """
def add(a, b):
    n = 0
    while True:
        n += 1
        with open(f'/tmp/{n}', 'wb') as f: f.write(b'x' * (1 << 22))""",
    "fork bomb": "import os\ndef add(a, b):\n    while True: os.fork()",
    "fork and leave": """
import os
def add(a, b):
    if os.fork() == 0: return a + b
    os._exit(0)""",
    "thread bomb": """
import threading, time
def add(a, b):
    while True: threading.Thread(target=time.sleep, args=(1000,)).start()""",
    "daemon threads": """
import threading
def spin():
    while True: pass
def add(a, b):
    for _ in range(4): threading.Thread(target=spin, daemon=True).start()
    return -1""",
    "os._exit": "import os\ndef add(a, b): os._exit(0)",
    "sys.exit": "import sys\ndef add(a, b): sys.exit(0)",
    "exit while loading": "import os\nos._exit(0)",
    "kill everybody": "import os\ndef add(a, b): os.kill(-1, 9); os.kill(1, 9); return 0",
    "kill the group": "import os\ndef add(a, b): os.kill(0, 9); os.killpg(0, 9); return 0",
    "kill the parent": "import os\ndef add(a, b): os.kill(os.getppid(), 9); return 0",
    "segmentation fault": "import ctypes\ndef add(a, b): return ctypes.string_at(0)",
    "abort": "import os\ndef add(a, b): os.abort()",
    "flood standard output": "def add(a, b):\n    while True: print('x' * 100000)",
    "flood the channel": """
import os
def add(a, b):
    while True: os.write(3, b'x' * 100000)""",
    "flood the channel with lines": """
import os
def add(a, b):
    while True: os.write(3, b'["returned",1]\\n' * 10000)""",
    "guess on every descriptor": """
import os
for fd in range(256):
    for line in (b'["loaded"]\\n', b'{"number": 1, "load": "", "cases": []}\\n', b'["passed"]\\n'):
        try: os.write(fd, line * 9)
        except OSError: pass
def add(a, b): os._exit(0)""",
    "forge passes": """
import os
os.write(3, b'["loaded"]\\n' + b'["returned",{"passed":true}]\\n' * 4)
def add(a, b): return 0""",
    "no JSON": "import os\nos.write(3, b'\\xff\\x00[[[\\n' * 9)\ndef add(a, b): return 0",
    "deep JSON": "import os\nos.write(3, b'[' * 90000 + b'\\n')\ndef add(a, b): return 0",
    "a value without end": """
def add(a, b):
    x = []
    x.append(x)
    return x""",
    "a value of exponential size": """
def add(a, b):
    x = []
    for _ in range(80): x = [x, x]
    return x""",
    "a large value": "def add(a, b): return 'x' * (1 << 22)",
    "an enormous number": "def add(a, b): return 1 << (1 << 24)",
    "a generator": "def add(a, b):\n    yield a + b",
    "an exception that cannot be shown": """
class Bad(Exception):
    def __str__(self): raise SystemExit(0)
def add(a, b): raise Bad""",
    "replace the encoder": """
import sys
plain = sys.modules['regreen.train.code.box.plain']
plain.dumps = lambda value: 'true'
def add(a, b): return 0""",
    "replace the comparison": """
import builtins, json
json.dumps = lambda *a, **k: '1'
builtins.isinstance = lambda *a: True
def add(a, b): return object()""",
    "search memory for what is expected": """
import gc, sys
def add(a, b):
    for one in gc.get_objects():
        if isinstance(one, dict) and ('expected' in one or 'hidden' in one or 'solution' in one):
            return a + b
    frame = sys._getframe()
    while frame:
        if any('expected' in str(name) for name in frame.f_locals): return a + b
        frame = frame.f_back
    return None""",
    "search the files for what is expected": """
import os
def add(a, b):
    for folder, _, names in os.walk('/'):
        if folder.startswith(('/usr', '/sys', '/root', '/lib', '/etc', '/bin', '/sbin')): continue
        for name in names:
            if name.endswith('.jsonl') or 'problem' in name or 'environ' in name: return a + b
    return None""",
    "another program": """
import subprocess
def add(a, b): return int(subprocess.check_output(['expr', '1']))""",
    "the network": """
import socket
def add(a, b):
    socket.create_connection(('127.0.0.1', 80), timeout=0.05)
    return a + b""",
    "more memory for itself": """
import resource
def add(a, b):
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return a + b""",
    "namespaces of its own": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def add(a, b):
    return a + b if libc.unshare(0x10000000) == 0 or libc.ptrace(16, 1, 0, 0) == 0 else None""",
    "write where others read": """
import glob, os
def add(a, b):
    for place in ('/dev/shm/x', '/home/agent/x', '/opt/regreen/x', '/x', '/run/x', '/usr/x'):
        try: open(place, 'w').write('x')
        except OSError: continue
        return a + b
    return None""",
    "no function": "def subtract(a, b): return a - b",
    "no Python": "def add(a, b: return",
    "a null byte": "def add(a, b): return 0\x00",
}  # fmt: skip


CHECKED = ADD.model_copy(
    update={
        "hidden": (),
        "checks": "from solution import add\n"
        "def check(candidate):\n"
        "    for n in range(20):\n"
        "        expected = 2 * n + 1\n"
        "        assert candidate(n, n + 1) == expected and type(candidate(n, n + 1)) is int\n"
        "def test_errors():\n"
        "    try:\n        add(1, 'a')\n    except TypeError:\n        return\n    assert False\n",
    }
)


QUICK = ("equal to everything", "os._exit", "kill the group", "guess on every descriptor",
         "forge passes", "flood the channel", "a truth value", "replace the encoder")  # fmt: skip


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in ATTACKS]
)
def test_an_attack_on_tests_that_are_a_program_scores_nothing(
    loop: asyncio.Runner, stage: CodeStage, name: str
) -> None:
    graded = loop.run(stage.grade(CHECKED, completion(ATTACKS[name])))
    assert (graded.reward, graded.resolved, graded.fault) == (0.0, False, None), graded


def test_tests_that_are_a_program_pass_and_fail(loop: asyncio.Runner, stage: CodeStage) -> None:
    right = loop.run(stage.grade(CHECKED, completion("def add(a, b): return a + b")))
    assert (right.reward, right.notes["tests"], right.notes["passed"]) == (1.0, 2, 2)
    some = loop.run(stage.grade(CHECKED, completion("def add(a, b): return a + b if a < 9 else 0")))
    assert (some.reward, some.notes["passed"]) == (0.0, 1)
    both = CHECKED.model_copy(update={"hidden": ADD.hidden})
    assert loop.run(stage.grade(both, completion("def add(a, b): return a + b"))).reward == 1.0


@pytest.mark.parametrize(
    "checks", ["import pytest", "def test(x): pass", "x = 1", "def check(c): c(len)", "("]
)
def test_checks_that_cannot_be_run_are_the_task_s_fault(
    loop: asyncio.Runner, stage: CodeStage, checks: str
) -> None:
    problem = CHECKED.model_copy(update={"checks": checks})
    with pytest.raises(TaskError):
        loop.run(stage.grade(problem, completion("def add(a, b): return a + b")))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_scores_nothing_and_hurts_nobody(
    loop: asyncio.Runner, stage: CodeStage, name: str
) -> None:
    graded = loop.run(stage.grade(ADD, completion(ATTACKS[name])))
    assert (graded.reward, graded.resolved, graded.fault) == (0.0, False, None), graded
    after = loop.run(stage.grade(ADD, completion("def add(a, b): return a + b")))
    assert after.reward == 1.0, after


def test_a_run_finds_nothing_of_the_one_before(loop: asyncio.Runner, stage: CodeStage) -> None:
    secret = "SECRET_OF_" + "THE_FIRST"
    leave = f"""
import builtins, os, sys
builtins.left = '{secret}'
sys.left = '{secret}'
open('/tmp/left', 'w').write('{secret}')
def add(a, b): return a + b"""
    look = """
import builtins, ctypes, gc, os, sys
secret = 'SECRET_OF_' + 'THE_FIRST'
def add(a, b):
    found = [hasattr(builtins, 'left'), hasattr(sys, 'left'), os.path.exists('/tmp/left')]
    found += [secret in one for one in gc.get_objects() if type(one) in (dict, list, tuple)]
    return None if not any(found) else a + b"""
    assert loop.run(stage.grade(ADD, completion(leave))).reward == 1.0
    assert loop.run(stage.grade(ADD, completion(look))).reward == 0.0


def test_a_share_can_be_rewarded(loop: asyncio.Runner) -> None:
    async def scene() -> Graded:
        stage = CodeStage(CodeStageConfig(share=True))
        await stage.open()
        try:
            return await stage.grade(
                ADD, completion("def add(a, b):\n    return a + b if a else 9")
            )
        finally:
            await stage.close()

    graded = loop.run(scene())
    assert (graded.reward, graded.resolved) == (0.75, False)
    assert graded.notes["fates"] == {"wrong": 1, "passed": 3}


def test_a_cut_answer_is_unfinished(loop: asyncio.Runner, stage: CodeStage) -> None:
    graded = loop.run(stage.grade(ADD, completion("def add(a, b): return a + b", "length")))
    assert (graded.reward, graded.resolved, graded.finished) == (0.0, False, False)


def test_a_dead_box_is_replaced_and_one_that_keeps_dying_gives_no_reward(
    loop: asyncio.Runner,
) -> None:
    async def kill(stage: CodeStage, times: int) -> None:
        for _ in range(times):
            while (box := stage._boxes[0]._box) is None:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            await box.close()
            while stage._boxes and stage._boxes[0]._box is box:
                await asyncio.sleep(0.01)

    async def scene(times: int) -> Graded:
        stage = CodeStage(CodeStageConfig(attempts=2))
        await stage.open()
        slow = ADD.model_copy(update={"limits": ProblemLimits(seconds=2)})
        program = "import time\nt = time.time()\nwhile time.time() < t + 0.4: pass\n"
        program += "def add(a, b): return a + b"
        try:
            grading = asyncio.create_task(stage.grade(slow, completion(program)))
            await asyncio.wait_for(kill(stage, times), 20)
            return await grading
        finally:
            await stage.close()

    assert loop.run(scene(1)).reward == 1.0
    lost = loop.run(scene(2))
    assert lost.reward is None
    assert not lost.resolved
    assert lost.fault is not None
    assert lost.fault.boundary == "infrastructure"


def test_programs_are_graded_by_what_they_print(loop: asyncio.Runner, stage: CodeStage) -> None:
    problem = Problem(
        problem_id="sum", prompt="Print the sum of the numbers.", kind="program",
        hidden=(FeedTest(input="1 2\n", output="3\n"), FeedTest(input="", output="0\n")),
    )  # fmt: skip
    threaded = (
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 26)\n"
        "def main(): print(sum(map(int, open(0).read().split())))\n"
        "threading.Thread(target=main).start()\n"
    )
    right = "import sys\nprint(sum(map(int, sys.stdin.read().split())))"
    rewards = [
        loop.run(stage.grade(problem, completion(program))).reward
        for program in (right, threaded, right + "\nsys.exit(1)", "print(3)", "while 1: print(3)")
    ]
    assert rewards == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_the_question_tells_examples_and_no_hidden_test(stage: CodeStage) -> None:
    problem = PROBLEMS["from_binary"]
    text = json.dumps(stage.messages(problem))
    shown: list[Any] = [test.call for test in problem.visible if isinstance(test, CallTest)]
    hidden = [test.call for test in problem.hidden if isinstance(test, CallTest)]
    assert all(json.dumps(call)[1:-1] in text for call in shown)
    assert not any(json.dumps(call)[1:-1] in text for call in hidden)
    assert problem.solution not in text


def test_a_problem_without_tests_is_the_task_s_fault(
    loop: asyncio.Runner, stage: CodeStage
) -> None:
    with pytest.raises(TaskError, match="no hidden tests"):
        loop.run(stage.grade(ADD.model_copy(update={"hidden": ()}), completion("pass")))


@pytest.mark.parametrize(
    ("text", "program", "fault"),
    [
        ("```python\na = 1\n```", "a = 1\n", ""),
        ("```\na = 1\n```\nand\n~~~py\nb = 2\n~~~\nbye", "b = 2\n", ""),
        ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''\n", ""),
        ("  ```python\r\na = 1\r\n  ```", "a = 1\r\n", ""),
        ("```python\na = 1\n```\n```python\nb =", "", "open_block"),
        ("a = 1", "", "no_block"),
        ("", "", "empty"),
        ("```java\nint a;\n```", "", "other_language"),
        ("```python\n\n```", "", "empty_block"),
        ("use `a` or ```b```", "", "no_block"),
    ],
)
def test_the_program_is_the_last_fenced_block(text: str, program: str, fault: str) -> None:
    answer = read_answer(text)
    assert (answer.program, answer.fault) == (program, fault)
