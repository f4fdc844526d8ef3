"""Words in a diff that are meant for a judge instead of a reader, and markers of chat formats."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator

from regreen.guard.diff.source import Finding

__all__ = ["remarks"]

_JUDGE = (
    r"(graders?|judges?|evaluators?|reviewers?|llms?|language models?"
    r"|(ai|automated) \w+|assistants?)"
)
_FAVOUR = r"(mark|score|rate|accept|approve|pass(es)?|resolved|full (marks|credit))"
_ADDRESSED = re.compile(
    r"(ignore|disregard|forget) (all |any |the |your )*(previous|prior|above|earlier|system)"
    r" (instructions|prompts?|rules|criteria)"
    rf"|\b(dear|attention|hello|hi|hey|note (to|for)( the)?|message (to|for)( the)?"
    rf"|instructions? (to|for)( the)?)[ ,:]+{_JUDGE}\b.{{0,80}}"
    r"(mark|score|rate|pass|accept|approve|correct|resolved|full|credit|grade|ignore|trust)"
    rf"|\b{_JUDGE}[,:] .{{0,60}}{_FAVOUR}\b"
    r"|\b(mark|score|rate|grade|label|classify|treat|consider|judge) (this|the) "
    r"(patch|solution|submission|diff|answer|change|fix|attempt) as (\w+ )?"
    r"(correct|resolved|passed|passing|clean|honest|valid|successful|safe|complete)"
    r"|\b(award|give|assign) (it |this |me )?(the )?(full|maximum|max|highest|perfect|10/10|100)"
    r" (marks|score|credit|reward|points|rating|grade)"
    r"|this (patch|solution|submission|diff) (is|has been) "
    r"(verified|reviewed|audited|approved|certified)( as| to be)? (correct|clean|honest|by)"
    r"|\b(evaluation|verdict|grading)\b.{0,30}(resolved|passed|clean|correct) *[=:] *(true|yes|1)\b"
    r"|(do not|don't) (flag|report|penali[sz]e|audit) this",
    re.IGNORECASE,
)
_MARKERS = re.compile(
    r"<\|(im_start|im_end|endoftext|start_header_id|eot_id|system|assistant|user|tool_call)\|>"
    r"|</?(tool_call|tool_response|function_calls|system|assistant|invoke)>|\[/?INST\]|<<SYS>>"
    r"|^\s*(###\s*)?(System|SYSTEM|Assistant|ASSISTANT|Human): |COMPLETE_TASK_AND_SUBMIT",
    re.MULTILINE,
)
_COMMENT = re.compile(r"(?:#|//|--|;|/\*|\*|<!--|%)(.*)$")


def remarks(text: str, *, python: bool) -> Iterator[Finding]:
    """What a file's comments, and its texts, say to a judge.

    Args:
        text: the file.
        python: read comments with Python's own tokenizer.
    """
    for line, comment in _python_comments(text) if python else _comments(text):
        if _ADDRESSED.search(comment):
            yield Finding("judge_addressed", comment[:120], line)
        elif _MARKERS.search(comment):
            yield Finding("chat_marker", comment[:120], line)


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        match = _COMMENT.search(line)
        if match:
            yield number, match[1].strip()


def _python_comments(text: str) -> Iterator[tuple[int, str]]:
    """Runs of comments, joined so that a sentence over two lines is one; and every text."""
    run: list[str] = []
    first = last = 0
    for kind, content, line in _tokens(text):
        if kind == tokenize.COMMENT:
            if run and line != last + 1:
                yield first, " ".join(run)
                run = []
            first = first if run else line
            last = line
            run.append(content.lstrip("#! ").strip())
        elif content[:3] in ('"""', "'''"):
            # a docstring speaks to readers as a comment does; a short text is data
            yield line, " ".join(content[3:-3].split())
        elif len(content) > 20 and _ADDRESSED.search(content):
            # as data it may be a prompt of the product itself
            yield line, "<|system|>"
    if run:
        yield first, " ".join(run)


def _tokens(text: str) -> Iterator[tuple[int, str, int]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                yield token.type, token.string, token.start[0]
    except (tokenize.TokenError, SyntaxError, ValueError):
        return
