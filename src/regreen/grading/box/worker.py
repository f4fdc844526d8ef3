"""One pytest session that reports every test over a pipe, in the order it is told to run them.

A test's outcome is sent after its tear-down, from pytest's own reports; nothing it prints counts.
Coverage, when asked for, is kept per test, and per fixture of wider scope than a function: such
a fixture runs in the first test that needs it but is reached by all of them.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import os
import random
import sys
import time
from typing import Any

import pytest

MESSAGE_LIMIT = 6000
FORK_EVENTS = frozenset(
    ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system")
)


class Reporter:
    """The plugin: chooses and orders the tests, and sends what becomes of them."""

    def __init__(self, request: dict[str, Any], channel: int) -> None:
        self.request = request
        self.channel = channel
        self.wanted = None
        if request.get("tests") is not None and request.get("select") is None:
            self.wanted = set(request["tests"])
        self.excluded = frozenset(request.get("exclude") or ())
        self.functions = None
        if self.wanted is not None and not request.get("order_of"):
            self.functions = prefixes(self.wanted)
        self.whole = frozenset(request.get("whole") or ())
        self.current: dict[str, Any] = {}
        self.failures = 0
        self.config: Any = None
        self.messages = request.get("messages", 20)
        self.coverage: Any = None
        self.forked: set[str] = set()
        self.running = ""
        self.trusted = trusted_directories()

    def send(self, event: str, **fields: Any) -> None:
        """Write one JSON line; the pipe is read by the supervisor alone."""
        data = json.dumps({"event": event, **fields}).encode() + b"\n"
        while data:
            data = data[os.write(self.channel, data) :]

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_parse(self, pluginmanager: Any) -> None:
        """Let plug-ins come from the environment only, never from what the tree announces."""
        pluginmanager.load_setuptools_entrypoints = EnvironmentPlugins(pluginmanager, self.trusted)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(self, collector: Any, name: str) -> Any:
        """Pass over what is not asked for: one function may stand for thousands of tests."""
        if self.functions is None or f"{collector.nodeid}::{name}" in self.functions:
            return None
        return []

    @pytest.hookimpl(hookwrapper=True)
    def pytest_generate_tests(self, metafunc: Any) -> Any:
        """Take some of the cases of a function only, where that is asked for."""
        yield
        calls = getattr(metafunc, "_calls", None)
        node = metafunc.definition.nodeid
        apart = {node, node.partition("::")[0]} & self.whole
        most = self.request.get("cases_of_whole" if apart else "cases") or 0
        if calls and 1 < most < len(calls):
            last = len(calls) - 1
            calls[:] = [calls[number * last // (most - 1)] for number in range(most)]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """Keep the tests asked for, once each, shuffled when a seed is given."""
        self.config = config
        self.spare_texts()
        families = by_function(items)
        select = self.request.get("select")
        if select is not None:
            items[:] = selected(families, select)
            families = by_function(items)
        order = {
            function: [item.nodeid for item in members]
            for function, members in families.items()
            if function in (select or self.request.get("order_of") or ())
        }
        kept: dict[str, Any] = {}
        duplicates = []
        for item in items:
            if type(item).__name__ in ("DoctestItem", "DoctestTextfile"):
                continue  # a doctest lives in the source itself and cannot be hidden
            if item.nodeid.partition("[")[0] in self.excluded:
                continue
            if self.wanted is None or item.nodeid in self.wanted:
                if item.nodeid in kept:
                    duplicates.append(item.nodeid)
                kept[item.nodeid] = item
        chosen = list(kept.values())
        seed = self.request.get("order_seed")
        if seed is not None:
            chosen = shuffled(chosen, seed)
        items[:] = chosen
        wide = {}
        if self.coverage is not None:
            wide = {item.nodeid: wide_fixtures(item) for item in chosen}
        self.send(
            "collected",
            ids=[item.nodeid for item in chosen],
            duplicates=duplicates,
            fixtures={key: value for key, value in wide.items() if value},
            order=order,
        )

    def pytest_collectreport(self, report: Any) -> None:
        """Say which file could not be imported; its tests will be missing."""
        if report.failed:
            self.send("collect_error", id_test=report.nodeid, message=text_of(report))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Announce the test, so that a crash or a hang has a name."""
        self.running = nodeid
        self.current = {"outcome": "passed", "message": "", "started": time.perf_counter()}
        self.current["cpu"] = time.process_time()
        if self.coverage is not None:
            self.coverage.switch_context(nodeid)
        self.send("start", id_test=nodeid)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        """Note where in its file a test failed, for its twin to differ there."""
        yield
        if call.excinfo is not None and not self.current.get("lines"):
            file = str(getattr(item, "path", None) or item.fspath)  # pytest 6 has no paths yet
            self.current["lines"] = [
                entry.lineno + 1 for entry in call.excinfo.traceback if str(entry.path) == file
            ]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Fold the reports of set-up, call and tear-down into one outcome; the worst stands."""
        outcome = outcome_of(report)
        if outcome != "passed" and self.current["outcome"] in ("passed", "skipped", "xfailed"):
            self.current["outcome"] = outcome
            self.current["message"] = text_of(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Send the outcome after the tear-down."""
        outcome = self.current["outcome"]
        self.running = ""
        self.send(
            "result",
            id_test=nodeid,
            outcome=outcome,
            message=self.current["message"],
            seconds=time.perf_counter() - self.current["started"],
            cpu=time.process_time() - self.current["cpu"],
            lines=self.current.get("lines", []),
        )
        if self.coverage is not None:
            self.coverage.switch_context("")
        if outcome in ("failed", "error"):
            self.failures += 1
            self.messages -= 1
            self.spare_texts()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Any:
        """Give a fixture of wide scope a coverage context of its own."""
        wide = self.coverage is not None and fixturedef.scope != "function"
        if wide:
            self.coverage.switch_context(fixture_key(fixturedef))
        yield
        if wide:
            self.coverage.switch_context(self.running)

    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> None:
        """Stop early when enough tests failed; the rest is reported as not run."""
        limit = self.request.get("stop_after_failures")
        if limit and self.failures >= limit:
            item.session.shouldstop = "enough failures"

    def spare_texts(self) -> None:
        """Stop rendering failures once enough were: a traceback costs more than most tests."""
        if self.messages <= 0:
            self.config.option.tbstyle = "no"

    def watch_forks(self) -> None:
        """Note the tests that start processes: coverage cannot see into those."""

        def hook(event: str, arguments: Any) -> None:
            if event in FORK_EVENTS and self.running:
                self.forked.add(self.running)

        sys.addaudithook(hook)


