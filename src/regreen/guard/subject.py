"""Whose answer must not be fetched: the repository, the distributions and the addresses of a task.

A task names its repository as ``owner/name`` or by its distribution; the other names are guessed
from it, since a refusal of one more name costs nothing and a name left out is a way around.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from regreen.core.task import Task

__all__ = ["Subject", "normalised", "subject_of"]

_HOSTED = re.compile(r"(?:[\w.+-]+@)?[\w.-]+[/:]([\w.-]+)/([\w.-]+?)(?:\.git)?/?$")


def normalised(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).strip("-").lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a blocker protects."""

    repo: str = ""
    """``OWNER/NAME`` of the repository, or empty."""
    distributions: frozenset[str] = frozenset()
    """Normalised names under which releases of it are published."""
    addresses: tuple[str, ...] = ()
    """Further hosts or address prefixes where it is published."""
    workdir: str = "/testbed"
    """Where its repository lies in the box."""

    @classmethod
    def of(
        cls,
        repo: str,
        *,
        distributions: Iterable[str] = (),
        addresses: Iterable[str] = (),
        workdir: str = "/testbed",
    ) -> Subject:
        """A subject from a repository's name, ``OWNER/NAME`` or a distribution's."""
        slug = repo.strip("/").removesuffix(".git")
        found = (
            _HOSTED.search(slug) if "://" in slug or ":" in slug or slug.count("/") > 1 else None
        )
        if found:
            slug = f"{found[1]}/{found[2]}"
        name = slug.rpartition("/")[2].partition("==")[0]
        names = {normalised(each) for each in distributions}
        if name:
            names |= _variants(normalised(name))
        return cls(
            repo=slug if "/" in slug else "",
            distributions=frozenset(names - {""}),
            addresses=tuple(addresses),
            workdir=workdir,
        )

    def named_in(self, text: str) -> bool:
        """Whether an address leads to the repository or one of the further addresses."""
        plain = unquote(unquote(text)).lower()
        if any(address.lower() in plain for address in self.addresses):
            return True
        if not self.repo:
            return False
        owner, _, name = self.repo.lower().partition("/")
        pattern = rf"(?<![\w-]){re.escape(owner)}[/\s+]{re.escape(name)}(?![\w-])"
        return bool(re.search(pattern, plain)) or f"{owner}.github.io/{name}" in plain

    def publishes(self, distribution: str) -> bool:
        """Whether a package of any ecosystem is a release of it."""
        name = normalised(re.sub(r"^@[\w.-]+/", "", distribution))
        if name in self.distributions:
            return True
        return any(
            name.removeprefix(prefix) in self.distributions
            for prefix in ("python3-", "python-", "py3-", "py-", "lib", "node-", "ruby-", "golang-")
            if name.startswith(prefix)
        )


def subject_of(task: Task, *, workdir: str = "/testbed") -> Subject:
    """The subject of a task: its repository and whatever its environment's source names."""
    source = task.environment.source if task.environment else ""
    distributions: list[str] = []
    repo = task.repo
    if source.startswith("pypi:"):
        distributions.append(source.removeprefix("pypi:").partition("==")[0])
    elif "/" not in repo and ("://" in source or source.startswith("git@")):
        distributions.append(repo)
        repo = source
    return Subject.of(repo, distributions=distributions, workdir=workdir)


def _variants(name: str) -> set[str]:
    """A repository's name with and without the marks of its language."""
    found = {name, f"python-{name}"}
    for mark in ("python-", "py-", "node-", "go-", "rust-"):
        found.add(name.removeprefix(mark))
    for mark in ("-python", "-py", "-js", "-rs", "-go"):
        found.add(name.removesuffix(mark))
    return {each for each in found if len(each) > 1}
