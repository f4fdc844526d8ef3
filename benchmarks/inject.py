"""What a verified task costs: ours beside "the whole suite in a new sandbox per candidate".

Both methods judge the same candidates in one run. Ours is the full procedure (screen, repeats,
controls); the comparator runs the suite once per candidate, with no repeat and no control, in a
sandbox of the same kind. Run: python benchmarks/inject.py [--source S] [--sample N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from regreen.cli.shared import layer_store
from regreen.core.verdict import Outcome
from regreen.grading.runner import TestRunner
from regreen.grading.suite import TestRequest
from regreen.sandbox import provider as make_provider
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.overlay import write_layer
from regreen.tasks.build.repository import Repository, make_ready
from regreen.tasks.inject.candidate import Candidate, Finding, prepare
from regreen.tasks.inject.job import InjectSettings, usable_sites
from regreen.tasks.inject.schedule import Schedule
from regreen.tasks.inject.validate import examine
from regreen.tasks.prove.baseline import Baseline, measure
from regreen.tasks.prove.bench import Bench

BAD = (Outcome.FAILED, Outcome.ERROR)


async def ours(
    repository: Repository, baseline: Baseline, provider: SandboxProvider, sample: int
) -> tuple[list[tuple[Candidate, Finding]], float]:
    """Findings of the first candidates the schedule hands out, and CPU seconds for all of them."""
    texts = repository.texts()
    begin = time.process_time()
    bench = Bench(provider, baseline.place, workers=1, warm=baseline.warm)
    schedule = Schedule(list(usable_sites(texts, baseline, InjectSettings())))
    found: list[tuple[Candidate, Finding]] = []
    try:
        while len(found) < sample:
            sites = schedule.next(min(24, sample - len(found)), wanted=10 * sample)
            if not sites:
                break
            for site in sites:
                candidate = prepare((site,), texts, baseline)
                finding = await examine(candidate, baseline=baseline, bench=bench)
                found.append((candidate, finding))
                verified = finding.status == "verified"
                schedule.record(site, noticed=finding.status != "survived", accepted=verified)
    finally:
        await bench.close()
    return found, bench.cpu + time.process_time() - begin


async def whole_suite(
    candidate: Candidate, baseline: Baseline, provider: SandboxProvider
) -> tuple[bool, float, set[str]]:
    """Valid or not by one run of the whole suite in a new sandbox, CPU seconds, failing tests."""
    with tempfile.TemporaryDirectory() as scratch:
        layer = Path(scratch)
        write_layer(layer, {path: text.encode() for path, (_, text) in candidate.files.items()})
        box = await provider.create(baseline.place.spec(over=(layer,)))
        runner = TestRunner(box, isolate=False)
        try:
            await runner.start()
            run = await runner.run(
                TestRequest(
                    paths=baseline.place.paths,
                    args=baseline.place.args,
                    test_timeout=max(2.0, 10 * max(baseline.seconds.values())),
                    max_workers=1,
                    messages=0,
                )
            )
        finally:
            await runner.close()
    outcomes = {name: run.outcome(name) for name in baseline.stable}
    failed = {name for name, outcome in outcomes.items() if outcome in BAD}
    clean = not run.collect_errors and Outcome.MISSING not in outcomes.values()
    valid = bool(failed) and clean and len(failed) < len(outcomes)
    return valid, run.cpu + runner.start_cpu, failed


async def compare(source: str, sample: int, shared: int) -> dict[str, object]:
    """One source: our findings, and the comparator's on the first ``shared`` of them."""
    store, provider = layer_store(), make_provider()
    try:
        repository = await make_ready(source, store=store, provider=provider)
        baseline = await measure(repository.place, provider=provider, store=store, where=source)
        found, cpu = await ours(repository, baseline, provider, sample)
        verified = sum(finding.status == "verified" for _, finding in found)
        naive_cpu, naive_valid, differ, extra = [], 0, [], 0
        for candidate, finding in found[:shared]:
            valid, seconds, failed = await whole_suite(candidate, baseline, provider)
            naive_cpu.append(seconds)
            naive_valid += valid
            if valid != (finding.status == "verified"):
                differ.append((candidate.sites[0].operator, finding.status, valid))
            elif valid and failed - set(finding.fail_to_pass):
                extra += 1
    finally:
        await provider.close()
    # Preparation (measuring the healthy suite; for the comparator one reference run) is paid
    # once per repository, so the rates are given without it and for a job of a thousand.
    rate_ours = 60 * verified / cpu
    rate_naive = 60 * naive_valid / sum(naive_cpu)
    each_ours, each_naive = cpu / len(found), statistics.mean(naive_cpu)
    job_ours = 60_000 * verified / len(found) / (baseline.cpu + 1000 * each_ours)
    job_naive = 60_000 * naive_valid / len(naive_cpu) / (each_naive + 1000 * each_naive)
    return {
        "source": source,
        "suite_tests": len(baseline.stable),
        "suite_cpu_s": round(statistics.median(naive_cpu), 2),
        "candidates": len(found),
        "verified": verified,
        "valid_share": round(verified / len(found), 3),
        "cpu_s_per_candidate": round(cpu / len(found), 3),
        "baseline_cpu_s": round(baseline.cpu, 1),
        "tasks_per_core_minute": round(rate_ours, 1),
        "whole_suite_tasks_per_core_minute": round(rate_naive, 2),
        "ratio": round(rate_ours / rate_naive, 1),
        "ratio_over_1000_candidates": round(job_ours / job_naive, 1),
        "both_judged": len(naive_cpu),
        "verdicts_differ": differ,
        "whole_suite_saw_more_failures": extra,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", action="append")
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--shared", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for source in options.source or ["pypi:toolz==1.0.0", "pypi:boltons==26.2.0"]:
        row = asyncio.run(compare(source, options.sample, options.shared))
        if options.json:
            print(json.dumps(row))
            continue
        print("\n".join(f"{key:38} {value}" for key, value in row.items()), end="\n\n")


if __name__ == "__main__":
    main()
