from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import zlib
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from regreen.core.trajectory import Trajectory
from regreen.view.facts import RunFacts
from regreen.view.report_html import render_html

FACTS = RunFacts("nightly", config={"agent": "mini"}, lock={"taskset_digest": "sha256:1"})
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Page(HTMLParser):
    """Collects the scripts and every address the page would ask for."""

    def __init__(self, text):
        super().__init__()
        self.scripts: dict[str, dict] = {}
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self._open: dict | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "srcset")]
        if tag == "script":
            self._open = found | {"text": ""}
            self.scripts[found.get("id", f"code{len(self.scripts)}")] = self._open

    def handle_endtag(self, tag):
        if tag == "script":
            self._open = None

    def handle_data(self, data):
        if self._open is not None:
            self._open["text"] += data

    def json(self, identity):
        script = self.scripts[identity]
        text = script["text"]
        if "data-deflated" in script:
            text = zlib.decompress(base64.b64decode(text)).decode()
        return json.loads(text)


@pytest.fixture(scope="module")
def html(trajectories, tasks, funnel):
    return render_html(
        title="mini <and> oracle",
        run=FACTS,
        trajectories=iter(trajectories),
        tasks=tasks,
        funnel=funnel,
    )


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_every_rollout_and_task_is_in_the_page(page, trajectories, tasks):
    index = page.json("index")
    assert [row["id"] for row in index["rollouts"]] == [t.rollout_id for t in trajectories]
    assert [row["id"] for row in index["tasks"]] == [t.instance_id for t in tasks]
    for row, trajectory in zip(index["rollouts"], trajectories, strict=True):
        found = page.json(row["blob"])
        assert found["messages"] == json.loads(json.dumps(trajectory.messages))
        assert found["patch"] == trajectory.patch
    assert page.json(index["tasks"][0]["blob"])["patch"] == tasks[0].patch


def test_token_ids_stay_out(page):
    (turn,) = page.json("r0")["turns"]
    assert "completion_ids" not in turn
    assert "logprobs" not in turn


def test_the_page_asks_the_network_for_nothing(html, page):
    assert [a for a in page.addresses if not a.startswith("data:")] == []
    assert "default-src 'none'" in html
    assert "@import" not in html
    assert "url(" not in html


def test_content_cannot_end_a_script(html, page):
    index = page.json("index")
    expected = 2 + len(index["rollouts"]) + len(index["tasks"])
    assert html.count("</script>") == expected
    assert page.tags.count("script") == expected
    assert "b" not in page.tags[page.tags.index("main") :] or "<b>bold" not in html
    assert "\x1b" not in html


def test_titles_and_names_are_escaped(html):
    assert "mini &lt;and&gt; oracle" in html
    assert "qwen &lt;small&gt;" in html
    assert "toolz &lt;1.0&gt;" in html


def test_the_tables_stand_without_a_script(html):
    text = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert "4 / 4" in text
    assert "infrastructure 1" in text
    assert "equivalent code" in text
    assert "taskset_digest" in text
    assert "pass@2" in text


def test_the_same_run_is_the_same_page(html, trajectories, tasks, funnel):
    again = render_html(
        title="mini <and> oracle", run=FACTS, trajectories=trajectories, tasks=tasks, funnel=funnel
    )
    assert again == html


def test_a_long_rollout_is_deflated():
    long = Trajectory(
        rollout_id="a",
        task="unknown",
        agent="b",
        messages=({"role": "user", "content": "line\n" * 20_000},),
    )
    html = render_html(title="t", run=RunFacts("x"), trajectories=[long])
    page = Page(html)
    assert "data-deflated" in page.scripts["r0"]
    assert len(page.scripts["r0"]["text"]) < 5_000
    assert page.json("r0")["messages"] == list(long.messages)
    assert page.json("index")["tasks"][0] == {
        "id": "unknown",
        "operators": [],
        "source": "",
        "difficulty": None,
        "blob": None,
    }


@pytest.mark.parametrize("with_tasks", [True, False])
def test_a_run_without_rollouts_is_a_page(tasks, with_tasks):
    html = render_html(
        title="empty", run=RunFacts("x"), trajectories=[], tasks=tasks if with_tasks else []
    )
    assert len(Page(html).json("index")["tasks"]) == (4 if with_tasks else 0)


def dom(tmp_path, html, fragment=""):
    """The page as a browser leaves it after its scripts ran."""
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update --virtual-time-budget=3000"
    )
    address = f"{path.as_uri()}{fragment}"
    command = [
        BROWSER,
        *flags.split(),
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        address,
    ]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return done.stdout.decode()


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")


@needs_browser
def test_a_browser_lists_the_tasks(tmp_path, html):
    text = dom(tmp_path, html)
    assert "4 tasks" in text
    assert text.count('class="chip resolved"') >= 5
    assert 'class="chip infrastructure"' in text
    assert "<title>mini &lt;and&gt; oracle" in text


@needs_browser
@pytest.mark.parametrize("number", [0, 1, 2, 8])
def test_a_browser_opens_a_rollout_and_runs_none_of_its_content(
    tmp_path, html, trajectories, number
):
    trajectory = trajectories[number]
    text = dom(tmp_path, html, f"#r={quote(trajectory.rollout_id, safe='')}")
    drawer = text[text.index('<aside id="drawer"') : text.index("</aside>")]
    assert trajectory.rollout_id in drawer
    assert "owned" not in text[: text.index("</title>")]
    assert "<script" not in drawer
    assert "Patch" in drawer
    if trajectory.messages:
        assert "&lt;b&gt;bold&lt;/b&gt;" in drawer
        assert '<span class="a31">red</span>' in drawer
        assert "last of all" in drawer
        assert "show all 62 lines" in drawer
        assert "exit 1" in drawer
        assert "refused" in drawer
        assert "thinking" in drawer
    if trajectory.error:
        assert f"The {trajectory.error.boundary} failed: Lost" in drawer
    if trajectory.verdict:
        assert "t.py::test_a" in drawer
    if trajectory.incidents:
        assert "blocked: git" in drawer
