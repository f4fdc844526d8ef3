"""Try rewrites of single lines, one at a time, until no check fails or the time is over.

Reads ``{"checks": request of check.py, "rewrites": [[path, line, old, new], ...], "seconds": s}``
from standard input. Each try is a fork, so that the repository is imported anew and nothing else
is. Every file is as it was when this ends; the best rewrite is printed.
"""

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

ALL = 255


def failing(request: dict[str, Any], seconds: float) -> int:
    """How many checks fail now; one that hangs or crashes counts as all."""
    check = importlib.import_module("regreen-check")
    pid = os.fork()
    if pid == 0:
        code = ALL
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(null, descriptor)
            code = check.run(request)
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else ALL


def changed(before: bytes, name: str, line: int, old: str, new: str) -> bytes | None:
    """The file with one line replaced; None when it has moved, or would be no Python."""
    lines = before.decode("utf-8", "surrogateescape").split("\n")
    if lines[line - 1] != old:
        return None
    lines[line - 1] = new
    after = "\n".join(lines).encode("utf-8", "surrogateescape")
    try:
        compile(after, name, "exec")
    except (SyntaxError, ValueError):
        return None
    return after


def main() -> None:
    """Try, restore, remember the best."""
    sys.path.insert(0, str(Path(__file__).parent))
    request = json.load(sys.stdin)
    deadline = time.monotonic() + request["seconds"]
    best, chosen, tried = failing(request["checks"], request["seconds"]), None, 0
    for index, (name, line, old, new) in enumerate(request["rewrites"]):
        left = deadline - time.monotonic()
        if best == 0 or left <= 0:
            break
        path = Path(name)
        before = path.read_bytes()
        after = changed(before, name, line, old, new)
        if after is None:
            continue
        try:
            path.write_bytes(after)
            count = failing(request["checks"], min(5.0, left))
        finally:
            path.write_bytes(before)
        tried += 1
        if count < best:
            best, chosen = count, index
    sys.stdout.write(json.dumps({"tried": tried, "failing": best, "chosen": chosen}) + "\n")


if __name__ == "__main__":
    main()
