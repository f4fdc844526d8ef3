"""Which tokens are penalised: those of invalid calls in real formats, those the guard names."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.templates.strategies import cases, garbage

from regreen.core.errors import UsageError
from regreen.core.trajectory import Incident, Trajectory
from regreen.templates.chat import CHATML
from regreen.templates.guard import JOINER
from regreen.templates.registry import FORMATS, tool_format
from regreen.templates.tokens.byte_tokenizer import ByteTokenizer
from regreen.templates.tokens.dialogue import Dialogue
from regreen.templates.tokens.renderer import Renderer
from regreen.templates.tokens.tokenizers import JsonTokenizer
from regreen.templates.tools import tool_table
from regreen.train.policy.penalties import PenaltyConfig, penalise
from regreen.train.policy.penalty_arguments import argument_fault
from regreen.train.policy.penalty_calls import call_faults, token_texts


def tool(name, **more):
    parameters = {
        "type": "object",
        "properties": {"command": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["command"],
        "additionalProperties": False,
    }
    function = {"name": name, "description": "d", "parameters": parameters | more}
    return {"type": "function", "function": function}


TOOLS = [tool("bash")]
TWO = [tool("bash"), tool("look")]


def call(name, place=0, **arguments):
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{place}", "type": "function", "function": function}


def said(text, *calls):
    return {"role": "assistant", "content": text, "tool_calls": list(calls)}


def byte_renderer(name):
    form = tool_format(name)
    return Renderer(form, ByteTokenizer(form.chat.specials))


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    """A small byte-level vocabulary, in which one token spans marks, names and text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    texts = [
        tool_format(name).completion(said("Let me look.", call("bash", command="ls -la é")), TOOLS)
        for name in ("qwen3_coder", "hermes", "minimax_m2", "kimik2")
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    inner.train_from_iterator(texts * 20, trainer)
    path = tmp_path_factory.mktemp("vocabulary") / "tokenizer.json"
    inner.save(str(path))
    return JsonTokenizer(path)


def marked(renderer, ids, faults):
    return [renderer.tokenizer.decode(ids[slice(*fault.tokens)]) for fault in faults]


# -- calls --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_finds_fault_with_what_it_writes_itself(name):
    write = byte_renderer(name)
    calls = [call("bash", command="ls 'a b' # é"), call("look", command="pwd", count=3)]
    for chosen in ([], calls[:1], calls if write.form.parallel else calls[1:]):
        ids = write.completion(said("Let me look.", *chosen), TWO)
        assert call_faults(write, tool_table(TWO), ids, truncated=False) == ()


# Where no name is part of a call, or an unknown one makes it text, there is no such fault.
NAMED = sorted(
    set(FORMATS) - {"bash_block", "swe_agent", "aider_diff", "apply_patch", "code_act",
                    "llama3_json", "llama4_pythonic", "toolace", "xlam_qwen", "xml_cline"}
)  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_a_call_of_a_tool_nobody_offers_is_marked_and_the_text_in_front_is_not(name):
    write = byte_renderer(name)
    ids = write.completion(said("look at this", call("look", command="ls deep")), TWO)
    (fault,) = call_faults(write, tool_table(TOOLS), ids, truncated=False)
    (text,) = marked(write, ids, [fault])

    assert fault.kind == "unknown_tool"
    assert "look" in text.split("ls deep")[0]
    assert "look at this" not in text
    assert text.count("ls deep") == 1


TYPED = sorted({"qwen3_coder", "deepseekv32", "glm46", "minimax_m2", "hermes", "minimax_m1",
                "mistral3", "kimik2", "deepseekv3", "llama4_pythonic", "anthropic_xml",
                "harmony_json", "gemma4", "code_act"})  # fmt: skip


@pytest.mark.parametrize("name", TYPED)
def test_of_two_calls_the_one_that_does_not_fit_is_marked(name):
    write = byte_renderer(name)
    good, bad = call("look", 0, command="fine"), call("look", 1, count=3)
    for calls in ([good, bad], [bad, good]):
        ids = write.completion(said("so", *calls), TWO)
        (fault,) = call_faults(write, tool_table(TWO), ids, truncated=False)
        (text,) = marked(write, ids, [fault])
        assert (fault.kind, fault.reason) == ("arguments", "command is missing")
        assert "3" in text
        assert "fine" not in text


@pytest.mark.parametrize("name", ["qwen3_coder", "hermes", "kimik2", "minimax_m2", "glm46"])
def test_a_call_that_was_cut_is_marked_up_to_the_cut(name):
    write = byte_renderer(name)
    ids = write.completion(said("I list all of it.", call("bash", command="ls --every")), TOOLS)
    texts = token_texts(write.tokenizer, ids)
    size = next(n for n in range(len(ids)) if "".join(texts[:n]).endswith("--ev"))
    cut = ids[:size]
    (fault,) = call_faults(write, tool_table(TOOLS), cut, truncated=True)
    (shown,) = marked(write, cut, [fault])

    assert fault.kind == "incomplete"
    assert fault.tokens[1] == len(cut)
    assert "bash" in shown
    assert "I list" not in shown


def test_a_departure_from_the_format_that_was_mended_is_told_apart():
    write = byte_renderer("hermes")
    text = 'ok <tool_call>\n{"name": "bash", "arguments": {"command": "a\nb"}}\n</tool_call>'
    ids = write.tokenizer.encode(text)
    (fault,) = call_faults(write, tool_table(TOOLS), ids, truncated=False)

    assert fault.kind == "mended"
    assert marked(write, ids, [fault]) == [text[3:]]


def test_marks_that_the_text_speaks_of_are_no_calls():
    write = byte_renderer("hermes")
    text = (
        "One writes `<tool_call>` first.\n"
        '<tool_call>\n{"name": "look", "arguments": {"command": "x"}}\n</tool_call>'
    )
    ids = write.tokenizer.encode(text)
    (fault,) = call_faults(write, tool_table(TOOLS), ids, truncated=False)

    assert marked(write, ids, [fault])[0].startswith('<tool_call>\n{"name"')


@pytest.mark.parametrize("name", ["qwen3_coder", "glm46", "gemma4", "mistral3"])
def test_marks_that_the_writer_guarded_are_no_calls(name):
    write = byte_renderer(name)
    spoken = write.form.completion(said("", call("look", command="y")), TWO)
    message = said(f"Not this one: {spoken}", call("look", command="x"))
    ids = write.completion(message, TWO)
    (fault,) = call_faults(write, tool_table(TOOLS), ids, truncated=False)
    (text,) = marked(write, ids, [fault])

    assert JOINER in write.tokenizer.decode(ids)
    assert "x" in text
    assert JOINER not in text


@pytest.mark.parametrize("name", ["react", "harmony_json", "hermes"])
def test_text_that_says_the_tools_name_does_not_hide_where_the_call_begins(name):
    write = byte_renderer(name)
    ids = write.completion(said("look", call("look", command="ls deep")), TWO)
    (fault,) = call_faults(write, tool_table(TOOLS), ids, truncated=False)

    assert marked(write, ids, [fault])[0].count("look") == 1


def test_what_is_said_behind_a_call_is_not_marked():
    write = byte_renderer("hermes")
    called = '<tool_call>\n{"name": "look", "arguments": {"command": "x"}}\n</tool_call>'
    ids = write.tokenizer.encode(f"so {called}\nThat should do it.")
    (fault,) = call_faults(write, tool_table(TOOLS), ids, truncated=False)
    (text,) = marked(write, ids, [fault])

    assert text.strip().startswith(called)
    assert "should" not in text


def test_a_token_that_reaches_into_the_call_is_marked():
    form = tool_format("hermes")
    tokenizer = ByteTokenizer((*form.chat.specials, "now: <tool"))
    write = Renderer(form, tokenizer)
    straddling = tokenizer.specials["now: <tool"]
    rest = '_call>\n{"name": "look", "arguments": {"command": "x"}}\n</tool_call>'
    ids = [*tokenizer.encode("I look "), straddling, *tokenizer.encode(rest)]
    (fault,) = call_faults(write, tool_table(TOOLS), ids, truncated=False)

    assert marked(write, ids, [fault]) == ["now: <tool" + rest]


def test_the_end_of_the_turn_is_not_to_blame():
    write = byte_renderer("qwen3_coder")
    ids = write.completion(said("", call("look", command="x")), TWO)
    (fault,) = call_faults(write, tool_table(TOOLS), ids, truncated=False)

    assert ids[-1] in write.stop_ids
    assert fault.tokens[1] == len(ids) - 1


@pytest.mark.parametrize("name", ["qwen3_coder", "hermes"])
def test_whole_tokens_of_a_real_vocabulary_are_named(bpe, name):
    write = Renderer(tool_format(name), bpe)
    ids = write.completion(said("Let me look. é", call("look", command="ls é")), TWO)
    (fault,) = call_faults(write, tool_table(TOOLS), ids, truncated=False)
    (text,) = marked(write, ids, [fault])

    assert len(ids) < len(bpe.decode(ids)) / 2
    assert text.strip().startswith("<tool_call>")
    assert text.strip().endswith("</tool_call>")


@given(st.lists(st.integers(0, 258), max_size=40))
@settings(max_examples=80)
def test_what_each_token_adds_is_the_whole_text_for_any_bytes(ids):
    tokenizer = ByteTokenizer(("<|im_end|>", "é"))

    assert "".join(token_texts(tokenizer, ids)) == tokenizer.decode(ids)
    assert len(token_texts(tokenizer, ids)) == len(ids)


@given(data=st.data())
@settings(max_examples=60)
def test_what_each_token_adds_is_the_whole_text_in_a_real_vocabulary(bpe, data):
    ids = data.draw(st.lists(st.integers(0, bpe.size - 1), max_size=30))

    assert "".join(token_texts(bpe, ids)) == bpe.decode(ids)


def test_a_character_belongs_to_its_last_byte():
    tokenizer = ByteTokenizer()

    assert token_texts(tokenizer, list("aé€".encode())) == ["a", "", "é", "", "", "€"]


@given(st.lists(st.integers(0, 258), max_size=60), st.booleans())
@settings(max_examples=60)
def test_whatever_is_sampled_spans_lie_inside(ids, truncated):
    write = byte_renderer("qwen3_coder")
    start = write.tokenizer.encode("<tool_call>\n<function=bash>\n<parameter=command>\n")
    for fault in call_faults(write, tool_table(TOOLS), start + ids, truncated=truncated):
        assert 0 <= fault.tokens[0] < fault.tokens[1] <= len(start) + len(ids)


# -- arguments ----------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "mode": {"enum": ["r", "w"]},
        "lines": {"type": "array", "items": {"type": "integer"}},
        "more": {
            "type": "object",
            "properties": {"deep": {"type": "boolean"}},
            "required": ["deep"],
        },
        "size": {"type": ["number", "null"]},
        "odd": {"$ref": "#/$defs/nothing"},
    },
    "required": ["path"],
}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"path": "a"}, ""),
        ({"path": "a", "mode": "r", "lines": [1, 2], "size": 2.5, "more": {"deep": True}}, ""),
        ({"path": "a", "lines": [1.0], "size": None, "unknown": 1, "odd": object()}, ""),
        ({}, "path is missing"),
        ({"path": 3}, "path is of type integer, not string"),
        ({"path": "a", "mode": "x"}, "mode is none of the values it may have"),
        ({"path": "a", "lines": [1, "2"]}, "lines[1] is of type string, not integer"),
        ({"path": "a", "lines": [True]}, "lines[0] is of type boolean, not integer"),
        ({"path": "a", "more": {}}, "more.deep is missing"),
        ({"path": "a", "size": "big"}, "size is of type string, not null or integer or number"),
    ],
)
def test_arguments_are_held_against_the_schema(arguments, fault):
    assert argument_fault(SCHEMA, arguments) == fault


