"""What says how something was repaired instead of what was wrong, and what says nothing.

Rules on words see only the usual phrasings. What they miss is prose: no code of the fix passes,
because that is compared with the fix itself.
"""

from __future__ import annotations

import re

from regreen.tasks.words.cleaning import Removal
from regreen.tasks.words.passages import passages, sentences

__all__ = ["MIN_WORDS", "THIN_WORDS", "information", "without_telling"]

MIN_WORDS = 2
"""A text with fewer words that mean something says nothing."""
THIN_WORDS = 12
"""A text with fewer is thin: what was observed is put below it."""
_SHOWN = 200

_SELF = (
    r"(?:this|the|my|our|these)\s+(?:pr|pull[ -]request|patch|commit|change(?:s|set)?|fix(?:es)?"
    r"|branch|mr|diff|solution|implementation|approach|refactor(?:ing)?|rewrite)"
)
_DOES = (
    r"(?:now\s+|also\s+|simply\s+|just\s+|basically\s+|instead\s+|explicitly\s+|temporarily\s+)*"
    r"(?:us(?:es?|ed|ing)|replac\w+|switch\w*|mov(?:es?|ed|ing)|refactor\w*|renam\w+|rewr\w+"
    r"|extract\w*|delegat\w+|wrap(?:s|ped|ping)?|convert\w*|cast(?:s|ing)?|cach(?:es?|ed|ing)"
    r"|inlin\w+|swap\w*|simplif\w+|overrid\w+|monkey-?patch\w*|reorder\w*|hard-?cod\w+"
    r"|chang\w+\b[^.]*\b(?:to|into|from)\b|introduc\w+\s+(?:an?\s+)?(?:new\s+)?(?:private\s+)?"
    r"(?:helper|internal|method|function|class|variable|flag|check|guard|wrapper|sentinel)"
    r"|add(?:s|ed|ing)?\s+(?:an?\s+|the\s+|some\s+)?(?:\w+\s+){0,2}"
    r"(?:check|guard|helper|wrapper|sentinel|try|except|fallback|branch|condition|isinstance"
    r"|hasattr|getattr|import|call|cast|cache|private)\b"
    r"|check(?:s|ing|ed)?\s+(?:for|if|whether|that)|catch\w*|(?:re)?import\w*|call(?:s|ing|ed)\b"
    r"|remov\w+\s+the\s+(?:call|check|branch|line|import|condition|use|usage|cast|copy))\b"
)
_SYMPTOM = (
    r"(?:fail\w*|rais(?:es?|ed|ing)|break\w*|broken|crash\w*|should(?:n['\u2019]t)?|cannot|never"
    r"|(?:ca|do|does|did|is|are|was|wo)n['\u2019]t|(?:is|are|was|does|did)\s+not|errors?|wrong(?:ly)?"
    r"|loses?|lost|ignor\w+|hang\w*)"
)
_TELLING = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"^\W*(?:so\s+|here\s+|in\s+)?,?\s*{_SELF}\b[^.]*?\b{_DOES}",
        rf"^\W*{_SELF}\s+(?:is|was|consists|works|boils)\b",
        r"^\W*(?:the\s+|a\s+|an?\s+easy\s+|one\s+|my\s+)?(?:possible\s+|simple\s+|obvious\s+"
        r"|proposed\s+|suggested\s+|easy\s+)?(?:fix|solution|remedy|cure|patch)\s+"
        r"(?:is|was|would|could|should|might|seems|here)\b",
        r"^\W*(?:this\s+|it\s+)?(?:is\s+|was\s+|has\s+been\s+|can\s+be\s+|could\s+be\s+|should\s+be"
        r"\s+)?(?:fixed|solved|resolved|achieved|implemented|accomplished|addressed|done)\s+"
        r"(?:this\s+|it\s+|that\s+)?(?:by|with|through|via|using)\b",
        rf"^\W*(?:so\s+|instead,?\s+|now,?\s+|here,?\s+)*(?:i|we)(?:['\u2019]ve|\s+have|\s+had\s+to"
        rf"|['\u2019]ll|\s+will)?\s+{_DOES}",
        rf"^\W*(?:to\s+(?:fix|solve|resolve|address|avoid|prevent|do)\s+(?:this|that|it)\b[^.]*,\s+)"
        rf".*\b{_DOES}",
        rf"^\W*(?!\w+ing\b)(?!.*\b{_SYMPTOM}\b){_DOES}",
        r"^\W*(?:instead\s+of|rather\s+than)\b[^.]*,\s+(?:we\s+|i\s+|it\s+)?(?:now\s+)?us(?:e|es|ing)\b",
    )
)  # fmt: skip
_CLAUSE = re.compile(
    r",?\s+(?:by|through|via)\s+(?:first\s+|simply\s+|just\s+|explicitly\s+|always\s+|not\s+"
    r"|correctly\s+|properly\s+)?"
    r"(?:using|chang|replac|call|add|mov|check|switch|remov|mak|sett|pass|wrapp|convert"
    r"|catch|import|cach|cast|copy|delegat|renam|rewrit|compar|iterat|return|test|defin|overrid"
    r"|subclass|implement|inherit|stor|keep|tracking|delay|defer|reus|avoid|handl|normaliz|skipp"
    r"|inspect|consult|resett|initiali)"
    r"\w*\b.*$",
    re.IGNORECASE | re.DOTALL,
)

