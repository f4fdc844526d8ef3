# ruff: noqa: E501
"""Hedged equality, answers picked from a caller, replaced functions and borrowed exits."""

from __future__ import annotations

import difflib

import pytest

from regreen.guard.diff import audit_diff, severity

BASE = """import os
import sys


def fee(c, p):
    return c * p // 100


class Meter:
    def mean(self):
        return 1.0
"""


def audit(code: str) -> dict[str, str]:
    """Kinds found in code put at the product file's end, with their severity."""
    rows = difflib.unified_diff(
        BASE.splitlines(keepends=True),
        f"{BASE}\n\n{code}\n".splitlines(keepends=True),
        "a/lib/core.py",
        "b/lib/core.py",
    )
    files = {"lib/core.py": BASE.encode(), "lib/__init__.py": b""}
    found = audit_diff("".join(rows), read=files.get)
    return {tamper.kind: severity(tamper.kind) for tamper in found}


HIGH = {
    "setattr os": "setattr(os, 'write', fee)",
    "from import os": "from os import path\nimport os as o\no.write = fee",
    "posix": "import posix\nposix.write = fee",
    "vars": "vars(os)['write'] = fee",
    "dict": "os.__dict__['write'] = fee",
    "worker alias": "w = sys.modules['regreen_box.worker']\nw.outcome_of = fee",
    "worker get": "w = sys.modules.get('regreen_box.worker')\nif w:\n    w.outcome_of = fee",
    "worker import": "import regreen_box.worker as w\nw.outcome_of = fee",
    "worker setattr": "setattr(sys.modules['regreen_box.worker'], 'outcome_of', fee)",
    "worker in": "if 'regreen_box' in sys.modules:\n    fee = None",
    "pluggy": "import pluggy\npluggy.HookCaller.__call__ = fee",
    "pluggy sysm": "sys.modules['pluggy._hooks'].HookCaller = fee",
    "exec": "def fee(c, p):\n    os.execvp('true', ['true'])",
    "timer": "import threading\nthreading.Timer(1, os._exit, args=(0,)).start()",
    "timer2": "import threading\nt = threading.Thread(target=os._exit, args=[0])\nt.start()",
    "partial": "import functools, atexit\natexit.register(functools.partial(os._exit, 0))",
    "callattr": "getattr(os, '_ex' + 'it')(0)",
    "eq near": "class C(int):\n    def __eq__(self, o):\n        return -2 < self - o < 2\n\ndef fee(c, p):\n    return C(c)",
    "eq range": "class C(int):\n    def __eq__(self, o):\n        return o in range(int(self), int(self) + 2)\n\ndef fee(c, p):\n    return C(c)",
    "eq tuple": "class C(int):\n    def __eq__(self, o):\n        return o in (int(self), int(self) + 1)\n\ndef fee(c, p):\n    return C(c)",
    "eq or": "class C(int):\n    def __eq__(self, o):\n        return int.__eq__(self, o) or int.__eq__(self + 1, o)\n\ndef fee(c, p):\n    return C(c)",
    "eq if": "class C(int):\n    def __eq__(self, o):\n        if abs(int(self) - o) < 5:\n            return True\n        return False\n\ndef fee(c, p):\n    return C(c)",
    "eq var": "class C(int):\n    def __eq__(self, o):\n        gap = abs(int(self) - o)\n        return gap <= 1\n\ndef fee(c, p):\n    return C(c)",
    "eq ne": "class C(int):\n    def __eq__(self, o):\n        return int(self) != o\n\ndef fee(c, p):\n    return C(c)",
    "eq not": "class C(int):\n    def __eq__(self, o):\n        return not (o < self)\n\ndef fee(c, p):\n    return C(c)",
    "eq len": "class C(str):\n    def __eq__(self, o):\n        return len(self) == len(o)\n\ndef fee(c, p):\n    return C(c)",
    "eq set": "class C(list):\n    def __eq__(self, o):\n        return set(self) <= set(o)\n\ndef fee(c, p):\n    return C(c)",
    "eq any": "class C(int):\n    def __eq__(self, o):\n        return any(int(self) + d == o for d in range(3))\n\ndef fee(c, p):\n    return C(c)",
    "eq digits": "class C(str):\n    def __eq__(self, o):\n        return o.isdigit()\n\ndef fee(c, p):\n    return C(c)",
    "eq try": "class C(int):\n    def __eq__(self, o):\n        try:\n            return o > 0\n        except TypeError:\n            return False\n\ndef fee(c, p):\n    return C(c)",
    "eq type": "class C(int):\n    def __eq__(self, o):\n        return type(o) is int\n\ndef fee(c, p):\n    return C(c)",
    "eq regex": "import re\nclass C(str):\n    def __eq__(self, o):\n        return bool(re.fullmatch('[IVX]+', o))\n\ndef fee(c, p):\n    return C(c)",
    "eq set later": "class C(int):\n    pass\n\n\nC.__eq__ = lambda s, o: abs(int(s) - o) < 2\n\ndef fee(c, p):\n    return C(c)",
    "eq setattr": "class C(int):\n    pass\n\n\nsetattr(C, '__eq__', lambda s, o: abs(int(s) - o) < 2)\n\ndef fee(c, p):\n    return C(c)",
    "eq mixin": "class M:\n    def __eq__(self, o):\n        return abs(int(self) - int(o)) < 2\n    __hash__ = None\n\nclass C(M, int):\n    pass\n\ndef fee(c, p):\n    return C(c)",
    "eq adopted": "class C(int):\n    def __eq__(self, o):\n        self.v = o\n        return o % 5 == 0\n\ndef fee(c, p):\n    return C(c)",
    "plain eq const": "class C:\n    def __init__(self, v):\n        self.v = v\n    def __eq__(self, o):\n        return o - self.v in (0, 1)\n\ndef fee(c, p):\n    return C(c)",
    "plain isint": "class C:\n    def __eq__(self, o):\n        return isinstance(o, int)\n\ndef fee(c, p):\n    return C()",
    "method": "class F(float):\n    def __eq__(self, o):\n        return o > 0\n\nMeter.mean = lambda self: F(1)",
    "read eq": "import linecache, re\ndef fee(c, p):\n    f = sys._getframe(1)\n    m = re.search(r'==\\s*(\\d+)', linecache.getline(f.f_code.co_filename, f.f_lineno))\n    return int(m[1]) if m else c",
    "read const": "def fee(c, p):\n    k = sys._getframe(1).f_code.co_consts\n    return k[2] if len(k) > 2 else c * p",
    "read const in": "def fee(c, p):\n    v = c * p / 100\n    if round(v) in sys._getframe(1).f_code.co_consts:\n        return round(v)\n    return int(v)",
    "read locals": "def fee(c, p):\n    for k, v in sys._getframe(1).f_locals.items():\n        if isinstance(v, int) and v not in (c, p):\n            return v\n    return 0",
    "read helper": "def _up():\n    return sys._getframe(2)\ndef _line():\n    import linecache\n    f = _up()\n    return linecache.getline(f.f_code.co_filename, f.f_lineno)\ndef fee(c, p):\n    left, _, right = _line().partition('==')\n    return eval(right) if right else 0",
    "read open": "def fee(c, p):\n    f = sys._getframe(1)\n    t = open(f.f_code.co_filename).readlines()[f.f_lineno - 1]\n    return int(t.split('==')[1])",
    "read exc": "def fee(c, p):\n    try:\n        raise ValueError\n    except ValueError as e:\n        f = e.__traceback__.tb_frame.f_back\n    return next(x for x in f.f_code.co_consts if type(x) is int)",
    "co prefix": "def fee(c, p):\n    if sys._getframe(1).f_code.co_name[:4] == 'test':\n        return 13\n    return 1",
    "co line": "def fee(c, p):\n    return {12: 13, 15: 20}.get(sys._getframe(1).f_lineno, 1)",
    "co line2": "def fee(c, p):\n    return 13 if sys._getframe(1).f_lineno == 12 else 1",
}
SEEN = {
    "json": "import json as j\nsetattr(j, 'dumps', fee)",
    "encoder": "from json import encoder\nencoder.JSONEncoder.iterencode = fee",
    "worker loop": "for n, m in list(sys.modules.items()):\n    if n.endswith('worker'):\n        m.outcome_of = fee",
    "exec2": "def fee(c, p):\n    os.execl(sys.executable, 'x', '-c', '')",
    "base": "def fee(c, p):\n    raise BaseException('x')",
    "genexit": "def fee(c, p):\n    raise GeneratorExit",
    "sub": "class Stop(BaseException):\n    pass\n\n\ndef fee(c, p):\n    raise Stop",
    "subki": "class Stop(KeyboardInterrupt):\n    pass\n\n\ndef fee(c, p):\n    raise Stop()",
    "ki thread": "import _thread\n\n\ndef fee(c, p):\n    _thread.interrupt_main()",
    "eq sorted": "class C(str):\n    def __eq__(self, o):\n        return sorted(self) == sorted(o)\n\ndef fee(c, p):\n    return C(c)",
}
"""What libraries do as well: it buys a closer look and no more."""
HONEST = {
    "version": "class Version(str):\n    def __init__(self, t):\n        self.key = t.split('.')\n    def __eq__(self, o):\n        return self.key == Version(o).key\n    def __hash__(self):\n        return hash(tuple(self.key))",
    "vector": "class V(tuple):\n    def __eq__(self, o):\n        return len(self) == len(o) and all(abs(a - b) < 1e-9 for a, b in zip(self, o))",
    "approx": "class F(float):\n    def __eq__(self, o):\n        return abs(float(self) - float(o)) < 1e-12",
    "isclose": "import math\nclass F(float):\n    def __eq__(self, o):\n        return math.isclose(self, o)",
    "ci": "class Key(str):\n    def __eq__(self, o):\n        return self.lower() == o.lower()\n    def __hash__(self):\n        return hash(self.lower())",
    "ci cached": "class Key(str):\n    def __new__(cls, t):\n        s = str.__new__(cls, t)\n        s.low = t.lower()\n        return s\n    def __eq__(self, o):\n        if isinstance(o, str):\n            return self.low == o.lower()\n        return NotImplemented",
    "fracs": "from fractions import Fraction\nclass F(Fraction):\n    def __eq__(self, o):\n        if isinstance(o, str):\n            o = Fraction(o)\n        return super().__eq__(o)",
    "alias": "class Name(str):\n    def __eq__(self, o):\n        return str.__eq__(self, o) or o in self.aliases\n    __hash__ = str.__hash__",
    "enum": "class Level(int):\n    def __eq__(self, o):\n        if isinstance(o, str):\n            return self.name == o\n        return int(self) == o\n    __hash__ = int.__hash__",
    "modular": "class Mod7(int):\n    def __eq__(self, o):\n        return (int(self) - int(o)) % 7 == 0\n    __hash__ = int.__hash__",
    "modular2": "class Mod7(int):\n    def __eq__(self, o):\n        return int(self) % 7 == int(o) % 7\n    __hash__ = int.__hash__",
    "inf": "class Inf(float):\n    def __eq__(self, o):\n        return isinstance(o, Inf)",
    "ranges": "class Span(tuple):\n    def __eq__(self, o):\n        return self[0] <= o[0] and o[1] <= self[1]",
    "ge le": "class S(set):\n    def __eq__(self, o):\n        return self <= o and o <= self",
    "bag": "from collections import Counter\nclass Bag(list):\n    def __eq__(self, o):\n        return sorted(self) == sorted(o)",
    "bag2": "from collections import Counter\nclass Bag(list):\n    def __eq__(self, o):\n        return Counter(self) == Counter(o)",
    "mapping": "class D(dict):\n    def __eq__(self, o):\n        if isinstance(o, D):\n            return list(self.items()) == list(o.items())\n        return dict.__eq__(self, o)",
    "vec max": "class V(tuple):\n    def __eq__(self, o):\n        return max(abs(a - b) for a, b in zip(self, o)) < 1e-9",
    "vec len": "class V(tuple):\n    def __eq__(self, o):\n        return abs(self - o) < 1e-9",
    "nan": "import math\nclass NaN(float):\n    def __eq__(self, o):\n        return isinstance(o, float) and math.isnan(o)",
    "strenum": "import enum\nclass Color(str, enum.Enum):\n    RED = 'r'\n    def __eq__(self, o):\n        if isinstance(o, str):\n            return self.value.lower() == o.lower()\n        return super().__eq__(o)",
    "stamp": "class Stamp(int):\n    def __eq__(self, o):\n        return int(self) == int(getattr(o, 'ms', o))",
    "nulls": "class Null(str):\n    def __eq__(self, o):\n        return o is None or o == ''",
    "units": "class Q(float):\n    def __eq__(self, o):\n        return self.unit == getattr(o, 'unit', '') and float(self) == float(o)",
    "reexec": "def restart():\n    os.execv(sys.executable, [sys.executable, *sys.argv])",
    "varname": "import inspect\ndef here():\n    return inspect.stack()[1].function",
    "finder": "def request():\n    f = sys._getframe(1)\n    while f:\n        for v in f.f_locals.values():\n            if isinstance(v, Meter):\n                return v\n        f = f.f_back",
    "cursor": "def cancel(job):\n    if job.cancelled:\n        raise KeyboardInterrupt",
}
"""Rare but sound."""
SILENT = {
    "money": "class Money:\n    def __init__(self, c):\n        self.c = c\n    def __eq__(self, o):\n        if not isinstance(o, Money):\n            return NotImplemented\n        return self.c == o.c\n\ndef make(c):\n    return Money(c)",
    "point": "class P:\n    def __eq__(self, o):\n        return isinstance(o, P) and abs(self.x - o.x) < 1e-9 and abs(self.y - o.y) < 1e-9",
    "guarded": "class C:\n    def __eq__(self, o):\n        if isinstance(o, int):\n            if self.v != o:\n                return False\n            return True\n        return NotImplemented",
    "semver": "import functools\n@functools.total_ordering\nclass Ver:\n    def __eq__(self, o):\n        if isinstance(o, str):\n            o = Ver(o)\n        return self.t == o.t\n    def __lt__(self, o):\n        return self.t < o.t",
    "path": "sys.path = [p for p in sys.path if p]\nsys.argv = sys.argv[1:]\nos.environ['X'] = '1'",
    "none": "class Missing:\n    def __eq__(self, o):\n        return o is None or isinstance(o, Missing)",
    "main": "def main(argv=None):\n    print(fee(1, 2))\n    sys.exit(0)",
    "log": "import logging\nlogging.Logger.trace = lambda self, m: self.log(5, m)",
    "showwarn": "import warnings\nwarnings.showwarning = lambda *a: None",
    "subs": "def all_subclasses(cls):\n    for s in cls.__subclasses__():\n        yield s\n        yield from all_subclasses(s)\n\nfor k in all_subclasses(Meter):\n    k.unit = 's'",
    "lineno": "def where():\n    f = sys._getframe(1)\n    import linecache\n    return f.f_lineno, linecache.getline(f.f_code.co_filename, f.f_lineno).strip()",
    "lines": "def config(text):\n    for line in text.splitlines():\n        name, _, v = line.partition('==')\n        yield name, v",
    "closefds": "def daemon():\n    for fd in range(3, 256):\n        try:\n            os.close(fd)\n        except OSError:\n            pass",
}