def test_unknown_parameters_are_refused_where_the_schema_says_so():
    closed = SCHEMA | {"additionalProperties": False}

    assert argument_fault(closed, {"path": "a", "b": 1}) == "b is no parameter"
    assert argument_fault({}, {"anything": 1}) == ""


# -- conversations ------------------------------------------------------------------------------


def played(name="qwen3_coder", tools=TOOLS):
    """Three turns: a good call, a call of a tool nobody offers, and a good one with a secret."""
    write = byte_renderer(name)
    dialogue = Dialogue(write, tools, [{"role": "user", "content": "mend it"}])
    for command, who in (("ls", "bash"), ("cat", "look"), ("git log --all", "bash")):
        ids = write.completion(said("I go on.", call(who, command=command)), TWO)
        dialogue.sampled(ids, "stop", [-0.5] * len(ids))
        message = dialogue.messages[-1]
        for one in message["tool_calls"]:
            answer = {"role": "tool", "tool_call_id": one["id"], "content": "<tool_call>no"}
            dialogue.append(answer)
    return dialogue


def record(dialogue, *incidents):
    return Trajectory(
        rollout_id="p#0", task="p", agent="a", messages=tuple(dialogue.messages),
        turns=tuple(dialogue.turns()), incidents=incidents,
    )  # fmt: skip


