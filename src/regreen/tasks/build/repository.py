"""A repository made ready: tree and environment as layers, the suite found, the place to run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from regreen.core.errors import UsageError
from regreen.core.task import Environment
from regreen.grading.place import Place, compile_environment
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.environments import BuiltEnvironment, build, build_tools
from regreen.tasks.repo.discovery import Suite, find_suite, source_files
from regreen.tasks.repo.sources import Checkout, resolve
from regreen.tasks.repo.tree import blob_id

__all__ = ["Repository", "make_ready"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Everything the rest needs to know about one source."""

    checkout: Checkout
    """The tree at its commit."""
    built: BuiltEnvironment
    """Its Python environment."""
    suite: Suite
    """Where its tests are."""
    place: Place
    """Lowers and pytest arguments of its boxes."""

    def texts(self) -> dict[str, str]:
        """Library files as text with their line ends; files that are not UTF-8 are left out."""
        found = {}
        for name in source_files(self.checkout.tree.path, self.suite):
            data = (self.checkout.tree.path / name).read_bytes()
            try:
                found[name] = data.decode("utf-8")
            except UnicodeDecodeError:
                continue
        return found

    def blobs(self) -> dict[str, tuple[str, str]]:
        """Path -> (git mode, blob id) of every file of the tree."""
        root = self.checkout.tree.path
        found: dict[str, tuple[str, str]] = {}
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_symlink():
                found[name] = ("120000", blob_id(str(path.readlink()).encode()))
            elif path.is_file():
                mode = "100755" if path.stat().st_mode & 0o100 else "100644"
                found[name] = (mode, blob_id(path.read_bytes()))
        return found

    def environment(self) -> Environment:
        """How a task of this repository names its box."""
        return Environment(
            source=self.checkout.spec,
            commit=self.checkout.commit,
            repo_layer=self.checkout.tree.digest,
            env_layer=self.built.env.digest,
            build_layer=self.built.build.digest if self.built.build else "",
            python=self.built.python,
            as_of=self.built.as_of,
            requirements=self.built.requirements,
            install=self.built.install,
            test_command=(*self.place.args, *self.place.paths),
            rung=self.built.rung,
        )


async def make_ready(
    source: str,
    *,
    store: LayerStore,
    provider: SandboxProvider,
    commit: str | None = None,
    checkout: Checkout | None = None,
    tests: tuple[str, ...] = (),
    python: str | None = None,
    installed: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> Repository:
    """Fetch a source, build its environment and find its tests.

    Args:
        source: path, git URL or ``pypi:NAME[==VERSION]``.
        store: takes the layers.
        provider: makes the box the environment is built in.
        commit: of a git source; HEAD when None.
        checkout: the source where it is at hand already, perhaps with patches applied.
        tests: paths of the tests; found from the project's files when empty.
        python: version or path of an interpreter of this machine; the running one when None.
        installed: make the environment from this installation's own packages, without network;
            enough for a pure-Python source whose tests need pytest alone.
        note: told what is going on, for progress.

    Raises:
        UsageError: the source or the given tests are not there.
        TaskError: no tests, or the environment cannot be built.
    """
    if checkout is None:
        note(f"fetching {source}")
        checkout = resolve(source, store=store, commit=commit)
    for line in checkout.notes:
        note(line)
    suite = find_suite(checkout.tree.path, where=source)
    for name in tests:
        if not (checkout.tree.path / name).exists():
            msg = f"there is no {name} in the source"
            raise UsageError(msg, where=source, mend="give --tests paths relative to its root")
    note(f"building the environment as of {checkout.date:%Y-%m-%d}")
    if installed:
        from regreen.tasks.build.installed import installed_environment, installed_tools

        built = await installed_environment(checkout, store=store, provider=provider)
        tools = installed_tools(store=store)
    else:
        built = await build(checkout, store=store, provider=provider, python=python, note=note)
        tools = await build_tools(store=store, provider=provider, python=python)
    env = await compile_environment(built.env, store=store, provider=provider)
    lowers: list[Path] = [built.build.path] if built.build else []
    place = Place(
        tree=(*lowers, checkout.tree.path),
        env=env,
        tools=tools.path,
        paths=tests or suite.command.args,
        sources=source_files(checkout.tree.path, suite),
    )
    return Repository(checkout=checkout, built=built, suite=suite, place=place)


def changed_blobs(
    blobs: Mapping[str, tuple[str, str]], texts: Mapping[str, str], removed: tuple[str, ...]
) -> dict[str, tuple[str, str]]:
    """The listing of a tree with some files rewritten and some removed."""
    result = {name: entry for name, entry in blobs.items() if name not in removed}
    for name, text in texts.items():
        result[name] = (blobs[name][0], blob_id(text.encode()))
    return result