class EnvironmentPlugins:
    """Stands in for the plug-in manager's search of entry points, on trusted directories alone."""

    def __init__(self, manager: Any, directories: tuple[str, ...]) -> None:
        self.manager = manager
        self.directories = directories

    def __call__(self, group: str, name: str | None = None) -> int:
        """Register what the directories' distributions offer; returns how many."""
        count = 0
        for entry in entry_points(self.directories):
            unwanted = entry.group != group or (name is not None and entry.name != name)
            known = self.manager.get_plugin(entry.name) or self.manager.is_blocked(entry.name)
            if not unwanted and not known:
                self.manager.register(entry.load(), name=entry.name)
                count += 1
        return count


def trusted_directories() -> tuple[str, ...]:
    """Where modules come from that are not the repository's."""
    root = os.getcwd()  # noqa: PTH109
    return tuple(entry for entry in sys.path if not (entry + "/").startswith(root + "/"))


@functools.cache
def entry_points(directories: tuple[str, ...]) -> tuple[Any, ...]:
    """What the distributions in some directories announce; read once, before the first fork."""
    return tuple(
        entry
        for distribution in importlib.metadata.distributions(path=list(directories))
        for entry in distribution.entry_points
    )


def by_function(items: list[Any]) -> dict[str, list[Any]]:
    """Items of each test function, in the order of collection, which is that of its parameters."""
    families: dict[str, list[Any]] = {}
    for item in items:
        families.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return families


def selected(families: dict[str, list[Any]], select: dict[str, list[int]]) -> list[Any]:
    """Items named by function and position: their ids may tell what is expected of them."""
    return [
        members[place]
        for function, places in select.items()
        for members in [families.get(function, [])]
        for place in places
        if place < len(members)
    ]


def fixture_key(fixturedef: Any) -> str:
    """Name of a fixture's coverage context."""
    return f"@{fixturedef.argname}|{fixturedef.baseid}"


