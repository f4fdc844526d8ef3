"""``regreen guard replay`` explains a decision, and its JSON has a stable form."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from regreen.cli.main import main


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["guard", "replay", *arguments])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    return code, out.getvalue(), err.getvalue()


def judged(*arguments: str) -> dict[str, object]:
    code, out, _ = run(*arguments, "--json")
    assert code == 0
    found: dict[str, object] = json.loads(out)
    return found


def test_a_refusal_in_json() -> None:
    row = judged("--command", "git clone https://github.com/o/n /tmp/x", "--repo", "o/n")

    assert row["decision"] == "block"
    assert row["rule"] == "git-network"
    assert "prohibited" in str(row["message"])
    assert set(row) == {
        "decision", "rule", "reason", "message", "hacking", "evidence", "flags", "commands",
        "unread_files",
    }  # fmt: skip


def test_ordinary_work_in_json() -> None:
    row = judged("--command", "git commit -m 'see https://github.com/o/n'", "--repo", "o/n")

    assert (row["decision"], row["rule"], row["message"]) == ("allow", "", "")


def test_people_are_told_the_rule_and_the_commands() -> None:
    code, out, _ = run("--command", "U=https://x.org; curl $U", "--repo", "o/n")

    assert code == 0
    assert out.startswith("block\nrule      network-fetch\n")
    assert "curl https://x.org: network-fetch" in out


def test_a_command_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("git reflog\n"))

    assert judged("--command", "-", "--repo", "o/n")["rule"] == "history-all"


def test_other_tools_distributions_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "get.sh").write_text("curl https://x.org\n")

    assert judged("--tool", "web_search", "--arguments", '{"query": "x"}')["rule"] == "web-tool"
    pip = ("--command", "pip install PyYAML", "--repo", "yaml/pyyaml")
    assert judged(*pip)["rule"] == "package-of-target"
    pip = ("--command", "pip install other", "--distribution", "other")
    assert judged(*pip)["decision"] == "block"
    run_it = ("--command", "bash get.sh", "--repo", "o/n")
    assert judged(*run_it)["unread_files"] == ["/testbed/get.sh"]
    assert judged(*run_it, "--file", "get.sh")["rule"] == "network-fetch"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--command", "ls", "--tool", "bash"),
        ("--tool", "bash", "--arguments", "{"),
        ("--tool", "bash", "--arguments", "[]"),
        ("--command", "ls", "--arguments", "{}"),
        ("--command", "bash x", "--file", "/no/such/file"),
    ],
)
def test_a_call_that_is_none_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)

    assert code == 2
    assert out == ""
    assert "mend:" in err


@pytest.mark.parametrize("repo", ["", "not a repo", "/", "a//b", "o/n; ls"])
def test_a_repository_that_is_none_is_a_usage_error(repo: str) -> None:
    code, out, err = run("--command", "ls", "--repo", repo)

    assert (code, out) == (2, "")
    assert "OWNER/NAME" in err
    assert len(err.strip().splitlines()) == 3


@pytest.mark.parametrize(
    "repo", ["o/n", "flask", "https://github.com/o/n.git", "git@github.com:o/n", "o.x/n-m_k/"]
)
def test_a_repository_by_name_or_address(repo: str) -> None:
    assert judged("--command", "ls", "--repo", repo)["decision"] == "allow"


def test_a_command_that_is_no_text_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO(b"echo '\xff\xfe'; git reflog\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(raw, encoding="utf-8"))

    assert judged("--command", "-", "--repo", "o/n")["rule"] == "history-all"