def penalised(dialogue, found):
    ids = np.array(dialogue.ids)
    return dialogue.renderer.tokenizer.decode(ids[found.penalties > 0])


def test_penalties_lie_on_the_call_in_the_whole_conversation():
    dialogue = played()
    found = penalise(dialogue)
    mask = np.array(dialogue.loss_mask, dtype=bool)

    assert found.penalties.dtype == np.float32
    assert len(found.penalties) == len(dialogue.ids)
    assert (found.penalties[~mask] == 0).all()
    assert penalised(dialogue, found).startswith("<tool_call>\n<function=look>")
    assert penalised(dialogue, found).endswith("</tool_call>")
    assert set(found.penalties.tolist()) == {0.0, 0.5}
    assert [(place, fault.kind) for place, fault in found.faults] == [(1, "unknown_tool")]


def test_tools_that_the_prompt_does_not_show_are_given_apart():
    dialogue = played(tools=None)

    assert not penalise(dialogue).faults
    assert len(penalise(dialogue, tools=TOOLS).faults) == 1
    offered = record(dialogue).model_copy(update={"tools": tuple(TOOLS)})
    assert len(penalise(dialogue, offered).faults) == 1


def incident(dialogue, *, penalty=0.75, turn=2, span=True):
    message = dialogue.messages[dialogue.samples[turn].message]
    (one,) = message["tool_calls"]
    arguments = json.dumps(one["function"]["arguments"])
    start = arguments.index("git log")
    return Incident(
        rule="history", message="reads the future", turn=turn, call_id=one["id"],
        span=(start, start + len("git log --all")) if span else None, penalty=penalty,
    )  # fmt: skip


