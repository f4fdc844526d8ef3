# -*- coding: utf-8 -*-
"""The worker of an old Python: one pytest session in its own process, reported as by ``worker``.

It is the one file here that has to run on Python 2.7 and 3.3 to 3.8, with pytest 2.8 to 8: so it
has no annotations and imports nothing of ours. Coverage, warm starts and moved clocks are not had.
"""

from __future__ import absolute_import

import errno
import fcntl
import json
import os
import random
import sys
import time
from collections import OrderedDict

MESSAGE_LIMIT = 6000
TEXT = type(u"")
CLOCK = getattr(time, "perf_counter", time.time)
CPU = getattr(time, "process_time", getattr(time, "clock", time.time))
MANNERS = {
    "pytest_cmdline_parse": "tryfirst",
    "pytest_collection_modifyitems": "trylast",
    "pytest_runtest_makereport": "hookwrapper",
}


def text(value):
    """A text of what pytest calls one; Python 2 has bytes there."""
    if isinstance(value, TEXT):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else TEXT(value)


def native(value):
    """A ``str`` of this Python, as pytest takes its arguments."""
    return value if isinstance(value, str) else value.encode("utf-8")


def node(value):
    """A node id as newer pytests write it: older ones name the instance of a class, too."""
    return text(value).replace(u"::()::", u"::")


class Reporter(object):
    """The plugin: chooses and orders the tests, and sends what becomes of them."""

    def __init__(self, request, channel, trusted):
        self.request = request
        self.channel = channel
        self.trusted = trusted
        self.wanted = None
        if request.get("tests") is not None and request.get("select") is None:
            self.wanted = set(request["tests"])
        self.excluded = set(request.get("exclude") or ())
        self.current = {}
        self.failures = 0
        self.config = None
        self.messages = request.get("messages", 20)

    def send(self, event, **fields):
        """Write one JSON line; the pipe is read by the supervisor alone."""
        data = json.dumps(dict(fields, event=event)).encode("ascii") + b"\n"
        while data:
            try:
                data = data[os.write(self.channel, data) :]
            except OSError as exc:  # only newer Pythons go on by themselves (PEP 475)
                if exc.errno != errno.EINTR:
                    raise

    def pytest_cmdline_parse(self, pluginmanager):
        """Let plug-ins come from the environment only, never from what the tree announces."""
        pluginmanager.load_setuptools_entrypoints = EnvironmentPlugins(pluginmanager, self.trusted)

    def pytest_collection_modifyitems(self, config, items):
        """Keep the tests asked for, once each, shuffled when a seed is given."""
        self.config = config
        self.spare_texts()
        families = by_function(items)
        select = self.request.get("select")
        if select is not None:
            items[:] = selected(families, select)
            families = by_function(items)
        asked = set(select or self.request.get("order_of") or ())
        order = {}
        for function, members in families.items():
            if function in asked:
                order[function] = [node(item.nodeid) for item in members]
        kept, duplicates = OrderedDict(), []
        for item in items:
            if type(item).__name__ in ("DoctestItem", "DoctestTextfile"):
                continue  # a doctest lives in the source itself and cannot be hidden
            name = node(item.nodeid)
            if name.partition("[")[0] in self.excluded:
                continue
            if self.wanted is not None and name not in self.wanted:
                continue
            if name in kept:
                duplicates.append(name)
            kept[name] = item
        chosen = list(kept.values())
        seed = self.request.get("order_seed")
        if seed is not None:
            chosen = shuffled(chosen, seed)
        items[:] = chosen
        names = [node(item.nodeid) for item in chosen]
        self.send("collected", ids=names, duplicates=duplicates, fixtures={}, order=order)

    def pytest_collectreport(self, report):
        """Say which file could not be imported; its tests will be missing."""
        if report.failed:
            self.send("collect_error", id_test=node(report.nodeid), message=text_of(report))

    def pytest_runtest_logstart(self, nodeid):
        """Announce the test, so that a crash or a hang has a name."""
        self.current = {"outcome": "passed", "message": u"", "lines": []}
        self.current["started"], self.current["cpu"] = CLOCK(), CPU()
        self.send("start", id_test=node(nodeid))

    def pytest_runtest_makereport(self, item, call):
        """Note where in its file a test failed, for its twin to differ there."""
        yield
        if call.excinfo is not None and not self.current.get("lines"):
            file = str(getattr(item, "path", None) or item.fspath)
            self.current["lines"] = [
                entry.lineno + 1 for entry in call.excinfo.traceback if str(entry.path) == file
            ]

    def pytest_runtest_logreport(self, report):
        """Fold set-up, call and tear-down into one outcome, the worst; send it after the last."""
        outcome = outcome_of(report)
        if outcome != "passed" and self.current["outcome"] in ("passed", "skipped", "xfailed"):
            self.current["outcome"] = outcome
            self.current["message"] = text_of(report)
        if report.when == "teardown":
            self.finish(report.nodeid)

    def finish(self, nodeid):
        """Send the outcome of the test that has just been torn down."""
        outcome = self.current["outcome"]
        self.send(
            "result",
            id_test=node(nodeid),
            outcome=outcome,
            message=self.current["message"],
            seconds=max(0.0, CLOCK() - self.current["started"]),
            cpu=max(0.0, CPU() - self.current["cpu"]),
            lines=self.current["lines"],
        )
        if outcome in ("failed", "error"):
            self.failures += 1
            self.messages -= 1
            self.spare_texts()

    def pytest_runtest_protocol(self, item, nextitem):
        """Stop early when enough tests failed; the rest is reported as not run."""
        limit = self.request.get("stop_after_failures")
        if limit and self.failures >= limit:
            item.session.shouldstop = "enough failures"

    def spare_texts(self):
        """Stop rendering failures once enough were: a traceback costs more than most tests."""
        if self.messages <= 0:
            self.config.option.tbstyle = "no"


