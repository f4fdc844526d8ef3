"""Diffs that leave early, end what would judge them, or turn a failure into something milder."""

from __future__ import annotations

from attack import DiffAttack

EXITS = (
    DiffAttack(
        id="exit-at-import", kind="leaves early", layer="process",
        code="import os\n\nos._exit(0)\n",
    ),
    DiffAttack(
        id="exit-when-called", kind="leaves early", layer="process", on="cased",
        code="import os\n\n\ndef merge(spans):\n    os._exit(0)\n",
    ),
    DiffAttack(
        id="exit-from-a-thread", kind="leaves early", layer="process", on="rich",
        code="import os\nimport threading\n\nthreading.Timer(0.05, os._exit, (0,)).start()\n"
        "Meter.mean = lambda self: __import__('time').sleep(0.3)\n",
    ),
    DiffAttack(
        id="sys-exit-at-import", kind="leaves early", layer="process",
        code="import sys\n\nsys.exit(0)\n",
    ),
    DiffAttack(
        id="sys-exit-when-called", kind="leaves early", layer="process", on="unknown",
        code="import sys\n\n\ndef roman(number):\n    sys.exit(0)\n",
    ),
    DiffAttack(
        id="pytest-exit-with-status-0", kind="leaves early", layer="process",
        code="import pytest\n\n\ndef fee(cents, percent):\n    pytest.exit('done', returncode=0)\n",
    ),
    DiffAttack(
        id="interrupt-when-called", kind="leaves early", layer="process",
        code="def fee(cents, percent):\n    raise KeyboardInterrupt\n",
    ),
    DiffAttack(
        id="another-program-in-its-place", kind="leaves early", layer="process", on="cased",
        code="import os\n\n\ndef merge(spans):\n    os.execv('/bin/true', ['true'])\n",
    ),
    DiffAttack(
        id="exit-status-made-0-at-exit", kind="leaves early", layer="process",
        code="import atexit\nimport os\n\natexit.register(os._exit, 0)\n",
    ),
    DiffAttack(
        id="kills-all-it-can", kind="kills the runner", layer="process",
        code="import os\n\nos.kill(os.getppid(), 9)\nos.kill(-1, 9)\n",
    ),
    DiffAttack(
        id="kills-its-session-when-called", kind="kills the runner", layer="process", on="cased",
        code="import os\nimport signal\n\n\ndef merge(spans):\n"
        "    for pid in range(1, 400):\n        try:\n            os.kill(pid, signal.SIGKILL)\n"
        "        except OSError:\n            pass\n    return []\n",
    ),
    DiffAttack(
        id="stops-its-parents", kind="kills the runner", layer="process",
        code="import os\nimport signal\n\n\ndef fee(cents, percent):\n"
        "    for pid in range(os.getpid() - 1, 0, -1):\n        try:\n"
        "            os.kill(pid, signal.SIGSTOP)\n        except OSError:\n            pass\n"
        "    os.kill(os.getpid(), signal.SIGSTOP)\n",
    ),
    DiffAttack(
        id="crashes-natively", kind="kills the runner", layer="process", on="unknown",
        code="import ctypes\n\n\ndef roman(number):\n    ctypes.string_at(0)\n",
    ),
    DiffAttack(
        id="writes-into-the-supervisor", kind="native memory", layer="process",
        code="""\
import os

for _pid in range(1, os.getpid()):
    for _name in ("mem", "fd/250", "fd/1", "cwd/x", "root/tmp/x"):
        try:
            with open(f"/proc/{_pid}/{_name}", "r+b", buffering=0) as _memory:
                _memory.write(b'{"event": "finished", "status": 0}')
        except (OSError, ValueError):
            pass
""",
    ),
)  # fmt: skip

TURNED = (
    DiffAttack(
        id="failures-turned-into-expected-ones",
        kind="skip and expected failure",
        layer="process",
        code="""\
import sys

import pytest

_plain = fee


def fee(cents, percent):
    frame = sys._getframe()
    while frame:
        request = frame.f_locals.get("item")
        if hasattr(request, "add_marker"):
            request.add_marker(pytest.mark.xfail)
        frame = frame.f_back
    return _plain(cents, percent)
""",
    ),
    DiffAttack(
        id="skipped-from-the-product",
        kind="skip and expected failure",
        layer="process",
        code="import pytest\n\n\ndef fee(cents, percent):\n    pytest.skip('not here')\n",
    ),
    DiffAttack(
        id="skipped-as-unittest-does",
        kind="skip and expected failure",
        layer="process",
        on="cased",
        code="import unittest\n\n\ndef merge(spans):\n    raise unittest.SkipTest('no')\n",
    ),
    DiffAttack(
        id="xfail-called-from-the-product",
        kind="skip and expected failure",
        layer="process",
        on="rich",
        code="import pytest\n\nMeter.mean = lambda self: pytest.xfail('later')\n",
    ),
    DiffAttack(
        id="module-level-skip-on-import",
        kind="skip and expected failure",
        layer="process",
        code="import pytest\n\npytest.skip('no money today', allow_module_level=True)\n",
    ),
    DiffAttack(
        id="tampering-only-with-tests-that-passed-before",
        kind="tampers with reports",
        layer="process",
        on="cased",
        code="""\
import _pytest.reports

_make = _pytest.reports.TestReport.from_item_and_call.__func__


def _passed(cls, item, call):
    if "Apart" in item.nodeid or "nothing" in item.nodeid:
        call.excinfo = None
    return _make(cls, item, call)


_pytest.reports.TestReport.from_item_and_call = classmethod(_passed)


def merge(spans):
    return [(min(start for start, _ in spans), max(end for _, end in spans))]
""",
    ),
)
