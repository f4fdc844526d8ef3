"""Tasks with the strangest contents a format must hold, for properties."""

from __future__ import annotations

from hypothesis import strategies as st

from regreen.core.task import Environment, Task

_TEXT = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from("\n\r\t \"'\\:#-[]{}%\u2028\x85"),
    max_size=40,
)
_PARAMETER = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
IDS = st.builds(
    lambda name, inside: f"tests/test_a.py::test_{name}" + (f"[{inside}]" if inside else ""),
    st.sampled_from(["x", "ünï", "é", "T::test_y"]),
    _PARAMETER | st.sampled_from(["a b", "a  b ", "line\nfeed", "[[", "]", "a - b", "\x1b[0m"]),
)
_LINES = st.lists(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n"), max_size=12),
    min_size=1,
    max_size=4,
)


def _patch(path: str, lines: list[str], end: str) -> str:
    body = "".join(f"+{line}{end}\n" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{len(lines)} @@\n{body}"
    )


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """Any task that the classic columns hold whole, and an environment beside them."""
    dates = st.sampled_from(["", "2024-05-06T07:08:09+00:00", "2021-04-30T04:39:56Z"])
    ends = st.sampled_from(["", "\r"])
    return Task(
        instance_id=draw(st.sampled_from(["a__b-1", "x.1-2_3", "Grün__b-7"])),
        repo="a/b",
        base_commit="0123456789abcdef0123456789abcdef01234567",
        patch=_patch("a.py", draw(_LINES), draw(ends)),
        test_patch=_patch("tests/test_a.py", draw(_LINES), draw(ends)),
        problem_statement=draw(_TEXT),
        hints_text=draw(_TEXT),
        created_at=draw(dates),
        version=draw(st.sampled_from(["", "1.10", "no", "3"])),
        FAIL_TO_PASS=draw(st.lists(IDS, min_size=1, max_size=3, unique=True)),
        PASS_TO_PASS=draw(st.lists(IDS, max_size=3, unique=True)),
        environment_setup_commit=draw(st.sampled_from(["", "89abcdef"])),
        environment=Environment(
            source="https://example.org/a/b.git",
            commit="0123456789abcdef0123456789abcdef01234567",
            repo_layer="1" * 64,
            env_layer="2" * 64,
            patched=draw(st.booleans()),
            python="3.11.7",
            install=("uv venv --python /here/python3.11 /opt/env",),
            options=("-c", "neutral.ini"),
        ),
        source="mined",
        interface="def a(b): ...",
        license="MIT",
    )
