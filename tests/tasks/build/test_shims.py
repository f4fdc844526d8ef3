"""The layer that lets old code run on a newer Python, loaded as a Python loads it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from regreen.grading.place import ENV, TESTBED
from regreen.sandbox.base import BoxSpec, Mount
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.interpreters import discover, find_interpreter
from regreen.tasks.build.shims import Adaptation, shim_layer


@pytest.fixture(scope="module")
def adaptation(tmp_path_factory: pytest.TempPathFactory) -> Adaptation:
    store = LayerStore(tmp_path_factory.mktemp("shims") / "store")
    return Adaptation(shim_layer(find_interpreter(), store))


@pytest.mark.parametrize(
    "code",
    [
        "import collections; assert collections.Mapping is collections.abc.Mapping",
        "from collections import Iterable; assert isinstance([], Iterable)",
        "import inspect; assert inspect.getargspec(lambda a, *b: 0).varargs == 'b'",
        "import inspect; assert inspect.formatargspec(['a', 'b'], defaults=(1,)) == '(a, b=1)'",
        "from fractions import gcd; assert gcd(4, 6) == 2",
        "import time; assert time.clock() <= time.clock()",
        "import base64; assert base64.decodestring(base64.encodestring(b'a')) == b'a'",
        "import cgi; assert cgi.escape('<') == '&lt;'",
        "import threading; assert not threading.Thread().isAlive()",
        "import unittest; unittest.TestCase().assertEquals(1, 1)",
        "import asyncio; assert asyncio.coroutine",
        "import importlib.util; assert importlib.util.find_spec('no_such_module') is None",
    ],
)
def test_what_left_is_back(adaptation, code):
    (site,) = adaptation.shim.path.glob("lib/*/site-packages")
    begin = f"import sys; sys.path.insert(0, {str(site)!r}); import regreen_stdlib_shim; "
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-I", "-S", "-c", begin + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("python", [find_interpreter(), *discover()], ids=lambda one: one.version)
def test_modules_that_share_a_loader_are_left_alone(python, tmp_path):
    """On old Pythons ``time`` is not in memory yet when the layer is loaded."""
    if python.numbers < (3, 4):
        pytest.skip("nothing had left its standard library yet")
    (site,) = shim_layer(python, LayerStore(tmp_path)).path.glob("lib/*/site-packages")
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); sys.modules.pop('time', None); "
        "import regreen_stdlib_shim, atexit, array, time, collections; "
        "assert time.clock() <= time.perf_counter(); assert collections.Mapping; "
        "assert not hasattr(atexit, 'clock')"
    )
    argv = [str(python.path), "-W", "ignore", "-I", "-S", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_same_python_gives_the_same_layer(adaptation, tmp_path):
    assert shim_layer(find_interpreter(), LayerStore(tmp_path)).digest == adaptation.shim.digest


def test_a_python_that_lost_nothing_gets_neutral_settings_alone(tmp_path):
    old = replace(find_interpreter(), version="2.7.18")
    layer = shim_layer(old, LayerStore(tmp_path))
    assert [one.name for one in layer.path.iterdir()] == ["neutral.ini"]


def test_it_lies_over_the_environment_and_nothing_else(adaptation):
    tree, env = Path("/tree"), Path("/env")
    mounts = (Mount(target=TESTBED, lowers=(tree,)), Mount(target=ENV, lowers=(env,)))
    made = adaptation.over(BoxSpec(mounts=mounts, env={"A": "1"}))
    assert [one.lowers for one in made.mounts] == [(tree,), (adaptation.shim.path, env)]
    assert made.env["A"] == "1"
    assert f"{ENV}/neutral.ini" in made.env["PYTEST_ADDOPTS"]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ("[pytest]\naddopts = -q -m 'not stress' --cov=lib -k fast\n",
         ("-m", "not stress", "-k", "fast")),
        ("[pytest]\naddopts = --ignore=tests/slow --deselect tests/a.py::b --strict\n",
         ("--ignore=tests/slow", "--deselect", "tests/a.py::b")),
        ("[pytest]\naddopts = -m 'never closed\n", ()),
        ("[pytest]\n", ()),
    ],
)  # fmt: skip
def test_tests_that_the_settings_leave_out_stay_out(adaptation, tmp_path, settings, kept):
    (tmp_path / "pytest.ini").write_text(settings)
    assert Adaptation.of(adaptation.shim, tmp_path).options == (*adaptation.options, *kept)