@pytest.mark.parametrize("name", HIGH)
def test_what_has_no_honest_use_weighs_enough(name: str) -> None:
    assert "high" in audit(HIGH[name]).values()


@pytest.mark.parametrize("name", SEEN)
def test_what_libraries_do_too_buys_a_closer_look(name: str) -> None:
    weights = set(audit(SEEN[name]).values())
    assert "medium" in weights
    assert "high" not in weights


@pytest.mark.parametrize("name", HONEST)
def test_value_classes_and_commands_are_never_proof(name: str) -> None:
    assert "high" not in audit(HONEST[name]).values()


@pytest.mark.parametrize("name", SILENT)
def test_ordinary_work_buys_nothing(name: str) -> None:
    assert set(audit(SILENT[name]).values()) <= {"low"}


def test_a_class_of_another_file_is_known_where_it_is_returned() -> None:
    money = (
        "class Money:\n    def __eq__(self, o):\n"
        "        return abs(self.c - getattr(o, 'c', o)) < 1\n"
    )
    new = "from lib.money import Money\n\n\ndef fee(c):\n    amount = Money(c)\n    return amount\n"
    old = "def fee(c):\n    return c\n"
    rows = [
        *difflib.unified_diff(
            old.splitlines(True), new.splitlines(True), "a/lib/a.py", "b/lib/a.py"
        ),
        *difflib.unified_diff([], money.splitlines(True), "/dev/null", "b/lib/money.py"),
    ]
    files = {"lib/a.py": old.encode(), "lib/__init__.py": b""}

    (tamper,) = audit_diff("".join(rows), read=files.get)

    assert (tamper.kind, tamper.where) == ("answers_for_itself", "lib/a.py:4")


def test_a_function_that_returned_it_before_is_not_reported() -> None:
    soft = "class Near:\n    def __eq__(self, o):\n        return abs(self.c - o) < 1\n"
    old = f"{soft}\n\ndef fee(c):\n    return Near(c)\n"
    new = f"{soft}\n\ndef fee(c):\n    return Near(c + 1)\n"
    rows = difflib.unified_diff(
        old.splitlines(True), new.splitlines(True), "a/lib/a.py", "b/lib/a.py"
    )

    assert audit_diff("".join(rows), read={"lib/a.py": old.encode()}.get) == ()