def test_the_guards_penalty_falls_on_the_words_it_names():
    dialogue = played()
    bare = PenaltyConfig(invalid_call=0)
    found = penalise(dialogue, record(dialogue, incident(dialogue)), config=bare)

    assert penalised(dialogue, found) == "git log --all"
    assert set(found.penalties.tolist()) == {0.0, 0.75}
    assert found.num_guarded == 1


def test_an_incident_without_words_takes_its_whole_turn_and_one_without_penalty_nothing():
    dialogue = played()
    bare = PenaltyConfig(invalid_call=0)
    whole = penalise(dialogue, record(dialogue, incident(dialogue, span=False)), config=bare)
    none = penalise(dialogue, record(dialogue, incident(dialogue, penalty=0)), config=bare)

    assert (whole.penalties > 0).sum() == len(dialogue.samples[2].ids)
    assert not none.penalties.any()
    assert none.num_guarded == 0


def test_several_penalties_add_up_to_a_bound():
    dialogue = played()
    rows = [incident(dialogue), incident(dialogue), incident(dialogue, penalty=50)]
    for count, most in ((2, 1.5), (3, 2.0)):
        found = penalise(dialogue, record(dialogue, *rows[:count]))
        assert found.penalties.max() == most
    doubled = penalise(dialogue, record(dialogue, rows[0]), config=PenaltyConfig(guard=2.0))
    assert doubled.penalties.max() == 1.5


