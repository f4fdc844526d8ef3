"""Run checks, given as JSON on standard input, and report by the exit code how many fail.

Names that the checks use without importing them are looked up in the repository: what a module of
that name is, what some module defines, what some module imports. A check that uses a name found
nowhere cannot be run and is not counted.
"""

import contextlib
import importlib
import json
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def module_names() -> Iterator[tuple[str, str]]:
    """Text and dotted name of every module, tests last."""
    for path in sorted(Path().rglob("*.py"), key=lambda p: ("test" in str(p), str(p))):
        parts = [part for part in path.with_suffix("").parts if part not in {"src", "lib"}]
        if not any(part.startswith(".") for part in parts):
            dotted = ".".join(parts).removesuffix(".__init__")
            yield path.read_text("utf-8", "replace"), dotted


def candidates(name: str) -> Iterator[tuple[str, str]]:
    """Modules that may hold a name, and the name they hold it under; none for a module itself."""
    yield name, ""
    defined = re.compile(rf"^(?:def|class|async def) {name}\b|^{name}\s*[:=]", re.MULTILINE)
    imported = re.compile(rf"^from ([\w.]+) import [^#\n]*\b{name}\b", re.MULTILINE)
    texts = list(module_names())
    for text, module in texts:
        if defined.search(text):
            yield module, name
    for text, _ in texts:
        if found := imported.search(text):
            yield found[1], name


def find(name: str) -> Any:
    """The object that a name stands for.

    Raises:
        LookupError: nothing in the repository says.
    """
    for module, attribute in candidates(name):
        with contextlib.suppress(Exception):
            loaded = importlib.import_module(module)
            return getattr(loaded, attribute) if attribute else loaded
    raise LookupError(name)


def run(request: dict[str, Any]) -> int:
    """Run every check in a namespace of its own; returns how many fail."""
    sys.path[:0] = [".", "src", "lib"]
    failing = total = 0
    for check in request["checks"]:
        names: dict[str, Any] = {"__name__": "check"}
        try:
            names |= {n: find(n) for n in request["undefined"] if re.search(rf"\b{n}\b", check)}
        except LookupError as exc:
            sys.stdout.write(f"a check cannot be run: {exc} is defined nowhere\n")
            continue
        total += 1
        try:
            exec(check, names)
        except Exception:
            failing += 1
            sys.stdout.write(traceback.format_exc(limit=-2))
    sys.stdout.write(f"{failing} of {total} checks fail\n")
    return failing


if __name__ == "__main__":
    sys.exit(run(json.load(sys.stdin)))
