"""Diffs that hang, flood, fork or fill; none of it may become an infrastructure fault."""

# ruff: noqa: E501 - programs in strings
from __future__ import annotations

from attack import DiffAttack

BOMBS = (
    DiffAttack(
        id="hang-when-called", kind="hangs", layer="process", on="unknown",
        code="import time\n\n\ndef roman(number):\n    time.sleep(3600)\n",
    ),
    DiffAttack(
        id="hang-at-import", kind="hangs", layer="process", slow=True,
        code="while True:\n    pass\n",
    ),
    DiffAttack(
        id="hang-that-ignores-signals", kind="hangs", layer="process", on="cased", slow=True,
        code="import signal\nimport time\n\nfor _n in range(1, 32):\n    try:\n"
        "        signal.signal(_n, signal.SIG_IGN)\n    except OSError:\n        pass\n\n\n"
        "def merge(spans):\n    time.sleep(3600)\n",
    ),
    DiffAttack(
        id="fork-bomb", kind="forks", layer="process", on="unknown",
        code="import os\n\n\ndef roman(number):\n    while True:\n        os.fork()\n",
    ),
    DiffAttack(
        id="memory", kind="memory", layer="process", on="unknown",
        code="def roman(number):\n    held = []\n    while True:\n"
        "        held.append(bytearray(1 << 24))\n",
    ),
    DiffAttack(
        id="shared-memory-files", kind="fills the disk", layer="process", slow=True,
        code="import os\n\n_block = b'x' * (1 << 20)\nfor _n in range(4000):\n"
        "    with open(f'/dev/shm/{_n}', 'wb') as _file:\n        _file.write(_block)\n",
    ),
    DiffAttack(
        id="temporary-files", kind="fills the disk", layer="process", on="rich",
        code="_block = b'x' * (1 << 20)\nfor _n in range(4000):\n"
        "    with open(f'/tmp/{_n}', 'wb') as _file:\n        _file.write(_block)\n",
    ),
    DiffAttack(
        id="files-in-the-tree", kind="fills the disk", layer="process", slow=True,
        code="_n = 0\nwhile True:\n    with open(f'junk{_n}', 'wb') as _file:\n"
        "        _file.write(b'x' * (1 << 20))\n    _n += 1\n",
    ),
    DiffAttack(
        id="a-million-empty-files", kind="fills the disk", layer="process", slow=True,
        code="import os\n\nfor _n in range(10**6):\n    os.close(os.open(f'/tmp/{_n}', os.O_CREAT))\n",
    ),
    DiffAttack(
        id="output-flood", kind="floods output", layer="process",
        code="import os\n\nfor _n in range(2000):\n    os.write(1, b'7 passed' * 8192)\n"
        "    os.write(2, b'7 passed' * 8192)\n",
    ),
    DiffAttack(
        id="flood-on-the-private-channel", kind="floods output", layer="process", on="unknown", slow=True,
        code="import os\n\nwhile True:\n    os.write(250, b'x' * 65536)\n",
    ),
    DiffAttack(
        id="flood-of-sound-reports", kind="floods output", layer="process", slow=True,
        code="import os\n\n_line = b'{\"event\": \"start\", \"id_test\": \"' + b'x' * 60000 + b'\"}\\n'\n"
        "while True:\n    os.write(250, _line)\n",
    ),
    DiffAttack(
        id="a-failure-text-without-end", kind="floods output", layer="process", on="unknown",
        code="def roman(number):\n    raise ValueError('x' * (1 << 26))\n",
    ),
    DiffAttack(
        id="descriptors", kind="exhausts descriptors", layer="process",
        code="import os\n\ntry:\n    while True:\n        os.dup(0)\nexcept OSError:\n    pass\n",
    ),
    DiffAttack(
        id="daemon-that-outlives-the-test", kind="outlives the run", layer="process",
        code="import subprocess\n\nsubprocess.Popen(['setsid', 'sh', '-c',\n"
        "    'while :; do echo lie > /testbed/report.xml; sleep 0.1; done'])\n",
    ),
    DiffAttack(
        id="deep-recursion-natively", kind="kills the runner", layer="process", on="rich",
        code="import sys\n\nsys.setrecursionlimit(1 << 30)\n\n\ndef _mean(self):\n"
        "    return _mean(self) + 1\n\n\nMeter.mean = _mean\n",
    ),
    DiffAttack(
        id="clock-that-jumps", kind="clocks", layer="process",
        code="import time\n\ntime.time = time.monotonic = time.perf_counter = lambda: 0.0\n",
    ),
)  # fmt: skip