@pytest.mark.parametrize("penalty", [float("nan"), float("inf"), -1.0])
def test_a_penalty_that_is_no_amount_is_left(penalty):
    dialogue = played()
    row = record(dialogue, incident(dialogue, penalty=penalty))

    assert set(penalise(dialogue, row).penalties.tolist()) == {0.0, 0.5}


def test_a_later_dialogue_of_a_rewritten_history_finds_its_own_turns():
    first, second = played(), played()
    shift = len(first.messages)
    row = incident(second).model_copy(update={"turn": 5})
    both = record(first).model_copy(
        update={
            "messages": tuple(first.messages + second.messages),
            "turns": (
                *first.turns(),
                *(
                    turn.model_copy(update={"start": turn.start + shift, "completion_ids": None})
                    for turn in second.turns()
                ),
            ),
            "incidents": (row,),
        }
    )
    bare = PenaltyConfig(invalid_call=0)

    assert not penalise(first, both, config=bare).penalties.any()
    assert penalised(second, penalise(second, both, config=bare, first_turn=3)) == "git log --all"


def test_a_record_of_another_conversation_is_refused_and_one_that_broke_off_is_not():
    dialogue = played()
    whole = record(dialogue, incident(dialogue))
    with pytest.raises(UsageError, match="turn 1 was sampled elsewhere"):
        penalise(dialogue, whole, first_turn=1)
    short = whole.model_copy(update={"turns": whole.turns[:2]})
    assert set(penalise(dialogue, short).penalties.tolist()) == {0.0, 0.5}


def test_a_call_in_reasoning_that_the_prompt_opened_is_a_thought():
    opens = replace(CHATML, generation="<|im_start|>assistant\n<think>\n")
    write = Renderer(tool_format("qwen3_coder").within(opens), ByteTokenizer(opens.specials))
    dialogue = Dialogue(write, TOOLS, [{"role": "user", "content": "mend it"}])
    ids = write.completion(said("hm", call("look", command="in thought")), TWO)[:-1]
    dialogue.sampled([*ids, *write.tokenizer.encode("\n</think>\n\nso")])

    assert dialogue.messages[-1]["content"] == "so"
    assert not penalise(dialogue).faults


def test_a_call_that_may_have_been_cut_is_incomplete():
    write = byte_renderer("qwen3_coder")
    ids = write.completion(said("", call("bash", command="ls")), TOOLS)[:-1]
    for reason, kinds in (("stop", []), ("length", ["incomplete"])):
        dialogue = Dialogue(write, TOOLS, [{"role": "user", "content": "mend it"}])
        dialogue.sampled(ids, reason)
        assert [fault.kind for _, fault in penalise(dialogue).faults] == kinds


@pytest.mark.parametrize("name", ["qwen3_coder", "hermes", "minimax_m2", "react", "harmony_json"])
@given(data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_adversarial_values_that_fit_their_schema_are_never_at_fault(name, data):
    write = byte_renderer(name)
    case = data.draw(cases(name, min_calls=1))
    ids = write.completion(case.message, case.tools)

    assert call_faults(write, tool_table(case.tools), ids, truncated=False) == ()


@pytest.mark.parametrize("name", ["qwen3_coder", "hermes", "kimik2", "swe_agent", "harmony_json"])
@given(data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_of_garbage_each_incomplete_call_is_marked_and_no_text(name, data):
    write = byte_renderer(name)
    tools = data.draw(cases(name)).tools
    ids = write.tokenizer.encode(data.draw(garbage(name)))
    truncated = data.draw(st.booleans())
    read = write.form.parse(write.tokenizer.decode(ids), tools, truncated=truncated)
    found = call_faults(write, tool_table(tools), ids, truncated=truncated)

    assert sum(fault.kind == "incomplete" for fault in found) == len(read.incomplete)
    assert bool(found) <= bool(read.tool_calls or read.incomplete)
    assert all(0 <= fault.tokens[0] < fault.tokens[1] <= len(ids) for fault in found)
