"""Old code on a newer Python: what left the standard library comes back, for one environment.

Each name is given back as the module that had it is imported, so that an interpreter's start costs
nothing more. The layer lies over an environment, in the agent's box as in the judge's.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from regreen.grading.place import ENV
from regreen.sandbox.base import BoxSpec
from regreen.sandbox.layers import Layer, LayerStore
from regreen.tasks.build.interpreters import Interpreter
from regreen.tasks.repo.discovery import pytest_options
from regreen.tasks.repo.project import Project

__all__ = ["Adaptation", "shim_layer"]

_NEUTRAL = ("-c", f"{ENV}/neutral.ini", "--rootdir=/testbed")
_CHOICE = re.compile(r"-[mk]|--(?:ignore|ignore-glob|deselect)")

_OLDEST = (3, 4)
"""Before it no finder knows specs, and nothing had left the standard library yet."""

_MODULE = '''\
"""Names that left the standard library, put back when their module is imported."""
import sys
import time  # built in: it costs nothing, and its loader is not its own to be changed


def _collections(module):
    import collections.abc
    for name in collections.abc.__all__:
        if not hasattr(module, name):
            setattr(module, name, getattr(collections.abc, name))


def _inspect(module):
    from collections import namedtuple
    if not hasattr(module, "getargspec"):
        spec = namedtuple("ArgSpec", "args varargs keywords defaults")
        def getargspec(function):
            if not (module.isfunction(function) or module.ismethod(function)):
                raise TypeError("{!r} is not a Python function".format(function))
            full = module.getfullargspec(function)
            if full.kwonlyargs or full.annotations:
                raise ValueError("Function has keyword-only parameters or annotations")
            return spec(full.args, full.varargs, full.varkw, full.defaults)
        module.ArgSpec, module.getargspec = spec, getargspec
    if not hasattr(module, "formatargspec"):
        def formatargspec(args, varargs=None, varkw=None, defaults=None, *rest, **more):
            shown = [str(one) for one in args]
            for place, value in enumerate(reversed(defaults or ()), 1):
                shown[-place] += "=" + repr(value)
            shown += ["*" + varargs] if varargs else []
            shown += ["**" + varkw] if varkw else []
            return "(" + ", ".join(shown) + ")"
        module.formatargspec = formatargspec


def _fractions(module):
    import math
    if not hasattr(module, "gcd"):
        module.gcd = math.gcd


def _time(module):
    if not hasattr(module, "clock"):
        module.clock = module.perf_counter


def _asyncio(module):
    import types
    if not hasattr(module, "coroutine"):
        module.coroutine = types.coroutine


def _base64(module):
    for old, new in (("encodestring", "encodebytes"), ("decodestring", "decodebytes")):
        if not hasattr(module, old):
            setattr(module, old, getattr(module, new))


def _cgi(module):
    import html
    if not hasattr(module, "escape"):
        module.escape = lambda text, quote=None: html.escape(text, bool(quote))


def _threading(module):
    if not hasattr(module.Thread, "isAlive"):
        module.Thread.isAlive = module.Thread.is_alive


def _unittest(module):
    case = module.TestCase
    for old, new in (
        ("assertEquals", "assertEqual"), ("assertNotEquals", "assertNotEqual"),
        ("assert_", "assertTrue"), ("failUnless", "assertTrue"), ("failIf", "assertFalse"),
        ("failUnlessEqual", "assertEqual"), ("failUnlessRaises", "assertRaises"),
        ("assertAlmostEquals", "assertAlmostEqual"), ("assertRegexpMatches", "assertRegex"),
        ("assertNotRegexpMatches", "assertNotRegex"), ("assertRaisesRegexp", "assertRaisesRegex"),
        ("assertItemsEqual", "assertCountEqual"),
    ):
        if not hasattr(case, old):
            setattr(case, old, getattr(case, new))


_REPAIRS = {
    "collections": _collections, "inspect": _inspect, "fractions": _fractions, "time": _time,
    "asyncio": _asyncio, "base64": _base64, "cgi": _cgi, "threading": _threading,
    "unittest": _unittest,
}


class _Repairer:
    """Finds nothing itself: it has the other finders find, and adds to what they load."""

    def find_spec(self, name, path=None, target=None):
        if name not in _REPAIRS:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and isinstance(spec.loader, type):
                return spec  # one loader for many modules
            if spec is not None and spec.loader is not None:
                load = spec.loader.exec_module
                def exec_module(module):
                    load(module)
                    _REPAIRS[name](module)
                try:
                    spec.loader.exec_module = exec_module
                except AttributeError:
                    pass
                return spec
        return None


for _name, _repair in _REPAIRS.items():
    if _name in sys.modules:
        _repair(sys.modules[_name])
sys.meta_path.insert(0, _Repairer())
'''


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What is put over an environment for code older than its Python."""

    shim: Layer
    """Lies over /opt/env."""
    options: tuple[str, ...] = _NEUTRAL
    """Options of pytest that set the project's own settings aside."""

    @classmethod
    def of(cls, shim: Layer, tree: Path) -> Adaptation:
        """For a tree: which tests its settings leave out stays, for these may run for hours."""
        return cls(shim, (*_NEUTRAL, *_choice(Project(tree))))

    def over(self, spec: BoxSpec) -> BoxSpec:
        """A box's description with the adaptation in it."""
        mounts = tuple(
            replace(one, lowers=(self.shim.path, *one.lowers)) if one.target == ENV else one
            for one in spec.mounts
        )
        return replace(
            spec, mounts=mounts, env={**spec.env, "PYTEST_ADDOPTS": shlex.join(self.options)}
        )


def _choice(project: Project) -> tuple[str, ...]:
    """The words of a project's ``addopts`` that choose tests."""
    added = pytest_options(project)[0].get("addopts", "")
    try:
        words = added if isinstance(added, list) else shlex.split(str(added))
    except ValueError:
        return ()
    found: list[str] = []
    rest = iter(map(str, words))
    for word in rest:
        name, equals, _ = word.partition("=")
        if _CHOICE.fullmatch(name):
            found += [word] if equals else [word, next(rest, "")]
    return tuple(found)


def shim_layer(interpreter: Interpreter, store: LayerStore) -> Layer:
    """The layer that lies over /opt/env for old code.

    Args:
        interpreter: of the environment.
        store: takes the layer.
    """
    major, minor = interpreter.version.split(".")[:2]
    staged = store.stage()
    try:
        if interpreter.numbers >= _OLDEST:
            site = staged / "lib" / f"python{major}.{minor}" / "site-packages"
            site.mkdir(parents=True)
            (site / "regreen_stdlib_shim.py").write_text(_MODULE)
            (site / "regreen_stdlib_shim.pth").write_text("import regreen_stdlib_shim\n")
        (staged / "neutral.ini").write_text("[pytest]\n")
        return store.commit(staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