def wide_fixtures(item: Any) -> list[str]:
    """Contexts of the wider-than-function fixtures a test depends on."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return []
    return [
        fixture_key(definition)
        for definitions in info.name2fixturedefs.values()
        for definition in definitions
        if definition.scope != "function"
    ]


def shuffled(items: list[Any], seed: int) -> list[Any]:
    """Shuffle files, then the tests of each file, so that wide fixtures are set up once."""
    generator = random.Random(seed)
    files: dict[str, list[Any]] = {}
    for item in items:
        files.setdefault(item.nodeid.split("::")[0], []).append(item)
    names = sorted(files)
    generator.shuffle(names)
    result = []
    for name in names:
        generator.shuffle(files[name])
        result.extend(files[name])
    return result


def prefixes(names: Any) -> frozenset[str]:
    """Node ids of the functions that hold tests, and of the classes that hold these."""
    found = set()
    for name in names:
        file, *parts = name.partition("[")[0].split("::")
        for count in range(1, len(parts) + 1):
            found.add("::".join((file, *parts[:count])))
    return frozenset(found)


def outcome_of(report: Any) -> str:
    """One of regreen's outcome names for one phase's report."""
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped:
        return "xfailed" if expected_failure else "skipped"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "xpassed" if expected_failure and report.when == "call" else "passed"


def text_of(report: Any) -> str:
    """The failure as pytest shows it, cut to its end, where the message stands."""
    try:
        text = str(report.longreprtext)
    except Exception as exc:
        text = f"<unprintable report: {exc!r}>"
    return text[-MESSAGE_LIMIT:]


def coverage_map(coverage: Any, root: str) -> dict[str, dict[str, list[int]]]:
    """Lines executed, as ``file -> context -> sorted line numbers``; "" is import time."""
    data = coverage.get_data()
    result: dict[str, dict[str, list[int]]] = {}
    for name in sorted(data.measured_files()):
        if not name.startswith(root + "/"):
            continue
        contexts: dict[str, list[int]] = {}
        for line, names in sorted(data.contexts_by_lineno(name).items()):
            for context in names:
                contexts.setdefault(context, []).append(line)
        result[name[len(root) + 1 :]] = contexts
    return result


def foreign_modules(root: str) -> list[str]:
    """Modules in memory that are neither the repository's nor this runner's."""
    names = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        mine = name.partition(".")[0] in ("__main__", "regreen_box")
        if file.endswith(".py") and not mine and not file.startswith(root + "/"):
            names.append(name)
    return names


def set_clock(offset: float) -> Any:
    """Move the wall clock by ``offset`` seconds; it keeps ticking."""
    if not offset:
        return None
    import time_machine

    traveller = time_machine.travel(time.time() + offset, tick=True)
    traveller.start()
    return traveller


def run(request: dict[str, Any], channel: int) -> int:
    """Run the session; returns pytest's exit status."""
    reporter = Reporter(request, channel)
    root = os.getcwd()  # noqa: PTH109
    files: list[str] = list(request.get("paths") or [])
    named = request["select"] if request.get("select") is not None else reporter.wanted
    if named is not None:
        files = sorted({name.split("::")[0] for name in named})
        files = [name for name in files if os.path.exists(name)]  # noqa: PTH110
    arguments = ["-p", "no:cacheprovider", "-q", "--continue-on-collection-errors"]
    # a warm start has imported what plug-ins bring; suites that turn warnings into errors mind
    arguments += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    if importlib.util.find_spec("pytest_cov"):
        arguments.append("--no-cov")  # it would measure in our tracer's place
    arguments += list(request.get("args") or [])
    arguments += files
    if request.get("coverage"):
        import coverage

        files_covered = request.get("cover") or ["*"]
        reporter.coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[f"{root}/{name}" for name in files_covered]
        )
        reporter.watch_forks()
        reporter.coverage.start()
    sys.path.insert(0, root)  # as ``python -m pytest`` does; the supervisor never gets it
    set_clock(float(request.get("clock_offset") or 0))
    status = int(pytest.main(arguments, plugins=[reporter]))
    if reporter.coverage is not None:
        reporter.coverage.stop()
        covered = coverage_map(reporter.coverage, root)
        for name, contexts in covered.items():
            reporter.send("coverage", file=name, contexts=contexts)
        reporter.send("forked", ids=sorted(reporter.forked))
        reporter.send("modules", names=foreign_modules(root))
    reporter.send("finished", status=status)
    return status