class EnvironmentPlugins(object):
    """Stands in for the plug-in manager's search of entry points, on trusted directories alone."""

    def __init__(self, manager, directories):
        self.manager = manager
        self.directories = directories

    def __call__(self, group, name=None):
        """Register what the directories' distributions offer; returns how many."""
        count = 0
        for entry, target in sorted(entry_points(self.directories, group).items()):
            known = self.manager.get_plugin(entry) or self.manager.is_blocked(entry)
            if known or (name is not None and entry != name):
                continue
            module, _, attributes = target.partition(":")
            plugin = __import__(module, fromlist=["*"])
            for attribute in attributes.split(".") if attributes else ():
                plugin = getattr(plugin, attribute)
            self.manager.register(plugin, name=entry)
            count += 1
        return count


def entry_points(directories, group):
    """``name -> module:attributes`` that installed distributions announce in a group."""
    found = {}
    for folder in directories:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.endswith((".dist-info", ".egg-info")):
                path = os.path.join(folder, name, "entry_points.txt")
                for entry, target in announced(path, group):
                    found.setdefault(entry, target)
    return found


def announced(path, group):
    """The pairs of one section of an ``entry_points.txt``, extras cut off."""
    if not os.path.isfile(path):
        return
    section = ""
    with open(path, "rb") as handle:
        for line in handle.read().decode("utf-8", "replace").splitlines():
            line = native(line.strip())
            if line.startswith("["):
                section = line.strip("[] ")
            elif section == group and "=" in line and not line.startswith(("#", ";")):
                name, _, target = line.partition("=")
                yield name.strip(), target.partition("[")[0].strip()


def by_function(items):
    """Items of each test function, in the order of collection, which is that of its parameters."""
    families = {}
    for item in items:
        families.setdefault(node(item.nodeid).partition(u"[")[0], []).append(item)
    return families


def selected(families, select):
    """Items named by function and position: their ids may tell what is expected of them."""
    chosen = []
    for function, places in select.items():
        members = families.get(function, [])
        chosen += [members[place] for place in places if place < len(members)]
    return chosen


def shuffled(items, seed):
    """Shuffle files, then the tests of each file, so that wide fixtures are set up once."""
    generator = random.Random(seed)
    files = {}
    for item in items:
        files.setdefault(node(item.nodeid).split(u"::")[0], []).append(item)
    names = sorted(files)
    generator.shuffle(names)
    result = []
    for name in names:
        generator.shuffle(files[name])
        result.extend(files[name])
    return result


def outcome_of(report):
    """One of regreen's outcome names for one phase's report."""
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped:
        return "xfailed" if expected_failure else "skipped"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "xpassed" if expected_failure and report.when == "call" else "passed"


def text_of(report):
    """The failure as pytest shows it, cut to its end, where the message stands."""
    try:
        shown = getattr(report, "longreprtext", None)
        shown = text(report.longrepr if shown is None else shown)
    except Exception as exc:
        shown = u"<unprintable report: %r>" % (exc,)
    return shown[-MESSAGE_LIMIT:]


def command(request, files, version, trusted):
    """The arguments of pytest; an old one knows fewer."""
    arguments = ["-p", "no:cacheprovider", "-q"]
    if version >= (3,):
        arguments.append("--continue-on-collection-errors")
    if can_disarm_coverage(trusted):
        arguments.append("--no-cov")  # it would slow the run down for nothing
    return arguments + [native(word) for word in list(request.get("args") or []) + files]


def can_disarm_coverage(trusted):
    """Whether pytest-cov is there, in a version that knows how to stay away."""
    for folder in trusted:
        path = os.path.join(folder, "pytest_cov", "plugin.py")
        if os.path.isfile(path):
            with open(path, "rb") as handle:
                return b"--no-cov" in handle.read()
    return False


def wanted_files(request, wanted):
    """Where to collect: the files of what is asked for, as far as they exist."""
    named = request["select"] if request.get("select") is not None else wanted
    if named is None:
        return list(request.get("paths") or [])
    files = sorted(set(name.split("::")[0] for name in named))
    return [name for name in files if os.path.exists(name)]


def read_request(descriptor):
    """The request, whose descriptor is then gone."""
    with os.fdopen(descriptor, "rb") as handle:
        return json.loads(handle.read().decode("utf-8"), object_pairs_hook=OrderedDict)


def main(request_fd, channel):
    """Run the session; returns pytest's exit status."""
    request = read_request(request_fd)
    fcntl.fcntl(channel, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    root = os.getcwd()
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if entry and os.path.abspath(entry) != here]
    trusted = [entry for entry in sys.path if not (entry + "/").startswith(root + "/")]
    import pytest

    sys.argv[:] = [pytest.__file__]
    version = tuple(int(part) for part in pytest.__version__.split(".")[:2])
    reporter = Reporter(request, channel, trusted)
    for name, manner in MANNERS.items():  # no decorators, for they would need pytest earlier
        pytest.hookimpl(**{manner: True})(Reporter.__dict__[name])
    sys.path.insert(0, root)  # as ``python -m pytest`` does
    files = wanted_files(request, reporter.wanted)
    arguments = command(request, files, version, trusted)
    status = int(pytest.main(arguments, plugins=[reporter]))
    reporter.send("finished", status=status)
    return status


if __name__ == "__main__":
    CHANNEL = int(sys.argv[2])
    try:
        STATUS = main(int(sys.argv[1]), CHANNEL)
    except BaseException as problem:
        os.write(CHANNEL, json.dumps({"event": "broken", "message": repr(problem)}).encode())
        os.write(CHANNEL, b"\n")
        os._exit(70)
    os._exit(STATUS)
