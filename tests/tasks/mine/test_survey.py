"""What is read of a change without running it, in trees that nobody keeps tidy."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_objects import BEGIN, FIX, put_commit, put_tree
from story import Story

from regreen.core.errors import UsageError
from regreen.sandbox.layers import LayerStore
from regreen.tasks.history.line import History
from regreen.tasks.history.objects import Objects
from regreen.tasks.history.source import open_source
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.split import Limits
from regreen.tasks.mine.survey import IMPORTLIB, Survey, Surveyor

DEEP = "x = " + " + ".join(["a"] * 3000) + "\n"


def survey(story: Story, store: Path, *, tests: int = 250) -> Survey:
    objects = Objects(story.root)
    try:
        change = History(objects, where="here").change("HEAD")
        surveyor = Surveyor(objects, LayerStore(store), Limits(), tests, "here")
        found = surveyor.read(change)
        assert surveyor.read(change) == found  # with what is kept of the tree
        return found
    finally:
        objects.close()


def told(tmp_path: Path, base: dict, files: dict | None = None) -> Story:
    story = Story(tmp_path / "repository")
    story.commit("begin", "Begin", {**BEGIN, **base})
    story.commit("fix", "Fix", {**FIX, **(files or {})})
    return story


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[tool.pytest.ini_options]\ntestpaths = ['tests/**x']\n"),
        ("pyproject.toml", f"[tool.pytest.ini_options]\ntestpaths = ['{'a' * 400}']\n"),
        ("pyproject.toml", "x = " + "[" * 5000),
        ("pyproject.toml", "[tool.tox]\nlegacy_tox_ini = 5\n"),
        ("pyproject.toml", "[tool.setuptools.packages.find]\nwhere = ['../..', '/']\n"),
        ("pyproject.toml", f"[tool.setuptools]\npackages = ['{'a' * 400}', '../x']\n"),
        ("setup.cfg", "[tool:pytest]\ntestpaths = **x\n"),
        ("setup.cfg", "[pytest\nbroken"),
        ("tox.ini", f"[testenv]\ncommands = pytest {'b' * 5000}\n"),
        ("Makefile", f"test:\n\tpytest -k {'c' * 300} **z\n"),
        ("noxfile.py", "session.run('pytest', '**x')\n"),
        ("noxfile.py", f"x = {'-' * 100_000}1\n"),
        ("setup.py", DEEP),
        ("setup.py", "setup(name=[1], packages={}, install_requires=5)\n"),
        ("setup.py", "setup(extras_require={[]: 1})\n"),
        ("tests/test_deep.py", DEEP),
        ("p/deep.py", DEEP),
    ],
)
def test_settings_that_mean_nothing_are_passed_over(tmp_path, name, text):
    found = survey(told(tmp_path, {name: text}), tmp_path / "store")
    assert set(found.split.source) == {"p/core.py"}
    assert found.split.test_files == ("tests/test_core.py",)
    assert "p" in {one.partition("/")[0] for one in found.split.source}


@pytest.mark.parametrize("name", [b"..", b".git", b".GIT", b"", b".", b"A" * 300])
def test_names_that_cannot_be_written_are_a_reason(tmp_path, name):
    story = told(tmp_path, {})
    ids = {one: story.git("rev-parse", f"HEAD:{one}") for one in ("p", "tests", "p/core.py")}
    rows = [(b"100644", name, ids["p/core.py"]), (b"40000", b"p", ids["p"])]
    tree = put_tree(story, [*rows, (b"40000", b"tests", ids["tests"])])
    put_commit(story, tree, [story.names["begin"]])
    with pytest.raises(Rejected) as caught:
        survey(story, tmp_path / "store")
    assert caught.value.reason is Reason.UNSAFE_PATH


def test_folders_nested_deeper_than_any_tool_goes_are_a_reason(tmp_path):
    story = told(tmp_path, {})
    tree = story.git("rev-parse", "HEAD:tests")
    for _ in range(250):
        tree = put_tree(story, [(b"40000", b"d", tree)])
    put_commit(story, tree, [story.names["begin"]])
    with pytest.raises(Rejected) as caught:
        survey(story, tmp_path / "store")
    assert caught.value.reason is Reason.UNSAFE_PATH


def test_a_link_to_no_path_is_a_reason(tmp_path):
    story = told(tmp_path, {})
    blob = story.git("hash-object", "-w", "--stdin", stdin=b"a\0b")
    rows = [
        (b"40000", one.encode(), story.git("rev-parse", f"HEAD:{one}")) for one in ("p", "tests")
    ]
    put_commit(story, put_tree(story, [(b"120000", b"l", blob), *rows]), [story.names["begin"]])
    with pytest.raises(Rejected) as caught:
        survey(story, tmp_path / "store")
    assert caught.value.reason is Reason.UNSAFE_PATH


def test_nothing_is_left_of_a_tree_that_was_read(tmp_path):
    survey(told(tmp_path, {}), tmp_path / "store")
    assert not any((tmp_path / "store" / "staging").iterdir())


def test_files_whose_names_are_no_text_are_no_obstacle_where_nothing_differs(tmp_path):
    found = survey(told(tmp_path, {"data\udcff.txt": "x\n"}), tmp_path / "store")
    assert set(found.split.source) == {"p/core.py"}


@pytest.mark.parametrize("text", ["print 'old'\n", "def f(:\n"])
def test_code_of_another_python_is_foreign(tmp_path, text):
    assert survey(told(tmp_path, {"p/old.py": text}), tmp_path / "store").outline.foreign


def test_modules_of_one_name_outside_packages_need_an_option(tmp_path):
    tests = "def test_x():\n    assert True\n"
    alike = {"tests/a/test_x.py": tests, "tests/b/test_x.py": tests}
    assert survey(told(tmp_path / "1", alike), tmp_path / "store").outline.options == IMPORTLIB
    packed = {**alike, "tests/a/__init__.py": "", "tests/b/__init__.py": ""}
    assert survey(told(tmp_path / "2", packed), tmp_path / "store").outline.options == ()


def test_the_nearest_untouched_tests_come_first_and_no_more_than_needed(tmp_path):
    one = "def test_x():\n    assert True\n"
    others = {f"tests/{name}.py": one for name in ("test_a", "test_z_core", "test_typing")}
    base = {**others, "tests/sub/test_core.py": one, "tests/typing_edit.py": one}
    story = told(tmp_path, base)
    found = survey(story, tmp_path / "store", tests=3).outline.others  # with the change's own
    assert found == ("tests/sub/test_core.py", "tests/test_a.py")
    assert "tests/typing_edit.py" not in survey(story, tmp_path / "store").outline.others


def test_a_repository_of_longer_ids_is_refused(tmp_path):
    root = tmp_path / "repository"
    root.mkdir()
    story = Story.__new__(Story)
    story.root, story.days, story.names = root, 0, {}
    story.git("init", "-q", "-b", "main", "--object-format=sha256")
    story.commit("begin", "Begin", BEGIN)
    with pytest.raises(UsageError, match="sha256"):
        open_source(str(root), store=LayerStore(tmp_path / "store"))


@pytest.mark.parametrize(("made", "why"), [(False, "none here"), (True, "empty, or it is damaged")])
def test_no_history_and_an_empty_one_are_told_apart(tmp_path, made, why):
    root = tmp_path / "repository"
    root.mkdir()
    if made:
        Story(root)
    with pytest.raises(UsageError, match=why):
        open_source(str(root), store=LayerStore(tmp_path / "store"))


def test_clones_that_lack_something_are_noted(tmp_path):
    story = told(tmp_path, {})
    story.git("config", "uploadpack.allowFilter", "true")
    url = f"file://{story.root}"
    story.git("clone", "-q", "--bare", "--filter=blob:none", url, str(tmp_path / "partial"))
    story.git("clone", "-q", "--bare", "--depth=1", url, str(tmp_path / "shallow"))
    store = LayerStore(tmp_path / "store")
    assert "partial" in " ".join(open_source(str(tmp_path / "partial"), store=store).notes)
    assert "shallow" in " ".join(open_source(str(tmp_path / "shallow"), store=store).notes)
    assert open_source(str(story.root / "p"), store=store).notes == ()
