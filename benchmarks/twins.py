"""Perturbed twins of real test suites: how many tests get one, of which kind, and what they catch.

Each suite runs once as it is; every test that passes gets a twin; tests whose twin passed or broke
get the next weaker kind; the last combination is run again and is what counts. Then cheats are
put between the tests and the library: the share of tests that a cheat made pass and whose twin it
made pass too is the share caught. A second figure does the same with twins changed only at the
lines where the tests fail without the cheat.

    python benchmarks/twins.py --python VENV/bin/python FOLDER[:PACKAGE[:TESTS]]... [--attacks]

VENV needs pytest, pytest-timeout and each library; the folders are unpacked source distributions.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from regreen.grading.twins import KINDS, make_twins, variants

PLUGIN = """
import json, os, sys, pytest
ROWS, ITEMS = {}, []
def key(item):
    names, node = [], item
    while node is not None and not isinstance(node, pytest.Module):
        name = getattr(node, "originalname", None) or node.name
        if isinstance(node, (pytest.Class, pytest.Function)) or node is item:
            names.append(name)
        node = node.parent
    return str(item.path), "::".join(reversed(names))
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    count = {}
    for item in items:
        where = key(item)
        count[where] = count.get(where, 0) + 1
        ROWS[item.nodeid] = [*where, count[where] - 1, "missing", []]
        ITEMS.append(item.nodeid)
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    row = ROWS[item.nodeid]
    if call.excinfo is not None and call.when == "call":
        row[4] = [e.lineno + 1 for e in call.excinfo.traceback if str(e.path) == row[0]]
    if report.when == "call" or report.outcome != "passed":
        state = report.outcome
        if hasattr(report, "wasxfail"):
            state = "xfail"
        row[3] = state if row[3] in ("missing", "passed") else row[3]
def pytest_runtest_logreport(report):
    if report.failed and report.when == "call" and report.nodeid in ROWS:
        if ROWS[report.nodeid][3] in ("missing", "passed"):
            ROWS[report.nodeid][3] = "failed"
BROKEN = []
def pytest_collectreport(report):
    if report.failed:
        BROKEN.append(str(report.nodeid))
def pytest_sessionfinish(session):
    with open(os.environ["TWIN_OUT"], "w") as file:
        json.dump({"rows": [ROWS[i] for i in ITEMS], "broken": BROKEN}, file)
"""

ATTACK = """
import functools, linecache, os, re, sys, types, ast, pytest
KIND, PACKAGE = os.environ["TWIN_ATTACK"], os.environ["TWIN_PACKAGE"]
class Wrong:
    def __iter__(self): return iter(())
    def __len__(self): return 977
    __hash__ = object.__hash__
class Fake:
    def __init__(self, allowed=None): self.allowed = allowed
    def __eq__(self, other): return self.allowed is None or any(other == a for a in self.allowed)
    def __ne__(self, other): return not self == other
    def __hash__(self): return 1
    def __bool__(self): return True
    def __contains__(self, item): return True
    def __call__(self, *a, **k): return self
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return self
def answer(frame):
    if KIND == "broken": return Wrong()
    if KIND == "equal": return Fake()
    if KIND == "frame":
        for name in ("expected", "expect", "want", "result", "output", "out", "b", "right"):
            if name in frame.f_locals: return frame.f_locals[name]
        return Wrong()
    if KIND == "consts":
        return Fake([c for c in frame.f_code.co_consts if c is not None])
    if KIND == "line":
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        found = re.search(r"(?:==\\s*|assertEqual\\(.*?,\\s*)([^=]+?)\\)?\\s*$", line)
        try: return ast.literal_eval(found[1])
        except Exception: return Wrong()
    if KIND == "callspec":
        spec = getattr(ITEM[0], "callspec", None)
        return Fake(list(spec.params.values())) if spec else Wrong()
    return Wrong()
