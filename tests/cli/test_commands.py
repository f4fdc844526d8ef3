"""Every verb explains itself, with an example, and the flags mean the same everywhere."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from regreen.cli.main import main
from regreen.templates import FORMATS

VERBS = [
    ("quickstart",),
    ("learn",),
    ("tasks", "inject"),
    ("tasks", "mine"),
    ("tasks", "build"),
    ("tasks", "validate"),
    ("tasks", "show"),
    ("tasks", "convert"),
    ("tasks", "rate"),
    ("tasks", "decontaminate"),
    ("model", "plan"),
    ("guard", "scan"),
    ("guard", "replay"),
    ("guard", "audit"),
    ("rollout",),
    ("eval",),
    ("grade",),
    ("report",),
    ("convert",),
    ("pack",),
    ("train", "rl"),
    ("train", "sft"),
    ("train", "texts"),
    ("train", "worker"),
    ("train", "select"),
    ("train", "problems"),
    ("doctor",),
    ("plugins",),
]
GOLDEN = Path(__file__).parent / "help"
RECORDED = Path(__file__).parents[1] / "templates" / "data" / "scripted.jsonl"


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_is_as_recorded_and_has_an_example(
    verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    code, out, _ = run(*verb, "--help")

    assert code == 0
    assert "For example" in out
    assert f"regreen {' '.join(verb)}" in out
    golden = GOLDEN / f"{'-'.join(verb)}.txt"
    if os.environ.get("REGREEN_WRITE_GOLDEN"):
        golden.write_text(out)
    assert out == golden.read_text(), "the help changed; if meant, REGREEN_WRITE_GOLDEN=1 make test"


def test_root_help_names_every_verb() -> None:
    _, out, _ = run("--help")

    assert all(verb[0] in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_shared_flags_are_everywhere(verb: tuple[str, ...]) -> None:
    _, out, _ = run(*verb, "--help")

    assert all(flag in out for flag in ("--json", "--quiet", "--verbose"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("tasks", "show", "absent.jsonl"), 2, "absent.jsonl"),
        (("tasks", "inject", "/no/such/place", "-o", "{tmp}/t.jsonl"), 2, "/no/such/place"),
        (("tasks", "inject", ".", "-o", "/proc/t.jsonl"), 2, "/proc/t.jsonl"),
        (("tasks", "inject", ".", "-o", "{tmp}/t.csv"), 2, ".csv"),
        (("tasks", "inject", ".", "-n", "0", "-o", "{tmp}/t.jsonl"), 2, "--limit"),
        (("tasks", "inject", ".", "--operators", "sabotage", "-o", "{tmp}/t.jsonl"), 2, "sabotage"),
        (("tasks", "inject", ".", "-j", "0", "-o", "{tmp}/t.jsonl"), 2, "-j"),
        (("tasks", "inject", ".", "--by", "magic", "-o", "{tmp}/t.jsonl"), 2, "magic"),
        (("tasks", "inject", ".", "--by", "modify", "-o", "{tmp}/t.jsonl"), 2, "--base-url"),
        (
            ("tasks", "inject", ".", "--by", "mirror", "--max-share", "1", "-o", "{tmp}/t.jsonl"),
            2,
            "--max-share",
        ),
        (("tasks", "inject", ".", "--attempts", "2", "-o", "{tmp}/t.jsonl"), 2, "--attempts"),
        (
            ("tasks", "inject", ".", "--by", "mirror", "--issues", "x", "-o", "{tmp}/t.jsonl"),
            2,
            "--issues",
        ),
        (
            (
                *("tasks", "inject", ".", "--by", "modify", "--base-url", "http://x/v1"),
                *("--model", "m", "--issues", "{tmp}/empty.jsonl", "-o", "{tmp}/t.jsonl"),
            ),
            2,
            "empty.jsonl",
        ),
        (("tasks", "build", "/no/such/place"), 2, "/no/such/place"),
        (("tasks", "build", "absent.jsonl"), 2, "absent.jsonl"),
        (("tasks", "build", "absent.jsonl", "--python", "3.9"), 2, "--python"),
        (("tasks", "build", ".", "--rootfs"), 2, "--oci"),
        (("tasks", "build", ".", "--oci", "/proc/image.tar"), 2, "/proc/image.tar"),
        (("tasks", "build", ".", "--dockerfile", "/proc/Dockerfile"), 2, "/proc/Dockerfile"),
        (("tasks", "rate", "absent.jsonl", "-o", "{tmp}/t.jsonl"), 2, "absent.jsonl"),
        (("tasks", "rate", "absent.jsonl", "-o", "{tmp}/t.csv"), 2, ".csv"),
        (("tasks", "rate", "absent.jsonl", "-j", "0", "-o", "{tmp}/t.jsonl"), 2, "-j"),
        (
            ("tasks", "decontaminate", "{tmp}/t", "--against", "{tmp}/none", "-o", "{tmp}/t.jsonl"),
            2,
            "none",
        ),
        (
            ("tasks", "decontaminate", "{data}", "--against", "{data}", "-o", "{data}"),
            2,
            "own source",
        ),
        (("rollout", "absent.jsonl", "--agent", "nobody", "--run", "{tmp}/r"), 2, "nobody"),
        (("rollout", "absent.jsonl", "--agent", "mini", "--run", "{tmp}/r"), 2, "model"),
        (("report", "{tmp}/nothing"), 2, "nothing"),
        (("grade", "absent.jsonl"), 2, "--patches"),
        (("convert", "absent.jsonl", "--to", "hermes", "-o", "{tmp}/c.jsonl"), 2, "absent.jsonl"),
        (("convert", "{data}", "--to", "hermess", "-o", "{tmp}/c.jsonl"), 2, "hermes?"),
        (("convert", "{data}", "--to", "hermes[runes=1]", "-o", "{tmp}/c.jsonl"), 2, "runes"),
        (("convert", "{data}", "--to", "hermes", "-o", "{tmp}/c.csv"), 2, ".csv"),
        (("convert", "{data}", "--to", "hermes", "-n", "0", "-o", "{tmp}/c.jsonl"), 2, "--limit"),
        (("convert", "{data}", "-o", "{tmp}/c.jsonl"), 2, "--to"),
        (("convert", "{data}", "--to", "hermes", "--diverse", "-o", "{tmp}/c.jsonl"), 2, "--to"),
        (
            ("convert", "{data}", "--to", "hermes", "--seed", "1", "-o", "{tmp}/c.jsonl"),
            2,
            "--seed",
        ),
        (("convert", "{data}", "--to", "openai", "--as", "text", "-o", "{tmp}/c.jsonl"), 2, "text"),
        (("convert", "{data}", "--to", "hermes", "--as", "ids", "-o", "{tmp}/c.jsonl"), 2, "--as"),
        (("convert", "{data}", "--diverse", "--hold-out", "no", "-o", "{tmp}/c.jsonl"), 2, "'no'"),
        (("convert", "{data}", "--diverse", "--hold-out", "1.5", "-o", "{tmp}/c.jsonl"), 2, "1.5"),
        (("convert", "{data}", "--diverse", "--hold-out=-0.1", "-o", "{tmp}/c.jsonl"), 2, "-0.1"),
        (("convert", "{data}", "--diverse", "--hold-out", "nan", "-o", "{tmp}/c.jsonl"), 2, "nan"),
        (("convert", "{data}", "--to", "hermes[wording=99]", "-o", "{tmp}/c.jsonl"), 2, "99"),
        (("convert", "{tmp}/empty.jsonl", "--to", "hermes", "-o", "{tmp}/c.jsonl"), 2, "empty"),
        (
            ("convert", "{data}", "--to", "hermes", "--tools", "{data}", "-o", "{tmp}/c.jsonl"),
            2,
            "list of tools",
        ),
        (("convert", "{data}", "--to", "hermes", "-o", "{data}"), 2, "own source"),
        (("pack", "absent.jsonl", "--tokenizer", "bytes", "-o", "{tmp}/p"), 2, "absent.jsonl"),
        (("pack", "{data}", "--tokenizer", "{tmp}/none.json", "-o", "{tmp}/p"), 3, "none.json"),
        (("pack", "{data}", "--tokenizer", "bytes", "-o", "{data}"), 2, "not a directory"),
        (("pack", "{data}", "--tokenizer", "bytes", "-o", "{tmp}"), 2, "no packed shards"),
        (("pack", "{data}", "--tokenizer", "bytes", "-o", "/proc/p"), 2, "/proc/p"),
        (("pack", "{data}", "--policy", "worst-fit", "-o", "{tmp}/p"), 2, "worst-fit"),
        (("pack", "{data}", "--capacity", "0", "-o", "{tmp}/p"), 2, "capacity"),
        (("pack", "{data}", "-n", "0", "-o", "{tmp}/p"), 2, "limit"),
        (("pack", "{data}", "-j", "0", "-o", "{tmp}/p"), 2, "-j"),
        (("pack", "{data}", "--tool-format", "hermess", "-o", "{tmp}/p"), 2, "hermes?"),
        (("pack", "{data}", "--tool-format", "hermes", "--diverse", "-o", "{tmp}/p"), 2, "drawn"),
        (("pack", "{data}", "--weight", "tools=1", "-o", "{tmp}/p"), 2, "'tools'"),
        (("pack", "{data}", "--weight", "tool", "-o", "{tmp}/p"), 2, "ROLE=NUMBER"),
        (("pack", "{data}", "--weight", "tool=-1", "-o", "{tmp}/p"), 2, "tool"),
        (("pack", "{tmp}/empty.jsonl", "--tokenizer", "bytes", "-o", "{tmp}/p"), 2, "empty"),
        (("rollout",), 2, "--help"),
        (("bogus",), 2, "bogus"),
        (("doctor", "--bogus"), 2, "--bogus"),
    ],
)
def test_bad_input_gets_what_where_and_mend(
    arguments: tuple[str, ...], code: int, words: str, tmp_path: Path
) -> None:
    shutil.copy(RECORDED, tmp_path / "recorded.jsonl")
    (tmp_path / "empty.jsonl").touch()
    data = str(tmp_path / "recorded.jsonl")
    given = [arg.replace("{tmp}", str(tmp_path)).replace("{data}", data) for arg in arguments]
    seen, out, err = run(*given)

    assert seen == code, err
    assert out == ""
    assert words in err
    last = err.rstrip().splitlines()[-3:]
    assert [line.split(":")[0].strip() for line in last] == ["error", "where", "mend"], err
    assert "Traceback" not in err


def test_plugins_lists_agents_sandboxes_formats_and_fault_classes() -> None:
    code, out, _ = run("plugins", "--json")
    found = json.loads(out)

    assert code == 0
    assert {"oracle", "nop", "scripted", "mini", "react"} <= set(found["agents"])
    assert {"namespace", "process"} <= set(found["sandboxes"])
    assert len(found["operators"]) >= 24
    formats = {row["id"]: row for row in found["formats"]}
    assert set(formats) == set(FORMATS)
    assert formats["qwen3_coder"]["title"].startswith("Qwen3-Coder")
    assert "qwen3_xml" in formats["qwen3_coder"]["aliases"]
    assert all(row["summary"] for row in found["operators"])


def test_doctor_answers_with_json() -> None:
    code, out, _ = run("doctor", "--json")
    found = json.loads(out)

    assert code in (0, 3)
    assert found["usable"] is (code == 0)
    assert {"namespace", "docker", "podman"} <= {row["name"] for row in found["checks"]}
