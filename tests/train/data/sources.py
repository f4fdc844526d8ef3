"""Files for the suites of training data, without a tree on disk."""

from __future__ import annotations

from hypothesis import strategies as st

from regreen.train.data.files import SourceFile, is_test
from regreen.train.data.joined import Source
from regreen.train.data.languages import language_of

SOURCE = Source("owner/name", "0123456789abcdef", "MIT")

PYTHON = '''\
"""Ünïcode in front of code: é."""

import os


class Greeter:
    name = "wörld"; other = 1

    def greet(self, times: int = 1) -> str:
        """Say it."""
        if times:
            return "héllo " + self.name * times
        return ""


async def main(): return Greeter().greet(2)
'''


def file(path: str, text: str) -> SourceFile:
    language = language_of(path)
    assert language is not None
    return SourceFile(path=path, text=text, language=language, test=is_test(path))


LINES = st.lists(
    st.sampled_from(
        [
            "x = 1",
            "def f(a):",
            "    return a",
            "",
            "é = 'ü'",
            "🎈",
            "=======",
            "<|fim_prefix|>",
            "\t",
        ]
    ),
    min_size=1,
    max_size=30,
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
TEXTS = st.one_of(
    st.builds(
        lambda lines, end, last: end.join(lines) + last, LINES, ENDS, st.sampled_from(["", "\n"])
    ),
    st.just(PYTHON),
    st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable() and bool(text.strip())),
).filter(bool)
FILES = st.builds(file, st.sampled_from(["a.py", "b.js", "c.md"]), TEXTS)