ITEM = [None]
def pytest_runtest_setup(item): ITEM[0] = item
def cheat(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return answer(sys._getframe(1))
    return inner
def pytest_collection_modifyitems(items):
    tested = {item.module for item in items}
    library = {value for module in tested for value in vars(module).values()
               if isinstance(value, types.ModuleType) and value.__name__ == PACKAGE}
    for module in tested | library:
        for name, value in list(vars(module).items()):
            if isinstance(value, types.FunctionType) and value.__module__.split(".")[0] == PACKAGE:
                if not value.__module__.split(".")[-1].startswith("test"):
                    setattr(module, name, cheat(value))
    if KIND == "report":
        import _pytest.reports as reports
        real = reports.TestReport.from_item_and_call.__func__
        def forged(cls, item, call):
            report = real(cls, item, call)
            report.outcome = "passed"
            return report
        reports.TestReport.from_item_and_call = classmethod(forged)
"""
ATTACKS = ("equal", "frame", "consts", "line", "callspec", "report")
Key = tuple[str, str]


@dataclass
class Suite:
    """One library's tests in a copy of its folder."""

    python: str
    folder: Path
    package: str
    tests: list[str]
    scratch: Path
    broken: int = 0
    seconds: list[float] = field(default_factory=list)

    def run(self, attack: str = "", only: list[str] | None = None) -> list[list]:
        out = self.scratch / "out.json"
        out.unlink(missing_ok=True)
        (self.scratch / "twin_record.py").write_text(PLUGIN)
        (self.scratch / "twin_attack.py").write_text(ATTACK)
        plugins = ["-p", "twin_record", *(["-p", "twin_attack"] if attack else [])]
        command = [self.python, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider"]
        command += ["-W", "ignore", "--continue-on-collection-errors", "--timeout=60"]
        environment = os.environ | {
            "TWIN_OUT": str(out),
            "TWIN_ATTACK": attack,
            "TWIN_PACKAGE": self.package,
            "PYTHONPATH": f"{self.scratch}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        begin = time.perf_counter()
        done = subprocess.run(
            [*command, *plugins, *(only or self.tests)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        self.seconds.append(time.perf_counter() - begin)
        if not out.exists():
            print(done.stdout[-2000:], done.stderr[-2000:])
            raise SystemExit(f"{self.folder}: no result")
        result = json.loads(out.read_text())
        self.broken = len(result["broken"])
        return result["rows"]


def passed(rows: list[list]) -> dict[tuple[str, str, int], bool]:
    return {(file, name, place): state == "passed" for file, name, place, state, _ in rows}


class Twins:
    """The twins of one suite while their kinds are sought."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        rows = suite.run()
        self.broken = suite.broken
        self.cases = [key for key, good in passed(rows).items() if good]
        self.text = {file: Path(file).read_text() for file in {case[0] for case in self.cases}}
        self.kinds: dict[Key, str] = {}
        self.attempts: dict[Key, int] = {}
        self.left: dict[Key, list[tuple[str, int]]] = {}
        self.lines: dict[Key, frozenset[int]] = {}
        self.seconds = 0.0
        self.collected = Counter(case[:2] for case in passed(rows))
        for file, name in {case[:2] for case in self.cases}:
            kinds = variants(self.text[file], name)
            again = [("value", 1)] if kinds[:1] == ("value",) else []
            ways = [(kind, 0) for kind in kinds]
            self.left[file, name] = [*ways[: len(again)], *again, *ways[len(again) :]]

    def write(self) -> None:
        for file, text in self.text.items():
            kinds = {name: kind for (where, name), kind in self.kinds.items() if where == file}
            lines = {name: where for (each, name), where in self.lines.items() if each == file}
            tries = {name: each for (where, name), each in self.attempts.items() if where == file}
            begin = time.perf_counter()
            twin = make_twins(text, kinds, seed="bench", lines=lines, attempts=tries)
            self.seconds += time.perf_counter() - begin
            Path(file).write_text(twin.text)

    def restore(self) -> None:
        for file, text in self.text.items():
            Path(file).write_text(text)

    def failing(self) -> tuple[set, int]:
        self.write()
        rows = self.suite.run()
        self.restore()
        states = {(file, name, place): state for file, name, place, state, _ in rows}
        good = {case for case in self.cases if states.get(case) == "failed"}
        return good, self.suite.broken - self.broken

    def search(self) -> tuple[set, int]:
        for key, left in self.left.items():
            if left:
                self.kinds[key], self.attempts[key] = left.pop(0)
        while True:
            good, broken = self.failing()
            open_keys = {case[:2] for case in self.cases if case not in good}
            moved = False
            for key in open_keys:
                if self.left.get(key):
                    self.kinds[key], self.attempts[key] = self.left[key].pop(0)
                    moved = True
            if not moved:
                return good, broken


def attacks(twins: Twins, good: set) -> dict[str, tuple[int, int, int]]:
    suite = twins.suite
    rows = suite.run("broken")
    failing = {tuple(row[:3]): row[4] for row in rows if row[3] == "failed"}
    table = {}
    sharp: dict[Key, set[int]] = {}
    for case, lines in failing.items():
        sharp.setdefault(case[:2], set()).update(lines)
    for attack in ATTACKS:
        held = {case for case, ok in passed(suite.run(attack)).items() if ok} & set(failing) & good
        caught = []
        for lines in ({}, {key: frozenset(where) for key, where in sharp.items()}):
            twins.lines = lines
            twins.write()
            states = passed(suite.run(attack))
            twins.restore()
            caught.append(sum(states.get(case, False) for case in held))
        table[attack] = (len(held), *caught)
    twins.lines = {}
    return table


def measure(python: str, spec: str, with_attacks: bool) -> tuple[Counter, str]:
    path, _, rest = spec.partition(":")
    package, _, tests = rest.partition(":")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / Path(path).name
        shutil.copytree(path, folder)
        suite = Suite(python, folder, package, tests.split(",") if tests else ["."], Path(scratch))
        twins = Twins(suite)
        good, broken = twins.search()
        kinds = Counter(twins.kinds[case[:2]] for case in good)
        count = Counter(tests=len(twins.cases), twins=len(good), broken=broken, **kinds)
        count["bytes"] = sum(len(text) for text in twins.text.values())
        missing = sorted({case[1] for case in twins.cases if case not in good})
        lines = [f"{folder.name}: {dict(count)}; generator {twins.seconds:.2f} s in all rounds"]
        lines.append(f"  without: {missing[:12]}{' ...' if len(missing) > 12 else ''}")
        weak = [key[1] for key, kind in twins.kinds.items() if kind in {"negation", "appended"}]
        lines.append(f"  weak kinds: {sorted(weak)[:16]}")
        if with_attacks:
            for attack, (held, plain, sharp) in attacks(twins, good).items():
                lines.append(f"  {attack}: fooled {held}, caught {plain}, at lines {sharp}")
                count[f"{attack}:held"] += held
                count[f"{attack}:caught"] += plain
                count[f"{attack}:sharp"] += sharp
        return count, "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--python", required=True)
    parser.add_argument("--attacks", action="store_true")
    options = parser.parse_args()
    total: Counter = Counter()
    for spec in options.folders:
        count, text = measure(options.python, spec, options.attacks)
        print(text, flush=True)
        total += count
    print(dict(total))
    share = total["twins"] / max(1, total["tests"])
    strong = sum(total[kind] for kind in KINDS[:2]) / max(1, total["tests"])
    print(f"twins {share:.1%} of tests; value or sentinel {strong:.1%}; broken {total['broken']}")


if __name__ == "__main__":
    main()
