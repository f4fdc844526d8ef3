"""How far a task asks for what its tests check, by rules on the row alone.

The codes are those of SWE-rebench V2 (arXiv 2602.23866); the rules are ours and need no model. Each
errs on the side of naming a code: a named task can be left out, an unnamed one misleads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from regreen.core.task import Environment, Quality, Task
from regreen.grading.patch import patch_paths
from regreen.tasks.labels.evidence import Evidence, added, defined, strings
from regreen.tasks.words.telling import THIN_WORDS, information

__all__ = ["CODES", "rate"]

CODES = {
    "B1": "suite coupling",
    "B2": "implicit naming",
    "B3": "external dependency",
    "B4": "ambiguous statement",
    "B5": "artefacts in the patch",
    "B6": "implicit knowledge",
    "B7": "inline test",
    "B8": "visual",
    "B9": "not English",
    "B10": "text fixtures",
    "B11": "several issues in one",
}
"""Code -> what it names."""

_BROAD = 20
_LATE = 2 * 365.25  # days
_EMPTY = "documented behaviour no longer holds"
_LINK = re.compile(r"https?://[^\s<>()\[\]]+")
_IMAGE = re.compile(r"!\[[^\]]*\]\(|<img\b|\.(?:png|jpe?g|gif|svg|mp4)\b", re.IGNORECASE)
_SEEING = re.compile(
    r"\b(?:screenshots?|screen ?casts?|as (?:you can )?see(?:n)? in the image)\b", re.I
)
_ARTEFACT = re.compile(
    r"(?:^|/)(?:[^/]*\.lock|package-lock\.json|.*\.min\.(?:js|css)|[^/]*\.(?:orig|rej|swp|pyc|log|bak)"
    r"|_version\.py|\.DS_Store|\.idea/.*|\.vscode/.*|build/.*|dist/.*|[^/]*\.egg-info/.*)$"
)
_FIXTURE = re.compile(
    r"\.(?:txt|json|ya?ml|xml|html?|csv|snap|ambr|golden|expected|out|approved|md|rst|svg|toml)$",
    re.IGNORECASE,
)
_ENGLISH = frozenset(
    re.findall(
        r"\w+",
        "the a to is of in and for with not it that on this be when as from but are by if should"
        " does an or add fix",
    )
)
_FEW_WORDS = 25


def rate(task: Task, *, issues: int = 0) -> Quality:
    """Judge one task by rules.

    Args:
        task: the row, with its statement.
        issues: linked issues that its statement quotes, when known.
    """
    seen = Evidence(task, issues)
    found = {code: why for code, rule in _RULES.items() if (why := rule(seen))}
    codes = tuple(code for code in CODES if code in found)
    return Quality(
        code=codes[0] if codes else "A",
        codes=codes,
        statement=_statement(seen),
        tests=_tests(seen, coupled="B1" in found),
        environment=_environment(task),
        reasons=tuple(f"{code} {CODES[code]}: {found[code]}" for code in codes),
    )


def _statement(seen: Evidence) -> str:
    if _EMPTY in seen.statement or not information(seen.own_words):
        return "empty"
    return "clear" if seen.said >= THIN_WORDS else "thin"


def _tests(seen: Evidence, *, coupled: bool) -> str:
    if coupled:
        return "coupled"
    return "broad" if seen.mostly_old or len(seen.task.FAIL_TO_PASS) > _BROAD else "aligned"


def _environment(task: Task) -> str:
    built, proved = task.environment, task.validation
    if not task.PASS_TO_PASS and task.FAIL_TO_PASS:
        return "partial"
    near = len(task.FAIL_TO_PASS) + len(task.PASS_TO_PASS)
    if proved and len(proved.flaky) * 10 > near:
        return "partial"
    late = built is not None and _days(built, task.created_at) > _LATE
    return "adapted" if built and (late or _adapted(built)) else "faithful"


def _adapted(built: Environment) -> bool:
    """Whether its rung names more than an interpreter and an installation."""
    strategy = built.rung.rpartition(": ")[0]
    return bool(built.options) or "," in strategy or bool(re.search(r"shim|adapted", built.rung))


def _days(built: Environment, created: str) -> int:
    """Days by which the environment's packages may be younger than the change."""
    try:
        made, changed = (date.fromisoformat(one[:10]) for one in (built.as_of, created))
    except ValueError:
        return 0
    return (made - changed).days


