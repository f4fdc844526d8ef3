"""One example per fault class: the text before, and texts that must be among those after."""

import textwrap

import pytest

from regreen.tasks.inject.operators import OPERATORS, apply, enumerate_sites

EXAMPLES = {
    "invert_condition": (
        "async def f(x):\n    if x == 1 and x:\n        return await g(x)\n"
        "    return [i for i in x if i]\n",
        ["if not (x == 1 and x):", "for i in x if not i]"],
    ),
    "shuffle_branches": (
        "def f(x):\n    if x:\n        a = 1\n    else:\n        a = 2\n    return a if x else 0\n",
        ["    if x:\n        a = 2\n    else:\n        a = 1\n", "return 0 if x else a"],
    ),
    "break_continue": (
        "def f(x):\n    for i in x:\n        if i:\n            break\n        g(i)\n",
        ["        if i:\n            continue\n"],
    ),
    "drop_clause": (
        "def f(x):\n    if x is not None and x.y:\n        return 1\n    return 2\n",
        ["if x.y:", "if x is not None:"],
    ),
    "none_check": (
        "def f(x, y):\n    if x is None:\n        x = 1\n    if y:\n        x = 2\n    return x\n",
        ["if not x:", "if y is not None:"],
    ),
    "wrong_exception": (
        "class AError(Exception): pass\nclass BError(Exception): pass\n"
        "def f(x):\n    if x:\n        raise ValueError('no')\n    raise AError\n",
        ["raise TypeError('no')", "raise BError"],
    ),
    "wrong_handler": (
        "def f(x):\n    try:\n        return x[0]\n    except KeyError:\n        return 1\n"
        "    except (IndexError, TypeError):\n        return 2\n",
        ["except IndexError:\n        return 1", "except TypeError:\n        return 2"],
    ),
    "swallow_exception": (
        "def f(x):\n    try:\n        g(x)\n    except KeyError:\n        raise ValueError(x)\n",
        ["except KeyError:\n        pass\n"],
    ),
    "remove_loop": (
        "def f(x):\n    y = []\n    for i in x:\n        y.append(i)\n    return y\n",
        ["    y = []\n    return y\n"],
    ),
    "remove_condition": (
        "def f(x):\n    y = 1\n    if x:\n        # why\n        y = 2\n    return y\n",
        ["    y = 1\n    return y\n", "    y = 1\n    y = 2\n    return y\n"],
    ),
    "remove_early_return": (
        "async def f(x):\n    # nothing to do\n    if not x:\n        return None\n"
        "    return await x()\n",
        ["async def f(x):\n    return await x()\n"],
    ),
    "drop_check": (
        "def f(x):\n    if x < 0:\n        raise ValueError\n    return x\n",
        ["def f(x):\n    return x\n"],
    ),
    "remove_wrapper": (
        "def f(x):\n    with g():\n        t = '''a\n  b'''\n    try:\n        h(t)\n"
        "    except ValueError:\n        return 1\n",
        ["def f(x):\n    t = '''a\n  b'''\n    try:", "b'''\n    h(t)\n"],
    ),
    "empty_body": (
        'def f(x):\n    """Doc."""\n    y = x\n    return y\n',
        ['"""Doc."""\n    raise NotImplementedError\n'],
    ),
    "stale_cache": (
        "def f(k, v):\n    d = {}\n    d[k] = v\n    d.pop(k)\n    return d\n",
        ["d.setdefault(k, v)", "d[k] = v\n    return d"],
    ),
    "remove_assignment": (
        "def f(x):\n    y = 1\n    y = y + x\n    return y\n",
        ["    y = 1\n    return y\n"],
    ),
    "drop_super_call": (
        "class A(B):\n    def __init__(self):\n        super().__init__()\n        self.x = 1\n",
        ["def __init__(self):\n        self.x = 1"],
    ),
    "remove_base": (
        "class A(B, C):\n    def f(self):\n        return 1\nclass D(E):\n"
        "    def g(self): return 1\n",
        ["class A(C):", "class A(B):", "class D:"],
    ),
    "remove_method": (
        "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n",
        ["class A:\n    def f(self):\n        return 1\n"],
    ),
    "remove_call": (
        "async def f(x):\n    await x.start()\n    x.go()\n    return x\n",
        ["async def f(x):\n    x.go()", "await x.start()\n    return x"],
    ),
    "reorder_statements": (
        "def f(x):\n    y = 0\n    x.append(y)\n    x.sort()\n    return x\n",
        ["    x.sort()\n    x.append(y)\n"],
    ),
    "wrong_indent": (
        "def f(x):\n    n = 0\n    for i in x:\n        a = i\n        n += a\n    return n\n",
        ["        n += a\n        return n\n", "        a = i\n    n += a\n"],
    ),
    "drop_await": (
        "async def f(x):\n    async with x as y:\n        return await y.read()\n",
        ["return y.read()", "    with x as y:"],
    ),
    "drop_decorator": (
        "class A:\n    @property\n    def f(self):\n        return 1\n",
        ["class A:\n    def f(self):"],
    ),
    "wrong_return": (
        "def f(x):\n    y = g(x)\n    return y\ndef h(a, b):\n    if a:\n"
        "        return a, b\n    return a == b\n",
        ["return x\n", "return b, a", "return a != b", "return None"],
    ),
    "wrong_yield": (
        "def f(x):\n    yield from x\n    yield x, 1\n",
        ["yield x\n", "yield 1, x"],
    ),
    "wrong_regex": (
        "import re\ndef f(x):\n    return re.match(r'^a+$', x) or re.search(r'^b', x)\n",
        ["re.search(r'^a+$'", "r'^a+'", "r'^a*$'", "re.search(r'b'"],
    ),
    "wrong_string_method": (
        "def f(x):\n    return x.strip().startswith('a') or x.split(',', 1)\n",
        ["x.rstrip()", "endswith('a')", "rsplit(',', 1)"],
    ),
    "wrong_format": (
        "def f(x, y):\n    return f'{x!r}: {y:.2f}', '%s' % x\n",
        ["{x}: ", "{y:.1f}", "{y:.2f}: {x!r}", "'%r' % x"],
    ),
    "wrong_text": (
        "def f(x):\n    return ', '.join(x['left']) + x['right']\n",
        ["','.join", "x['right']) +", "+ x['left']"],
    ),
    "off_by_one": (
        "def f(x, n):\n    if n < 3:\n        return x[1:], x[0]\n"
        "    return list(range(n)), x[n + 1]\n",
        ["n <= 3", "x[2:]", "x[1:], x[1]", "range(n - 1)", "range(1, n)", "x[n]"],
    ),
    "change_comparison": (
        "def f(x, y):\n    z = x in y\n    return z or x < y\n",
        ["x not in y", "x > y"],
    ),
    "change_arithmetic": (
        "async def f(x, y):\n    x += 1\n    return x * y\n",
        ["x -= 1", "x + y", "x // y"],
    ),
    "change_bitwise": ("def f(x, y):\n    x <<= 1\n    return x & y\n", ["x >>= 1", "x | y"]),
    "change_boolean": ("def f(x, y):\n    return x and y\n", ["x or y"]),
    "swap_operands": (
        "def f(x, y):\n    return x - y, 'a' + x, x * 2 - y - 1\n",
        ["y - x", "x + 'a'", "1 - (x * 2 - y)"],
    ),
    "break_chain": (
        "def f(a, b, c):\n    return a + b + c, a.strip().lower(), a < b < c\n",
        ["a + c", "a.strip(),", "a.lower()", ", a < b\n", ", b < c\n"],
    ),
    "change_constant": (
        "def f(x):\n    y = 10\n    return y * 2.5 if x == 0 else True\n",
        ["y = 9", "5.0", "x == 1", "else False"],
    ),
    "change_default": (
        "def f(x, y=1, *, z=True, sep=', ', n=None):\n    return x\n",
        ["y=2", "z=False", "sep=''"],
    ),
    "forget_copy": (
        "import copy\nclass A:\n    def f(self, x):\n        a = list(x)\n        a.append(1)\n"
        "        self.b = copy.deepcopy(x)\n        return x[:]\n",
        ["a = x\n", "copy.copy(x)", "self.b = x\n", "return x\n"],
    ),
    "wrong_key": (
        "def f(a, b, d):\n    key = (a, b, 1)\n    d[a] = d[b]\n    return d[key]\n",
        ["key = (b, 1)", "key = (a, b)", "d[b] = d[b]"],
    ),
    "lost_update": (
        "def f(x, d):\n    x += 1\n    d.setdefault(x, []).append(1)\n",
        ["x = 1", "d.get(x, [])"],
    ),
    "drop_argument": (
        "def g(a, b=1): return a\ndef f(x, *args, **kw):\n    g(x, 2)\n    h(x, k=3, *args, **kw)\n"
        "    return x.get(1, 2)\n",
        ["g(x)", "h(x, *args, **kw)", "h(x, k=3, **kw)", "h(x, k=3, *args)", "x.get(1)"],
    ),
    "swap_arguments": (
        "async def f(x, y):\n    return await g(x, y + 1, k=2)\n",
        ["g(y + 1, x, k=2)"],
    ),
    "wrong_function": (
        "import math\ndef f(x):\n    x.append(min(x))\n    return math.ceil(x.pop())\n",
        ["x.extend(", "max(x)", "math.floor", "x.pop(0)"],
    ),
    "drop_conversion": (
        "def f(x):\n    return sorted(x, key=len), int(x + 1) * 2, tuple(i for i in x)\n",
        ["return x,", "(x + 1) * 2", "(i for i in x)"],
    ),
    "wrong_option": (
        "def f(x):\n    return sorted(x, reverse=True), g(n=3)\n",
        ["reverse=False", "n=2"],
    ),
    "wrong_variable": (
        "async def f(left, right):\n    a = await g(left)\n    b = await g(right)\n"
        "    return h(a)\n",
        ["g(right)\n    b", "b = await g(left)", "h(b)"],
    ),
    "wrong_attribute": (
        "class A:\n    def __init__(self, a, b):\n        self.a = a\n        self.b = b\n"
        "    def f(self):\n        return self.a + 1\n    def g(self):\n"
        "        return self.b + 2\n",
        ["self.b + 1", "self.a + 2"],
    ),
    "swap_targets": (
        "def f(x):\n    a, b = x\n    for k, v in x:\n        a += k\n    return b\n",
        ["b, a = x", "for v, k in x"],
    ),
}