_VAGUE = frozenset(
    re.findall(
        r"\w+",
        """
    a an and the of to in on for with from by at as is are be was were it its this that these those
    some more new now not no do does also so or but if into up out my our we i you
    fix fixes fixed fixing bug bugs bugfix issue issues problem problems update updates updated
    add adds added adding change changes changed improve improves improved improvement improvements
    test tests testing tested testcase testcases unittest unit coverage cover covers wip tmp temp
    misc minor small tiny various typo typos lint linting flake8 pep8 style format formatting black
    ruff mypy cleanup clean cleaning refactor refactoring refactored rewrite tweak tweaks work
    code stuff thing things ci travis build builds review reviews comment comments feedback address
    addressed addresses changelog docs doc documentation docstring docstrings readme merge merged
    branch master main develop pull request pr commit version release bump oops again really final
    failing broken better correct correctly properly proper make makes made handle handles handling
    few back see close closes closed resolve resolves resolved ref refs gh todo first try
    """,
    )
)


def information(text: str) -> int:
    """Words of a text that mean something, each once.

    Names in backticks count twice, and a line of code three times.
    """
    words: set[str] = set()
    code = 0
    for part in passages(text):
        if part.code:
            code += sum(bool(line.strip()) for line in part.lines)
            continue
        prose = re.sub(r"https?://\S+|#\d+", " ", "\n".join(part.lines))
        found = re.findall(r"[^\W\d][\w'.-]*\w", prose)
        words |= set(re.findall(r"`+[^`\s]+`+", prose))
        words |= {word.lower() for word in found if not word.isdigit()} - _VAGUE
    return len(words) + 3 * code


def without_telling(unit: str, removed: list[Removal]) -> str:
    """A paragraph without the sentences and clauses that tell how something was done."""
    kept: list[str] = []
    for sentence in sentences(unit):
        if any(form.search(sentence) for form in _TELLING):
            removed.append(Removal(kind="fix sentence", text=" ".join(sentence.split())[:_SHOWN]))
            continue
        clause = _CLAUSE.search(sentence)
        if clause and information(sentence[: clause.start()]):
            removed.append(Removal(kind="fix sentence", text=" ".join(clause[0].split())[:_SHOWN]))
            end = re.search(r"[.!?:]?\s*$", sentence)
            kept.append(sentence[: clause.start()] + (end[0] if end else ""))
            continue
        kept.append(sentence)
    return "".join(kept).strip()
