"""Real changes mined by regreen and by a naive miner: the same commits, the same machine.

The libraries and the rule of the sample were fixed before anything of them was mined: of every
library the changes of its main line that touch Python files of source and of tests, at most 15 of
the source, merges of one main line into another left out; of these ``--sample`` in even steps over
the whole history, the first and the last among them.

The naive miner is what a script of an afternoon does: Python 3.11, the newest pytest, the parent
commit with the changed test files, twice, then the whole commit, twice. A change counts as valid
when some test fails in both runs before and passes in both after, and some test passes in all.

    python benchmarks/mine.py --clones DIR [--later] [--sample 24] [--only X] [--skip naive] -o OUT
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uv

from regreen.tasks.history.line import History
from regreen.tasks.history.messages import is_sync
from regreen.tasks.history.objects import Objects

LIBRARIES = (
    "Suor/funcy",
    "pallets/click",
    "pytest-dev/pluggy",
    "pypa/packaging",
    "pytest-dev/iniconfig",
    "more-itertools/more-itertools",
    "mahmoud/boltons",
    "tkem/cachetools",
    "msiemens/tinydb",
)
LATER = (
    "hynek/structlog",
    "python-humanize/humanize",
    "jmespath/jmespath.py",
    "jd/tenacity",
    "theskumar/python-dotenv",
    "r1chardj0n3s/parse",
    "jpadilla/pyjwt",
    "sdispater/tomlkit",
)
"""Chosen when what the others had shown was mended, before anything of these was mined."""
_TEST = re.compile(r"(^|/)(tests?|testing)/|(^|/)test_[^/]*\.py$|_test\.py$|(^|/)tests?\.py$")
_OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR) (\S+)", re.MULTILINE)
_SECONDS = 300


def sample(repository: Path, count: int) -> list[str]:
    """Commits of the sample, oldest first."""
    objects = Objects(repository)
    history = History(objects, where=str(repository))
    found = []
    for change in history.changes(history.line()):
        if isinstance(change, tuple) or (change.kind == "merge" and is_sync(change.subject)):
            continue
        python = [one.path for one in change.files if one.path.endswith(".py")]
        tests = [path for path in python if _TEST.search(path)]
        sources = len(python) - len(tests)
        if tests and 0 < sources <= 15:
            found.append(change.commit)
    objects.close()
    if len(found) <= count:
        return found
    return [found[round(place * (len(found) - 1) / (count - 1))] for place in range(count)]


def mined(repository: Path, name: str, commits: list[str], out: Path, interpreters: str) -> Any:
    """What regreen makes of a sample, as its ``--json`` tells."""
    picked, journal = out.with_suffix(".txt"), out.with_name(f"{out.name}.journal.jsonl")
    picked.write_text("\n".join(commits) + "\n")
    begin = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "regreen", "tasks", "mine", str(repository)),
            *("--commits", str(picked), "--repo", name, "-o", str(out), "--json"),
            *("--interpreters", interpreters, "-q", *(["--resume"] if journal.exists() else [])),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{name}: {done.stderr}")
    told = {**json.loads(done.stdout), "seconds": round(time.monotonic() - begin, 1)}
    entries = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    costs: Counter[str] = Counter()
    for one in entries:
        costs[one.get("reason") or "verified"] += one.get("cpu_seconds") or 0.0
    own = f"python {sys.version_info.major}.{sys.version_info.minor}"
    decided = [one.get("rungs", [""])[-1] for one in entries if one["status"] == "verified"]
    # the ladder begins with the running Python, so what it decides is what it would do alone
    spent = {reason: round(seconds, 1) for reason, seconds in sorted(costs.items())}
    return {**told, "by_running": sum(rung.startswith(own) for rung in decided), "costs": spent}


def naive(repository: Path, commits: list[str], python: Path) -> dict[str, Any]:
    """What the naive miner makes of a sample."""
    reasons: Counter[str] = Counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    for commit in commits:
        with tempfile.TemporaryDirectory() as scratch:
            reasons[_naively(repository, commit, python, Path(scratch) / "tree")] += 1
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "candidates": len(commits),
        "verified": reasons.pop("valid", 0),
        "rejected": dict(reasons),
        "cpu_seconds": round(spent, 1),
        "seconds": round(time.monotonic() - begin, 1),
    }


def _naively(repository: Path, commit: str, python: Path, tree: Path) -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(tree), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout

    subprocess.run(
        ["git", "clone", "-q", "--shared", "--no-checkout", str(repository), str(tree)], check=True
    )
    git("checkout", "-q", f"{commit}^")
    changed = git("diff", "--name-only", "--no-renames", "--diff-filter=AM", "HEAD", commit).split(
        "\n"
    )
    tests = [path for path in changed if _TEST.search(path)]
    git("checkout", "-q", commit, "--", *tests)
    files = [path for path in tests if path.endswith(".py") and "conftest" not in path]
    red = [_pytest(tree, files, python) for _ in range(2)]
    git("checkout", "-q", "--force", commit)
    green = [_pytest(tree, files, python) for _ in range(2)]
    passed = [test for test in green[0] if all(run.get(test) == "PASSED" for run in green)]
    if not passed:
        return "environment"
    failing = [t for t in passed if all(run.get(t, "MISSING") != "PASSED" for run in red)]
    passing = [t for t in passed if all(run.get(t) == "PASSED" for run in red)]
    if not failing:
        return "no fail to pass"
    return "valid" if passing else "no pass to pass"


def _pytest(tree: Path, files: list[str], python: Path) -> dict[str, str]:
    paths = os.pathsep.join((str(tree / "src"), str(tree), str(tree / "lib")))
    try:
        done = subprocess.run(
            [str(python), "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *files],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}
    return {test: outcome for outcome, test in _OUTCOME.findall(done.stdout)}


def _naive_python(folder: Path) -> Path:
    """An interpreter with the newest pytest, and what two of the libraries' tests import."""
    program = uv.find_uv_bin()
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([program, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        install = [program, "pip", "install", "-q", "--python", str(python)]
        subprocess.run([*install, "pytest", "hypothesis", "pretend", "pyparsing"], check=True)
    return python


def main() -> None:
    """Run the miners library by library; print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clones", type=Path, required=True, help="holds owner+name/repo")
    parser.add_argument("--sample", type=int, default=24)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--later", action="store_true", help="the libraries chosen later")
    parser.add_argument("--skip", nargs="*", default=(), choices=("naive", "running", "found"))
    parser.add_argument("-o", "--out", type=Path, required=True)
    flags = parser.parse_args()
    flags.out.mkdir(parents=True, exist_ok=True)
    python = _naive_python(flags.out / "naive-venv")
    figures: dict[str, dict[str, Any]] = {}
    for name in LATER if flags.later else LIBRARIES:
        short = name.rpartition("/")[2]
        if flags.only and short not in flags.only:
            continue
        repository = flags.clones / name.replace("/", "+") / "repo"
        commits = sample(repository, flags.sample)
        rows: dict[str, Any] = {}
        if "naive" not in flags.skip:
            rows["naive"] = naive(repository, commits, python)
        for interpreters in ("running", "found"):
            if interpreters not in flags.skip:
                out = flags.out / f"{short}-{interpreters}.jsonl"
                rows[interpreters] = mined(repository, name, commits, out, interpreters)
        figures[short] = rows
        (flags.out / "figures.json").write_text(json.dumps(figures, indent=1))
        for miner, row in rows.items():
            each = row["cpu_seconds"] / max(1, row["candidates"])
            print(
                f"{short:16} {miner:8} {row['verified']:3}/{row['candidates']:3} "
                f"{each:6.2f} CPU s each  {row.get('by_running', '')} {row['rejected']} "
                f"{row.get('costs', '')}",
                flush=True,
            )
    for miner in ("naive", "running", "found"):
        rows = [one[miner] for one in figures.values() if miner in one]
        total = sum(row["candidates"] for row in rows)
        if total:
            valid = sum(row["verified"] for row in rows)
            spent = sum(row["cpu_seconds"] for row in rows)
            print(
                f"{miner:8} {valid}/{total} = {valid / total:.1%}, {spent / total:.2f} CPU s each"
            )


if __name__ == "__main__":
    main()
