"""Whatever the file looks like, a fault is a change, and its gold patch undoes it byte for byte."""

import ast
import asyncio.queues
import configparser
import difflib
import functools
import hashlib
import heapq
import shlex
import subprocess
import textwrap
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.tasks.inject.operators import apply, enumerate_sites
from regreen.tasks.inject.operators.site import identity

BYTE_ORDER_MARK = "\ufeff"
SAMPLES = Path(__file__).parent / "data"
STDLIB = [textwrap, heapq, shlex, functools, configparser, asyncio.queues]
MODULES = {module.__name__: Path(str(module.__file__)) for module in STDLIB}
SAMPLE_FILES = sorted(SAMPLES.glob("operators_*.py.txt"))


def read(path: Path) -> str:
    return path.read_bytes().decode()


def tree(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = ast.parse(text.removeprefix(BYTE_ORDER_MARK))
        compile(parsed, "a.py", "exec")
    return ast.dump(parsed)


def undone(text: str, site) -> str:
    changed = apply(text, [site])
    after = site.start + len(site.replacement)
    assert changed[site.start : after] == site.replacement
    return changed[: site.start] + text[site.start : site.end] + changed[after:]


def check(source: str, sites: list, *, compiled: int) -> None:
    """All sites cheaply, and every ``compiled``-th by its whole syntax tree."""
    before = tree(source)
    last = source.count("\n") + 1
    digests = set()
    for number, site in enumerate(sites):
        changed = apply(source, [site])
        assert changed != source
        digest = hashlib.sha256(changed.encode()).digest()
        assert digest not in digests
        digests.add(digest)
        assert undone(source, site) == source
        assert 1 <= site.line <= site.end_line <= last
        assert 0 <= site.start <= site.end <= len(source)
        assert site.reach
        assert all(1 <= line <= last for line in site.reach)
        assert 0 <= site.weight <= 1
        assert site.function
        if number % compiled == 0:
            assert tree(changed) != before


def styled(source: str, style: set[str]) -> str:
    if "no final newline" in style:
        source = source.rstrip("\n")
    if "tabs" in style:
        source = "\n".join(
            "\t" * ((len(line) - len(line.lstrip(" "))) // 4) + line.lstrip(" ")
            for line in source.split("\n")
        )
    if "form feeds" in style:
        source = source.replace("\nclass ", "\n\f\nclass ").replace("\ndef ", "\n\f\ndef ")
    if "crlf" in style:
        source = source.replace("\n", "\r\n")
    if "byte order mark" in style:
        source = BYTE_ORDER_MARK + source
    return source


STYLES = ["no final newline", "tabs", "form feeds", "crlf", "byte order mark"]


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(SAMPLE_FILES), st.sets(st.sampled_from(STYLES)))
def test_samples_in_every_style(path, style):
    source = styled(read(path), style)
    sites = enumerate_sites("pkg/a.py", source)
    assert len(sites) > 20
    check(source, sites, compiled=4)


@pytest.mark.parametrize("name", MODULES)
def test_standard_library(name):
    source = read(MODULES[name])
    sites = enumerate_sites(f"lib/{name}.py", source)
    check(source, sites, compiled=40)


def test_enumeration_is_deterministic_and_styles_do_not_change_it():
    source = read(SAMPLE_FILES[0])
    sites = enumerate_sites("a.py", source)
    assert sites == enumerate_sites("a.py", source)
    for style in ("tabs", "crlf"):
        other = enumerate_sites("a.py", styled(source, {style}))
        assert [(s.operator, s.line, s.note) for s in other] == [
            (s.operator, s.line, s.note) for s in sites
        ]


def git_diff(path: str, old: str, new: str) -> str:
    """A unified diff as git writes it, line ends kept and a missing last one marked."""
    rows = difflib.unified_diff(
        split_lines(old),
        split_lines(new),
        f"a/{path}",
        f"b/{path}",
    )
    return "".join(
        row if row.endswith("\n") else row + "\n\\ No newline at end of file\n" for row in rows
    )


def split_lines(text: str) -> list[str]:
    """Lines as git counts them; ``splitlines`` also cuts at form feeds."""
    parts = text.split("\n")
    return [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


@pytest.mark.parametrize("style", [(), ("crlf",), ("form feeds", "tabs"), ("no final newline",)])
def test_gold_patch_restores_the_file_through_git(tmp_path, style):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "config", "core.autocrlf", "false"], check=True)
    for path in SAMPLE_FILES:
        source = styled(read(path), set(style))
        sites = sorted(enumerate_sites("a.py", source), key=lambda s: identity(s, 1))
        for site in sites[:12]:
            broken = apply(source, [site])
            (tmp_path / "a.py").write_bytes(broken.encode())
            patch = git_diff("a.py", broken, source).encode()
            command = ["git", "-C", str(tmp_path), "apply", "--whitespace=nowarn", "-"]
            subprocess.run(command, input=patch, check=True)
            assert (tmp_path / "a.py").read_bytes() == source.encode()


@functools.cache
def sites_of(path):
    return enumerate_sites("a.py", read(path))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SAMPLE_FILES), st.integers(0, 10**6), st.integers(2, 5))
def test_several_sites_equal_one_after_the_other(path, seed, size):
    source = read(path)
    chosen = []
    for site in sorted(sites_of(path), key=lambda s: identity(s, seed)):
        if all(site.end < other.start or other.end < site.start for other in chosen):
            chosen.append(site)
        if len(chosen) == size:
            break
    expected = source
    for site in sorted(chosen, key=lambda s: s.start, reverse=True):
        expected = apply(expected, [site])
    assert apply(source, chosen) == expected
