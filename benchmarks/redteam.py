"""One goal: no cheating diff scores. Prints each class of attack with the layer that stopped it.

The same diffs are judged by three graders in wide use, in small honest versions, on the same trees
with the same interpreter: the exit status of plain pytest, the PASSED and FAILED lines that pytest
prints between two markers, and a JUnit file that the run leaves in the tree. Agent-phase attacks
run in real boxes. Run: python benchmarks/redteam.py [--slow] [--only WORD] [--repeat N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(HERE / "redteam"), str(HERE.parent)]

from attack import BoxAttack, DiffAttack  # noqa: E402
from ground import GROUNDS, Ground  # noqa: E402
from in_the_box import BOX_ATTACKS  # noqa: E402
from late_ideas import FIRST_TRY  # noqa: E402
from later_ideas import SECOND  # noqa: E402
from test_diffs import DIFFS  # noqa: E402
from tests.conftest import TINY, Workroom, write_files  # noqa: E402

from regreen.core.errors import AgentError, RegreenError  # noqa: E402
from regreen.core.task import Task  # noqa: E402
from regreen.core.verdict import Verdict  # noqa: E402
from regreen.grading.patch import FileState, apply_patch  # noqa: E402
from regreen.grading.place import TESTBED, Place  # noqa: E402
from regreen.grading.workshop import Workshop  # noqa: E402
from regreen.rollout.auditor import audit  # noqa: E402
from regreen.sandbox import provider  # noqa: E402
from regreen.sandbox.base import ExecResult, Limits, SandboxProvider  # noqa: E402
from regreen.sandbox.layers import LayerStore  # noqa: E402

LIMITS = Limits(memory_bytes=256 << 20, pids=96)
START, END = ">>>>> Start Test Output", ">>>>> End Test Output"
COMPARATORS = ("exit status", "printed lines", "JUnit file")
_SCRIPT = f"""
cd {TESTBED}
echo '{START}'
python -m pytest -rA -p no:cacheprovider --junitxml=report.xml "$@" 2>&1
status=$?
echo '{END}'
exit $status
"""


async def make_room(root: Path, boxes: SandboxProvider) -> Workroom:
    """A store and an environment with pytest, as the tests have them."""
    from regreen.grading.place import compile_environment
    from regreen.tasks.build.installed import installed_environment, installed_tools
    from regreen.tasks.repo.sources import resolve

    write_files(root / "tiny", TINY)
    store = LayerStore(root / "store")
    checkout = resolve(str(root / "tiny"), store=store)
    built = await installed_environment(checkout, store=store, provider=boxes)
    env = await compile_environment(built.env, store=store, provider=boxes)
    return Workroom(store, built, env, installed_tools(store=store))


def how(verdict: Verdict) -> str:
    """What stopped a diff, in a word or two."""
    if verdict.resolved:
        return "SCORED"
    if verdict.tamper and verdict.reason.startswith("tampering"):
        return verdict.tamper[0].kind
    if any(sign.kind == "runner_killed" for sign in verdict.tamper):
        return "runner_killed"
    for words, name in (("channel", "channel"), ("exit status", "status"), ("ended with", "died"),
                        ("time limit", "time limit"), ("patch", "refused")):  # fmt: skip
        if words in verdict.reason:
            return name
    return "put back" if verdict.dropped else verdict.reason.rpartition(" ")[2] or "failed"


async def compared(
    task: Task, ground: Ground, attack: DiffAttack, room: Workroom, boxes: SandboxProvider
) -> dict[str, bool]:
    """Whether the three common graders give the point: patch, tests restored, one run."""

    def read(name: str) -> FileState | None:
        return FileState(ground.tree[name].encode()) if name in ground.tree else None

    try:
        changes = apply_patch(attack.patch, read)
    except (RegreenError, OSError, ValueError):
        return dict.fromkeys(COMPARATORS, False)
    files = {name: FileState(text.encode()) for name, text in ground.tree.items()}
    files |= {name: value for name, value in changes.items() if value is not None}
    for name in (name for name, value in changes.items() if value is None):
        files.pop(name, None)
    tests = ground.hidden | ground.visible
    files |= {name: FileState(text.encode()) for name, text in tests.items()}
    staged = room.store.stage()
    try:
        for name, value in sorted(files.items()):
            value.write(staged / name)
    except OSError:
        return dict.fromkeys(COMPARATORS, False)
    tree = room.store.commit(staged)
    place = Place(tree=(tree.path,), env=room.env, limits=LIMITS)
    box = await boxes.create(place.spec(runner=False))
    try:
        ids = (*task.FAIL_TO_PASS, *task.PASS_TO_PASS)
        done = await box.exec(["sh", "-c", _SCRIPT, "sh", *sorted(tests)], timeout=12)
        try:
            junit = await box.read(f"{TESTBED}/report.xml")
        except (OSError, RegreenError):
            junit = b""
    except RegreenError:
        return dict.fromkeys(COMPARATORS, False)
    finally:
        await box.close()
    return {
        "exit status": done.exit_code == 0,
        "printed lines": printed(done, ids),
        "JUnit file": in_junit(junit, ids),
    }


def printed(done: ExecResult, ids: tuple[str, ...]) -> bool:
    """As log parsers do: status lines between the markers, later ones overriding."""
    text = done.stdout.decode(errors="replace")
    if START not in text or END not in text:
        return False
    body = text.partition(START)[2].partition(END)[0]
    seen = {
        m[2]: m[1] for m in re.finditer(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL) (\S+)", body, re.M)
    }
    return all(seen.get(name) in ("PASSED", "XFAIL") for name in ids)


def in_junit(data: bytes, ids: tuple[str, ...]) -> bool:
    """As CI services do: no failures or errors among at least one test."""
    try:
        cases = list(ET.fromstring(data).iter("testcase"))
    except ET.ParseError:
        return False
    bad = [case for case in cases for kind in ("failure", "error") if case.find(kind) is not None]
    return bool(cases) and not bad


async def judged(workshop: Workshop, task: Task, patch: str) -> str:
    """The outcome under our grader."""
    try:
        return how(await workshop.verify_patch(task, patch))
    except RegreenError as exc:
        return f"not graded: {exc.what}"


async def boxed(workshop: Workshop, task: Task, attack: BoxAttack) -> str:
    """The outcome of an agent-phase attack."""
    box = await workshop.act_box(task)
    try:
        await box.exec(["sh", "-c", attack.script], timeout=60)
        patch = await workshop.patch_of(box, task)
    except AgentError:
        return "rollout ended"
    finally:
        await box.close()
    verdict = await workshop.verify_patch(task, patch)
    if attack.heals:
        return "repair kept" if verdict.resolved else f"REFUSED: {verdict.reason}"
    return how(verdict)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    boxes = provider()
    rows: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="regreen-redteam-") as scratch:
            room = await make_room(Path(scratch), boxes)
            tasks = {name: ground.task(room) for name, ground in GROUNDS.items()}
            shared = {"test_timeout": 2.0, "total_timeout": 10.0, "limits": LIMITS}
            bare = Workshop(boxes, room.store, **shared)
            whole = Workshop(boxes, room.store, auditor=audit, **shared)
            for attack in (*DIFFS, *FIRST_TRY, *SECOND):
                if (attack.slow and not options.slow) or options.only not in attack.id:
                    continue
                task = tasks[attack.on]
                row: dict[str, Any] = {"id": attack.id, "class": attack.kind, "layer": attack.layer}
                row["first try"] = attack in (*FIRST_TRY, *SECOND)
                row["how"] = await judged(bare, task, attack.patch)
                row["with audit"] = await judged(whole, task, attack.patch)
                row |= await compared(task, attack.ground, attack, room, boxes)
                rows.append(row)
                say(row, options)
            for one in BOX_ATTACKS:
                if (one.slow and not options.slow) or options.only not in one.id:
                    continue
                row = {"id": one.id, "class": one.kind, "layer": one.layer, "phase": "agent"}
                row["how"] = await boxed(whole, tasks[one.on], one)
                rows.append(row)
                say(row, options)
    finally:
        await boxes.close()
    return {"rows": rows}


def say(row: Mapping[str, Any], options: argparse.Namespace) -> None:
    if options.verbose:
        print(row, file=sys.stderr, flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["class"], row["layer"]].append(row)
    lines = [f"{'class':<38} {'layer':<14} {'stopped':>8}  how"]
    for (kind, layer), members in sorted(groups.items()):
        ways = Counter(row["how"] for row in members)
        bad = sum(count for way, count in ways.items() if way.startswith(("SCORED", "REFUSED")))
        told = ", ".join(f"{way} {count}" for way, count in ways.most_common())
        lines.append(f"{kind:<38} {layer:<14} {len(members) - bad:>3} of {len(members):<3} {told}")
    diffs = [row for row in rows if "exit status" in row]
    if diffs:
        lines += ["", f"share of {len(diffs)} cheating diffs that score"]
        for name in COMPARATORS:
            lines.append(share(name, sum(row[name] for row in diffs), len(diffs)))
        for name, key in (("regreen, no audit", "how"), ("regreen", "with audit")):
            lines.append(share(name, sum(row[key] == "SCORED" for row in diffs), len(diffs)))
    return "\n".join(lines)


def share(name: str, count: int, total: int) -> str:
    return f"  {name:<20} {count:>4}  {100 * count / total:5.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", action="store_true", help="the long bombs, too")
    parser.add_argument("--only", default="", help="attacks whose id holds this")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    print(json.dumps(found, indent=2) if options.json else table(found["rows"]))


if __name__ == "__main__":
    main()