def test_every_class_has_an_example():
    assert list(EXAMPLES) == list(OPERATORS)


@pytest.mark.parametrize("operator", OPERATORS)
def test_example(operator):
    before, wanted = EXAMPLES[operator]
    after = [apply(before, [s]) for s in enumerate_sites("a.py", before, operators=[operator])]
    for text in after:
        compile(text, "a.py", "exec")
    missing = [part for part in wanted if not any(part in text for text in after)]
    assert not missing, "\n".join(after)


QUIET = """\
import logging
import sys
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    x = 1 + 2

log = logging.getLogger(__name__)
__all__ = ["a", "b"]


@overload
def f(x: int = 3) -> int: ...


class A:
    __slots__ = ("a", "b")

    def __repr__(self):
        return "A" + str(1 + 2)

    def g(self):
        raise NotImplementedError("a" + "b")


def h(x, y):
    log.info("got %s", x + y)
    assert x < y, x + 1
    if sys.version_info >= (3, 12):
        pass
    if x:  # pragma: no cover
        y = x + 1
    z: dict[str, "A" | int]


if __name__ == "__main__":
    print(h(1, 2) + 3)
"""


def test_places_left_alone():
    sites = enumerate_sites("a.py", QUIET)
    assert not [(s.operator, s.line, s.note) for s in sites if s.operator != "empty_body"]


def test_reach_of_signature_faults_lies_in_the_body():
    source = textwrap.dedent(
        '''\
        class A(B):
            @property
            def f(self, n=1):
                """Doc."""

                return n

            class C:
                async def g(self):
                    def h(x):
                        if x: return x
                        return 2
                    return h(1)
        '''
    )
    sites = enumerate_sites("a.py", source)
    by_operator = {s.operator: s for s in sites}
    assert by_operator["change_default"].reach == (6,)
    assert by_operator["drop_decorator"].reach == (6,)
    assert by_operator["remove_base"].reach == (6, 10, 11)
    assert by_operator["change_default"].import_time
    assert by_operator["change_default"].function == "A.f"
    assert by_operator["invert_condition"].function == "A.C.g.<locals>.h"
    assert by_operator["invert_condition"].reach == (11,)
    assert not by_operator["invert_condition"].import_time


def test_an_anchor_the_function_implies_is_not_dropped():
    source = "import re\ndef f(x):\n    return re.match(r'^a', x), re.fullmatch(r'b$', x)\n"
    notes = [s.note for s in enumerate_sites("a.py", source, operators=["wrong_regex"])]
    assert notes == ["match became search", "fullmatch became match"]
