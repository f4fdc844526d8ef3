"""The verb on recorded rollouts: files in, files out, nothing lost on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regreen.cli.main import main
from regreen.core.trajectory import Trajectory
from regreen.store.atif import write_atif
from regreen.store.parquet import read_parquet
from regreen.store.rendered import RenderedRow
from regreen.store.rows import to_record
from regreen.store.run import RunDirectory
from regreen.store.trajectory_sets import read_trajectories, write_rows
from regreen.templates import FORMATS
from regreen.templates.diversity.draw import DiversityConfig, draw
from regreen.templates.diversity.families import hold_out
from regreen.templates.tokens.tokenizers import JsonTokenizer

RECORDED = Path(__file__).parents[1] / "templates" / "data" / "scripted.jsonl"
ROWS = list(read_trajectories(RECORDED))


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def said(row: Trajectory) -> list[Any]:
    return [
        (
            message["role"],
            message.get("content") or "",
            [
                (call["function"]["name"], json.loads(call["function"]["arguments"]))
                for call in message.get("tool_calls") or ()
            ],
        )
        for message in row.messages
    ]


def test_there_and_back_through_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, back = tmp_path / "there.parquet", tmp_path / "back.jsonl"

    assert run("convert", RECORDED, "--to", "glm46", "-o", there) == 0
    assert run("convert", there, "--to", "openai", "-o", back) == 0
    assert "2 of 2 trajectories" in capsys.readouterr().out
    prompted, returned = list(read_trajectories(there)), list(read_trajectories(back))
    assert {row.tool_format for row in prompted} == {"glm46"}
    assert all("tool_calls" not in message for row in prompted for message in row.messages)
    for old, new in zip(ROWS, returned, strict=True):
        assert said(new) == said(old)
        assert (new.tool_format, new.tools, new.exit_status) == ("openai", old.tools, "submitted")
        assert new.segments == old.segments
        assert [(turn.start, turn.end) for turn in new.turns] == [
            (turn.start, turn.end) for turn in old.turns
        ]
        for turn in new.turns:
            ids = [call["id"] for call in new.messages[turn.start].get("tool_calls") or ()]
            assert [observation.call_id for observation in turn.observations] == ids
    assert not list(tmp_path.glob("*.aside.jsonl"))


def test_turns_follow_when_calls_are_split(tmp_path: Path) -> None:
    out = tmp_path / "one.jsonl"

    assert run("convert", RECORDED, "--to", "openhands_xml", "-o", out) == 0
    for old, new in zip(ROWS, read_trajectories(out), strict=True):
        calls = sum(len(message.get("tool_calls") or ()) for message in old.messages)
        assert len(new.turns) == calls
        for turn in new.turns:
            assert new.messages[turn.start]["role"] == "assistant"
            assert "<function=" in new.messages[turn.start]["content"]
            assert len(turn.observations) == 1
        assert new.turns[-1].end == len(new.messages)
        assert [turn.end for turn in new.turns[:-1]] == [turn.start for turn in new.turns[1:]]
        assert new.segments == ((0, len(new.messages)),)


def test_text_rows_train_what_the_model_wrote(tmp_path: Path) -> None:
    out = tmp_path / "text.parquet"

    assert run("convert", RECORDED, "--to", "qwen3_coder", "--as", "text", "-o", out) == 0
    rows = [to_record(RenderedRow, row, "") for _, row in read_parquet(out, RenderedRow)]
    assert [row.rollout_id for row in rows] == [row.rollout_id for row in ROWS]
    for row, old in zip(rows, ROWS, strict=True):
        pieces = [row.text[start:end] for start, end in row.trained]
        assert len(pieces) == len(old.turns)
        assert all(piece.endswith("<|im_end|>") for piece in pieces)
        assert all("<tool_response>" not in piece for piece in pieces)
        assert (row.spans[0].start, row.spans[-1].end) == (0, len(row.text))


def test_drawn_formats_are_those_of_the_seed_and_come_back(tmp_path: Path) -> None:
    out, back = tmp_path / "drawn.jsonl", tmp_path / "back.jsonl"

    assert run("convert", RECORDED, "--diverse", "--seed", "5", "--hold-out", "0.3", "-o", out) == 0
    config = DiversityConfig(seed=5, held_out=hold_out(FORMATS, 0.3))
    found = list(read_trajectories(out))
    assert [row.tool_format for row in found] == [str(draw(config, row.rollout_id)) for row in ROWS]
    assert run("convert", out, "--to", "openai", "-o", back) == 0
    contents = [[str(item) for item in said(row) if item[0] == "tool"] for row in ROWS]
    returned = [
        [str(item) for item in said(row) if item[0] == "tool"] for row in read_trajectories(back)
    ]
    assert returned == contents


def test_the_configuration_sets_the_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = tmp_path / "c.toml", tmp_path / "drawn.jsonl"
    config.write_text("[diversity]\nformats = {hermes = 1}\ndefinitions = {yaml = 1}\n")

    assert run("convert", RECORDED, "--diverse", "-c", config, "-o", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["draws"]["axes"]["calls"] == {"hermes": 2}
    assert told["draws"]["axes"]["definitions"] == {"yaml": 2}
    assert told["draws"]["sizes"]["hermes"] > 10_000
    assert told["funnel"]["steps"] == [["trajectories", 2], ["converted", 2]]
    assert "name: bash" in out.read_text()


def test_a_variable_sets_the_seed_and_a_flag_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGREEN_SEED", "8")
    out = tmp_path / "drawn.jsonl"
    for flags, seed in (((), 8), (("--seed", "9"), 9)):
        assert run("convert", RECORDED, "--diverse", *flags, "-o", out) == 0
        drawn = [row.tool_format for row in read_trajectories(out)]
        config = DiversityConfig(seed=seed)
        assert drawn == [str(draw(config, row.rollout_id)) for row in ROWS]


def test_what_cannot_be_converted_is_put_aside_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "mixed.jsonl", tmp_path / "out.jsonl"
    aside = tmp_path / "out.aside.jsonl"
    mute = ROWS[0].model_copy(update={"rollout_id": "mute", "messages": ROWS[0].messages[:2]})
    mute = mute.model_copy(update={"turns": (), "segments": ()})
    write_rows(source, Trajectory, [mute, ROWS[1]])

    assert run("convert", source, "--to", "hermes", "-o", out) == 0
    shown = capsys.readouterr().out
    assert "1 of 2 trajectories" in shown
    assert "1 put aside: no answer of a model is in it" in shown
    assert list(read_trajectories(aside)) == [mute]
    assert run("convert", aside, "--to", "hermes", "-o", tmp_path / "again.jsonl") == 1
    write_rows(source, Trajectory, [ROWS[1]])
    assert run("convert", source, "--to", "hermes", "-o", out) == 0
    assert not aside.exists()


def test_a_row_that_contradicts_itself_is_put_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "odd.jsonl", tmp_path / "out.jsonl"
    odd = ROWS[0].model_copy(update={"tool_format": "runes"})
    short = ROWS[0].model_copy(update={"messages": ROWS[0].messages[:4]})
    write_rows(source, Trajectory, [odd, short, ROWS[1]])

    assert run("convert", source, "--to", "hermes", "-o", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["funnel"]["rejected"] == {
        "its format is not known": 1,
        "its turns do not fit its messages": 1,
    }
    assert run("convert", source, "--from", "openai", "--to", "hermes", "-o", out, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["funnel"]["rejected"]) == 1


def test_segments_are_rows_of_their_own(tmp_path: Path) -> None:
    source, out = tmp_path / "two.jsonl", tmp_path / "out.jsonl"
    end = len(ROWS[0].messages)
    row = ROWS[0].model_copy(update={"segments": ((0, 6), (6, end))})
    write_rows(source, Trajectory, [row])

    assert run("convert", source, "--to", "glm47", "--as", "text", "-o", out) == 0
    rows = [RenderedRow.model_validate_json(line) for line in out.read_text().splitlines()]
    assert [one.segment for one in rows] == [0, 1]
    assert sum(len(one.trained) for one in rows) == len(row.turns)
    assert run("convert", source, "--to", "openhands_xml", "-o", out) == 0
    (told,) = read_trajectories(out)
    (first, cut), (begin, last) = told.segments
    assert (first, cut, last) == (0, begin, len(told.messages))
    assert told.messages[cut - 1]["role"] == "user"


def test_every_kind_of_source_is_read(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run", config={}, lock={}) as directory:
        for row in ROWS:
            directory.append(row)
    write_rows(tmp_path / "rows.parquet", Trajectory, ROWS)
    write_atif(tmp_path / "one.json", ROWS[0])
    bare = {"messages": ROWS[0].messages, "tools": ROWS[0].tools}
    (tmp_path / "bare.jsonl").write_text(json.dumps(bare) + "\n")
    texts = {}
    for name in ("run", "rows.parquet", "one.json", "bare.jsonl"):
        out = tmp_path / f"{name}.out.jsonl"
        assert run("convert", tmp_path / name, "--to", "kimik2", "--as", "text", "-o", out) == 0
        texts[name] = json.loads(out.read_text().splitlines()[0])["text"]

    assert len(set(texts.values())) == 1


def test_without_recorded_tools_they_are_inferred_or_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, tools = tmp_path / "s.jsonl", tmp_path / "o.jsonl", tmp_path / "tools.json"
    write_rows(source, Trajectory, [ROWS[0].model_copy(update={"tools": ()})])
    tools.write_text(json.dumps(list(ROWS[0].tools)))

    assert run("convert", source, "--to", "hermes", "-o", out) == 0
    assert "inferred from the calls" in capsys.readouterr().err
    (inferred,) = read_trajectories(out)
    assert {tool["function"]["name"] for tool in inferred.tools} >= {"bash", "edit", "submit"}
    assert run("convert", source, "--to", "hermes", "--tools", tools, "-o", out) == 0
    assert "inferred" not in capsys.readouterr().err
    (told,) = read_trajectories(out)
    assert told.tools == ROWS[0].tools


def test_token_ids_decode_to_the_text(tmp_path: Path) -> None:
    vocabulary = _byte_vocabulary(tmp_path / "tokenizer.json")
    ids, text = tmp_path / "ids.jsonl", tmp_path / "text.jsonl"
    both = ("convert", RECORDED, "--to", "hermes", "-n", "1", "--tokenizer", vocabulary)

    assert run(*both, "--as", "ids", "-o", ids) == 0
    assert run(*both, "--as", "text", "-o", text) == 0
    tokens, characters = json.loads(ids.read_text()), json.loads(text.read_text())
    tokenizer = JsonTokenizer(vocabulary)
    assert tokenizer.decode(tokens["ids"]) == characters["text"]
    assert (tokens["unit"], tokens["text"]) == ("tokens", "")
    for (start, end), (first, last) in zip(tokens["trained"], characters["trained"], strict=True):
        said = tokenizer.decode(tokens["ids"][start:end])
        assert said == characters["text"][first:last]


def _byte_vocabulary(path: Path) -> Path:
    pytest.importorskip("tokenizers")
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = models.BPE(vocab={char: place for place, char in enumerate(alphabet)}, merges=[])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|im_start|>"), AddedToken("<|im_end|>")])
    tokenizer.save(str(path))
    return path


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"

    assert run("convert", RECORDED, "--to", "hermes", "-o", out, "--dry-run") == 0
    assert not list(tmp_path.iterdir())


def test_a_source_that_breaks_off_leaves_the_old_result(tmp_path: Path) -> None:
    source, out = tmp_path / "s.jsonl", tmp_path / "out.jsonl"
    source.write_text(RECORDED.read_text().splitlines()[0] + "\n{broken\n")
    out.write_text("old\n")

    assert run("convert", source, "--to", "hermes", "-o", out) == 2
    assert out.read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "s.jsonl"]


def test_malformed_rows_are_put_aside_and_the_others_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, aside = (tmp_path / name for name in ("s.jsonl", "o.jsonl", "o.aside.jsonl"))
    good = {"messages": ROWS[0].messages, "tools": ROWS[0].tools}
    deep = '{"a": ' + "[" * 3000 + "]" * 3000 + "}"
    messages: dict[str, Any] = {
        "null call": [{"role": "assistant", "tool_calls": [None]}],
        "calls as text": [{"role": "assistant", "tool_calls": "x"}],
        "null function": [{"role": "assistant", "tool_calls": [{"function": None}]}],
        "role as list": [{"role": "assistant", "content": ""}, {"role": ["user"]}],
        "deep": [
            {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": deep}}]}
        ],
        "message as text": ["x"],
        "deep within limits": [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "a", "arguments": deep[:906] + deep[-901:]}}],
            },
        ],
    }
    rows = [{"messages": found} for found in messages.values()]
    rows += [{**good, "tools": "x"}, {**good, "tools": [{"type": "function", "function": None}]}]
    source.write_text("".join(json.dumps(row) + "\n" for row in [good, *rows, good]))

    assert run("convert", source, "--to", "gemma4", "-o", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)["funnel"]
    kept = list(read_trajectories(out))
    assert len(kept) >= 3
    assert told["steps"] == [["trajectories", len(rows) + 2], ["converted", len(kept)]]
    assert told["rejected"]["the row is no trajectory"] == 2
    left = [json.loads(line) for line in aside.read_text().splitlines()]
    assert len(left) == len(rows) + 2 - len(kept)
    assert all(row["reason"] for row in left)
    again = tmp_path / "again.jsonl"
    assert run("convert", aside, "--to", "gemma4", "-o", again) == 1
    ids = [json.loads(line)["rollout_id"] for line in again.with_suffix(".aside.jsonl").open()]
    assert sorted(ids) == sorted(row["rollout_id"] for row in left)


def test_a_call_id_that_is_a_number_is_written_as_text(tmp_path: Path) -> None:
    source, out = tmp_path / "s.jsonl", tmp_path / "o.jsonl"
    call = {"id": 7, "function": {"name": "a", "arguments": {"b": 1}}}
    messages = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": 7, "content": "c"},
    ]
    turn = {"start": 0, "end": 2, "observations": [{"call_id": "7", "tool": "a"}]}
    source.write_text(json.dumps({"messages": messages, "turns": [turn]}) + "\n")

    for target in ("gemma4", "kimik2", "openai"):
        assert run("convert", source, "--to", target, "-o", out) == 0
        assert len(list(read_trajectories(out))) == 1


def test_an_alias_is_recorded_as_the_format_itself(tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    for given, recorded in (
        ("harmony", "harmony_json"),
        ("qwen[definitions=yaml,order=0]", "hermes[definitions=yaml]"),
    ):
        assert run("convert", RECORDED, "--to", given, "-o", out) == 0
        assert {row.tool_format for row in read_trajectories(out)} == {recorded}


@pytest.mark.parametrize("shape", ["messages", "text"])
def test_where_nothing_is_converted_the_old_result_stays(
    shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "s.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps({"messages": [{"role": "user", "content": "a"}]}) + "\n")
    flags = ("--to", "hermes", "--as", shape, "-o", out)

    assert run("convert", source, *flags) == 1
    assert "was not written" in capsys.readouterr().err
    assert not out.exists()
    out.write_text("old\n")
    assert run("convert", source, *flags) == 1
    assert f"{out} is as it was" in capsys.readouterr().err
    assert out.read_text() == "old\n"
    assert out.with_suffix(".aside.jsonl").exists()
    assert run("convert", source, *flags, "--json") == 1
    assert json.loads(capsys.readouterr().out)["out"] is None


def test_an_empty_source_is_an_error_and_the_old_result_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "s.jsonl", tmp_path / "out.jsonl"
    source.touch()
    out.write_text("old\n")

    assert run("convert", source, "--to", "hermes", "-o", out) == 2
    assert "no trajectory in it" in capsys.readouterr().err
    assert out.read_text() == "old\n"


def test_an_interrupt_says_how_to_go_on(tmp_path: Path) -> None:
    source, out = tmp_path / "s.jsonl", tmp_path / "out.jsonl"
    os.mkfifo(source)
    command = [sys.executable, "-m", "regreen", "convert", source, "--to", "hermes", "-o", out]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process,
        source.open("w") as pipe,
    ):
        pipe.write(RECORDED.read_text())
        pipe.flush()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    last = said.strip().splitlines()[-1]
    assert last == f"regreen convert {source} --to hermes -o {out}"
    assert [path.name for path in tmp_path.iterdir()] == ["s.jsonl"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("formats = {hermes = nan}", "finite"),
        ("results = {hermes = 1}\nheld_out = ['hermes']", "none of the results"),
        ("formats = {hermess = 1}", "did you mean hermes"),
    ],
)
def test_a_wrong_configuration_names_its_file_and_key(
    settings: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f"[diversity]\n{settings}\n")

    assert run("convert", RECORDED, "--diverse", "-c", config, "-o", tmp_path / "o.jsonl") == 2
    said = capsys.readouterr().err
    what, where, mend = said.strip().splitlines()
    assert words in what
    assert str(config) in where
    assert settings.partition(" ")[0] in mend
    assert "[diversity]" in mend


def test_holding_out_no_share_holds_out_nothing(tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"

    assert run("convert", RECORDED, "--diverse", "--hold-out", "0", "-o", out) == 0
    config = DiversityConfig()
    drawn = [row.tool_format for row in read_trajectories(out)]
    assert drawn == [str(draw(config, row.rollout_id)) for row in ROWS]


def test_an_unknown_column_and_a_broken_line_say_what_helps_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "s.jsonl", tmp_path / "o.jsonl"
    source.write_text(json.dumps({"messages": [], "colour": 1}) + "\n")
    assert run("convert", source, "--to", "hermes", "-o", out) == 2
    said = capsys.readouterr().err
    assert "colour" in said
    assert "read_tasks" not in said
    source.write_text("{broken\n")
    assert run("convert", source, "--to", "hermes", "-o", out) == 2
    assert "regreen rollout --resume" in capsys.readouterr().err