def _suite_coupling(seen: Evidence) -> str:
    """Old tests fail though nothing that they import is missing and told of."""
    if seen.mostly_old and not seen.task.interface:
        old, total = list(seen.functions.values()).count(False), len(seen.functions)
        return f"{old} of {total} failing tests were not written or changed with it"
    return ""


def _implicit_naming(seen: Evidence) -> str:
    if seen.task.interface:
        return ""  # made from the code itself, it is more exact than this rule
    told = seen.task.problem_statement
    tests = "\n".join(seen.test_lines)
    names = [
        name
        for name in defined(seen.task.patch)
        if re.search(rf"\b{name}\b", tests) and not re.search(rf"\b{name}\b", told)
    ]
    return f"the tests use {_listed(names)}, which the statement does not name" if names else ""


def _external(seen: Evidence) -> str:
    links = _LINK.findall(seen.statement)
    words = len(re.findall(r"[^\W\d_]{2,}", _LINK.sub("", seen.prose)))
    if links and words < _FEW_WORDS and not seen.has_code:
        return f"it says little besides a link to {links[0][:80]}"
    hosts = [line for line in seen.test_lines if re.search(r"\b(?:requests|urllib)\.\w+\(", line)]
    return f"a test asks the network: {hosts[0].strip()[:80]}" if hosts else ""


def _ambiguous(seen: Evidence) -> str:
    said = seen.said
    if said >= THIN_WORDS and _EMPTY not in seen.statement:
        return ""
    return f"{said} words of it mean something"


def _artefacts(seen: Evidence) -> str:
    paths = sorted(patch_paths(seen.task.patch))
    found = [path for path in paths if _ARTEFACT.search(path)]
    if found:
        return f"it changes {found[0]}"
    noise = re.search(r"^\+(?:<<<<<<< |>>>>>>> |.*\b(?:breakpoint\(\)|pdb\.set_trace\(\)))",
                      seen.task.patch, re.MULTILINE)  # fmt: skip
    return f"it adds {noise[0][1:].strip()[:80]}" if noise else ""


def _implicit_knowledge(seen: Evidence) -> str:
    """Texts that tests compare with, that the fix brings, and that nobody tells."""
    gold = "\n".join(added(seen.task.patch))
    told = re.sub(r"\s+", " ", seen.task.problem_statement)
    wanted = (
        text
        for line in seen.test_lines
        for text in strings(line)
        if len(text.split()) > 1 and text in gold and text not in told
    )
    text = next(wanted, "")
    return (
        f"the tests expect the text {text[:60]!r}, which the statement does not give"
        if text
        else ""
    )


def _inline(seen: Evidence) -> str:
    files = {test.partition("::")[0] for test in seen.task.FAIL_TO_PASS}
    both = sorted(files & patch_paths(seen.task.patch))
    return f"{both[0]} holds both the fix and a test" if both else ""


def _visual(seen: Evidence) -> str:
    hit = _IMAGE.search(seen.prose) or _SEEING.search(seen.prose)
    return f"the statement shows an image ({hit[0][:40]})" if hit else ""


def _foreign(seen: Evidence) -> str:
    letters = re.findall(r"[^\W\d_]", seen.prose)
    strange = [letter for letter in letters if not letter.isascii()]
    if len(strange) > 0.3 * max(1, len(letters)):
        return f"{len(strange)} of {len(letters)} letters are not Latin"
    words = re.findall(r"\b[^\W\d_]+\b", re.sub(r"`[^`]*`", " ", seen.prose.lower()))
    if len(words) >= _FEW_WORDS and sum(word in _ENGLISH for word in words) < 0.08 * len(words):
        return "few of its words are English"
    return ""


def _fixtures(seen: Evidence) -> str:
    found = sorted(path for path in patch_paths(seen.task.test_patch) if _FIXTURE.search(path))
    return f"the tests compare with {_listed(found)}" if found else ""


def _several(seen: Evidence) -> str:
    if seen.issues > 1:
        return f"{seen.issues} issues are quoted"
    title = seen.statement.split("\n")[0]
    parts = [
        part for part in re.split(r";\s|,\s+and\s|\s\+\s|\s&\s", title) if information(part) > 1
    ]
    return f"the title names {len(parts)} things" if len(parts) > 1 else ""


_RULES: dict[str, Callable[[Evidence], str]] = {
    "B1": _suite_coupling,
    "B2": _implicit_naming,
    "B3": _external,
    "B4": _ambiguous,
    "B5": _artefacts,
    "B6": _implicit_knowledge,
    "B7": _inline,
    "B8": _visual,
    "B9": _foreign,
    "B10": _fixtures,
    "B11": _several,
}


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
