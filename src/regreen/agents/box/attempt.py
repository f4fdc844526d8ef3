"""Try rewrites of single lines, one at a time, until fewer checks fail.

Reads ``{"check": script, "checks": text, "rewrites": [[path, line, old, new], ...], "seconds": s}``
from standard input. Every file is as it was when this ends; the best rewrite is printed.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def failing(request: dict[str, Any], seconds: float) -> int:
    """How many checks fail now; a run that hangs counts as all."""
    try:
        return subprocess.run(
            [sys.executable, request["check"]],
            input=request["checks"],
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return 255


def main() -> None:
    """Try, restore, remember the best."""
    request = json.load(sys.stdin)
    deadline = time.monotonic() + request["seconds"]
    best, chosen, tried = failing(request, request["seconds"]), None, 0
    for index, (name, line, old, new) in enumerate(request["rewrites"]):
        left = deadline - time.monotonic()
        if best == 0 or left <= 0:
            break
        path = Path(name)
        before = path.read_bytes()
        lines = before.decode("utf-8", "surrogateescape").split("\n")
        if lines[line - 1] != old:
            continue
        lines[line - 1] = new
        changed = "\n".join(lines).encode("utf-8", "surrogateescape")
        try:
            compile(changed, name, "exec")
        except (SyntaxError, ValueError):
            continue
        try:
            path.write_bytes(changed)
            count = failing(request, min(10.0, left))
        finally:
            path.write_bytes(before)
        tried += 1
        if count < best:
            best, chosen = count, index
    sys.stdout.write(json.dumps({"tried": tried, "failing": best, "chosen": chosen}) + "\n")


if __name__ == "__main__":
    main()
