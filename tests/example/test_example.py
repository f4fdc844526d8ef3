from __future__ import annotations

import ast
import asyncio
import shutil
from collections import Counter

from regreen.example import example_source
from regreen.sandbox import provider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.repo.discovery import find_suite, source_files
from regreen.tasks.repo.project import Project
from regreen.tasks.repo.sources import resolve


def test_is_a_library_with_tests_and_a_licence():
    root = example_source()
    project = Project(root)
    assert project.name == "ledger"
    assert project.license == "Apache-2.0"
    assert project.dependencies == ()
    assert find_suite(root).command.args == ("tests",)
    assert len(source_files(root, find_suite(root))) == 12


def test_the_readme_shows_what_works(loop):
    text = (example_source() / "README.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]

    async def run():
        boxes = provider()
        try:
            box = await boxes.create(loop.repository.place.spec(runner=False))
            return await box.exec(["python", "-"], stdin=code.encode())
        finally:
            await boxes.close()

    assert "assert " in code
    done = asyncio.run(run())
    assert done.exit_code == 0, done.stderr.decode()


def test_its_suite_is_stable_and_quick_to_read(loop):
    assert not loop.baseline.flaky
    assert not loop.baseline.failing
    assert len(loop.baseline.stable) == loop.repository.built.collected
    assert len(loop.baseline.stable) > 150


def test_its_tests_reach_almost_every_line(loop):
    for path, text in loop.repository.texts().items():
        wanted = {
            node.lineno
            for function in ast.walk(ast.parse(text))
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
            if isinstance(node, ast.stmt) and node is not function and not _is_docstring(node)
        }
        if not wanted:
            continue
        reached = {
            line
            for line in wanted
            if loop.baseline.reach.tests(path, frozenset({line}), import_time=False)
        }
        assert len(reached) >= 0.98 * len(wanted), (path, sorted(wanted - reached))


def test_nine_of_ten_faults_are_verified(loop):
    steps = dict(loop.injection.funnel.steps)
    assert steps["tasks"] == 30
    assert steps["verified"] >= 0.9 * steps["candidates"], loop.injection.funnel.rejected


def test_its_tasks_differ(loop):
    tasks = loop.injection.tasks
    classes = Counter(name for task in tasks for name in task.operators)
    assert len(classes) >= 8
    assert max(classes.values()) <= 0.15 * len(tasks), "joined faults count too"
    assert len({task.patch for task in tasks}) == 30
    assert len({line for task in tasks for line in _files(task.patch)}) >= 8
    assert all(task.license == "Apache-2.0" for task in tasks)


def test_a_copy_anywhere_is_the_same_commit(loop, tmp_path):
    copy = shutil.copytree(example_source(), tmp_path / "elsewhere")
    again = resolve(str(copy), store=LayerStore(tmp_path / "store"))
    assert again.commit == loop.repository.checkout.commit
    assert again.tree.digest == loop.repository.checkout.tree.digest


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _files(patch: str) -> set[str]:
    return {line for line in patch.splitlines() if line.startswith("+++ ")}
