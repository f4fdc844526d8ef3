"""Whether a command is what a rule describes."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from regreen.guard.rules.packages import installed
from regreen.guard.rules.places import Place
from regreen.guard.rules.table import Match, Rule
from regreen.guard.rules.tables import Tables
from regreen.guard.rules.targets import targets
from regreen.guard.shell.command import Command
from regreen.guard.shell.git import asks_help, read_git, revisions
from regreen.guard.shell.scope import origin_of
from regreen.guard.subject import Subject

__all__ = ["Hit", "Look", "matches"]

_RUN_AT_ONCE = frozenset({"uvx", "npx", "bunx", "pnpx"})
_NEGATED = re.compile(r"^(--exclude|--ignore|--glob=!|-g!)")


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that holds for a command."""

    rule: Rule
    """The rule."""
    evidence: str
    """What of the call it holds for."""


@dataclass(frozen=True)
class Look:
    """A command as the rules see it; each view is worked out once."""

    command: Command
    """The command."""
    subject: Subject
    """Whose answer is protected."""
    tables: Tables
    """Programs, managers and hosts."""

    @cached_property
    def places(self) -> list[Place]:
        """Where it goes."""
        return targets(self.command, self.tables.programs, self.subject, self.tables.hosts)

    @cached_property
    def installs(self) -> set[str]:
        """What it installs, by class."""
        if self.command.language != "shell":
            return set()
        found = installed(self.command, self.tables.managers, self.subject, self.tables.hosts)
        return set(found)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The arguments, for git those of the subcommand; fed ones where it reads them so."""
        command = self.command
        words = command.arguments
        if command.program == "git":
            words = read_git(words).arguments
            words = words[: words.index("--")] if "--" in words else words
        if command.links and command.language != "shell":
            words = tuple(origin_of(word, command.links) for word in words)
        if "--stdin" in words and command.stdin:
            words += tuple(command.stdin.split())
        return words

    @cached_property
    def verb(self) -> str:
        """Its first words that are no options."""
        if self.command.program == "git":
            call = read_git(self.command.arguments)
            return " ".join((call.name, *call.words[:1]))
        words = [word for word in self.command.arguments if not word.startswith("-")]
        return " ".join(words[:2])

    @cached_property
    def revisions(self) -> list[str]:
        """Revisions among git's arguments, without those the same call made."""
        if self.command.program != "git":
            return []
        found = revisions(read_git(self.command.arguments))
        return [each for each in found if each not in self.command.made]

    @cached_property
    def helps(self) -> bool:
        """Whether it only shows its help; not so for one that hands ``--help`` on."""
        words = self.command.arguments
        if self.command.language != "shell" or "--help" not in words:
            return False
        if self.command.program == "git":
            return words[0] == "--help" or asks_help(read_git(words))
        known = any(
            re.fullmatch(pattern, self.command.program)
            for manager in self.tables.managers
            for pattern in manager.programs
        )
        runs = bool({"run", "x", "exec", "dlx", "create", "shell", ""} & set(self.verb.split(" ")))
        return words[0] == "--help" or (
            known
            and words[-1] == "--help"
            and not runs
            and self.command.program not in _RUN_AT_ONCE
        )

    def found(self, pattern: str, texts: Iterable[str]) -> bool:
        """Whether a regular expression is found in one of the texts."""
        regex = (
            pattern.replace("@names", _spelled(self.subject)) if "@names" in pattern else pattern
        )
        return any(re.search(regex, text) for text in texts)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """What it may read: arguments that are not excluded, redirections; made absolute."""
        words = [w for w in _read(self.command) if not _NEGATED.match(w)]
        words += [target for _, target in self.command.redirects]
        cwd = self.command.cwd
        found = [posixpath.join(cwd, word) if cwd else word for word in words if len(word) < 4_000]
        links = self.command.links
        return tuple(origin_of(path, links) if links else path for path in found)

    @cached_property
    def own(self) -> bool:
        """Whether it looks at a fresh repository that the same call made elsewhere."""
        command, home = self.command, self.subject.workdir
        fresh = {each for each in command.repositories if not f"{each}/".startswith(f"{home}/")}
        if not fresh:
            return False
        if command.program == "git":
            call = read_git(command.arguments)
            place = posixpath.normpath(posixpath.join(command.cwd, *call.folders))
            return place in fresh and not call.elsewhere
        inside = [path for path in self.paths if "/.git/" in path]
        return bool(inside) and all(path.partition("/.git/")[0] in fresh for path in inside)


def _read(command: Command) -> Iterator[str]:
    """Arguments without those that say what to leave out."""
    words = command.arguments
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        negated = place > 1 and words[place - 2] in {"!", "-not"}
        if negated or after == "-prune" or before in {"--exclude", "--exclude-dir", "--ignore"}:
            continue
        yield word.partition("=")[2] if word.startswith("--") and "=" in word else word


def matches(rules: Sequence[Rule], look: Look) -> Iterator[Hit]:
    """The rules that hold for a command."""
    for rule in rules:
        for match in rule.match:
            if rule.own_repository and look.own:
                break
            if not match.tool and _holds(match, look) and (match.redirect or not look.helps):
                yield Hit(rule, look.command.text or " ".join((look.command.program, *look.words)))
                break


def _holds(match: Match, look: Look) -> bool:
    command = look.command
    if not _language(match, command):
        return False
    return (
        _any(match.program, command.program)
        and not (match.not_program and _any(match.not_program, command.program))
        and (not match.subcommand or _starts(look.verb, match.subcommand))
        and not (match.not_subcommand and _starts(look.verb, match.not_subcommand))
        and (not match.flags or _flagged(look.words, match.flags))
        and not (match.not_flags and _flagged(look.words, match.not_flags))
        and (not match.argument or look.found(match.argument, look.words))
        and (not match.revision or look.found(match.revision, look.revisions))
        and not (match.not_argument and any(re.search(match.not_argument, w) for w in look.words))
        and (not match.path or look.found(match.path, look.paths))
        and (not match.redirect or any(re.search(match.redirect, t) for _, t in command.redirects))
        and (not match.assignment or _assigned(match.assignment, command))
        and (not match.feeds or (bool(command.feeds) and _any(match.feeds, command.feeds)))
        and (not match.via or bool(set(match.via) & set(command.via)))
        and (match.mocked is None or match.mocked == command.mocked)
        and (not match.places or any(place.kind in match.places for place in look.places))
        and (not match.installs or bool(look.installs & set(match.installs)))
    )


def _language(match: Match, command: Command) -> bool:
    if match.call:
        return command.language == "python" and _any(match.call, command.program)
    if match.code:
        return command.language == "code" and command.program in match.code
    return command.language == "shell"


def _any(patterns: Sequence[str], name: str) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _starts(verb: str, subcommands: Sequence[str]) -> bool:
    return any(verb == each or verb.startswith(each + " ") for each in subcommands)


def _flagged(words: Sequence[str], flags: Sequence[str]) -> bool:
    names = [word.partition("=")[0] for word in words if word.startswith("-")]
    return any(fnmatch.fnmatchcase(name, flag) for name in names for flag in flags)


def _assigned(pattern: str, command: Command) -> bool:
    return any(re.search(pattern, f"{name}={value}") for name, value in command.assignments.items())


@cache
def _spelled(subject: Subject) -> str:
    """The project's names as one regular expression; no name gives one that is never found."""
    names = (re.escape(name).replace(r"\-", "[-_.]") for name in sorted(subject.distributions))
    return f"(?i:{'|'.join(names) or '(?!)'})"
