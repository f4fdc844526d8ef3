"""Pages of the simple API: what is read from one form is in the other."""

from __future__ import annotations

from datetime import UTC
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.guard.index.desk import chosen_form, token_of
from regreen.guard.index.pages import (
    Page,
    PageFile,
    belongs,
    parse_html,
    parse_json,
    render_html,
    render_json,
)
from regreen.guard.index.policy import make_policy

BASE = "http://index/simple/demo/"
TEXTS = st.text(max_size=20)
DIGEST = st.text("0123456789abcdef", min_size=8, max_size=64).map(lambda text: {"sha256": text})
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(\+[a-z]{1,3})?", fullmatch=True)
DATES = st.datetimes(timezones=st.just(UTC))


@st.composite
def files(draw: Any) -> PageFile:
    version = draw(VERSIONS)
    name = draw(st.sampled_from([f"demo-{version}-py3-none-any.whl", f"demo-{version}.tar.gz"]))
    return PageFile(
        filename=name,
        url=f"http://index/files/demo/{quote(name, safe='')}",
        hashes=draw(st.just({}) | DIGEST),
        requires_python=draw(st.sampled_from(["", ">=3.8", "<4,>3", '>="3"&<'])),
        metadata=draw(st.just(False) | st.just(True) | DIGEST),
        yanked=draw(st.booleans() | TEXTS.filter(bool)),
        size=draw(st.none() | st.integers(0, 10**12)),
        uploaded=draw(st.none() | DATES),
    )


PAGES = st.lists(files(), max_size=4, unique_by=lambda one: one.filename).map(
    lambda found: Page(project="demo", files=tuple(found))
)


@given(PAGES)
@settings(max_examples=60)
def test_json_keeps_everything(page: Page) -> None:
    assert parse_json(render_json(page), BASE, "demo") == page


@given(PAGES)
@settings(max_examples=60)
def test_html_keeps_all_but_sizes_and_dates(page: Page) -> None:
    kept = tuple(file.model_copy(update={"size": None, "uploaded": None}) for file in page.files)
    assert parse_html(render_html(page), BASE, "demo").files == kept


@pytest.mark.parametrize(
    ("filename", "project", "expected"),
    [
        ("demo-1.0-py3-none-any.whl", "demo", True),
        ("Demo_X-1.0-py3-none-any.whl", "demo-x", True),
        ("demo-1.0.tar.gz", "demo", True),
        ("Demo.X-1.0.zip", "demo-x", True),
        ("demo-1.0-beta-2.tar.gz", "demo", True),
        ("other-1.0.tar.gz", "demo", False),
        ("demo_x-1.0-py3-none-any.whl", "demo", False),
        ("demo-1.0.exe", "demo", False),
        ("../demo-1.0.tar.gz", "demo", False),
        (".demo-1.0.tar.gz", "demo", False),
        ("demo-1.0.tar.gz\n", "demo", False),
    ],
)
def test_whose_a_file_is(filename: str, project: str, expected: bool) -> None:
    assert belongs(filename, project) is expected


def test_a_directory_has_no_index_to_settle_doubts() -> None:
    assert belongs("demo-2-1.0.tar.gz", "demo-2", strict=True)
    assert not belongs("demo-2-1.0.tar.gz", "demo", strict=True)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"files": 3}', b'{"meta":{"api-version":"2.0"},"files":[]}']
)
def test_something_else_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_json(body, BASE, "demo")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+json"),
        ("application/vnd.pypi.simple.latest+json", "application/vnd.pypi.simple.v1+json"),
        (
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1,"
            " text/html; q=0.01",
            "application/vnd.pypi.simple.v1+json",
        ),
        ("text/html, application/vnd.pypi.simple.v1+json;q=0.2", "text/html"),
        ("application/vnd.pypi.simple.v1+html;q=nonsense", "application/vnd.pypi.simple.v1+html"),
    ],
)
def test_the_form_is_negotiated(accept: str, kind: str) -> None:
    assert chosen_form(accept)[1] == kind


@given(st.text(max_size=30))
def test_a_header_that_holds_no_token_is_none(text: str) -> None:
    assert token_of(text) == "" or text.lower().startswith("basic ")


@given(st.sampled_from(["a.b", "A_B", "a--b", "A-._b"]), st.sampled_from(["a-b", "A..B"]))
def test_names_are_compared_normalised(asked: str, subject: str) -> None:
    policy = make_policy([subject, " "], None, "refuse")
    assert "'a-b'" in policy.refuses_project(asked)
    assert policy.refuses_project("a-b-c") == policy.refuses_project("ab") == ""
