"""Each question is asked once, whatever job asks it and however often."""

from __future__ import annotations

import pytest

from regreen.core.errors import ModelError, UsageError
from regreen.inference import Reply, say

HELLO = [{"role": "user", "content": "hello"}]


def asked(asking, run, script, path, questions):
    async def go():
        async with asking(script, path) as found:
            said = [
                (await found.answers.complete(messages, seed=seed)).message["content"]
                for messages, seed in questions
            ]
            return said, found.server.requests, found.answers.questions

    return run(go())


def test_a_question_is_sent_once_and_counted_each_time(asking, run, tmp_path):
    path = tmp_path / "a.jsonl"
    replies = iter("abc")
    found = asked(asking, run, lambda _: say(next(replies)), path, [(HELLO, 1), (HELLO, 1)])
    assert found == (["a", "a"], 1, 2)
    again = asked(asking, run, lambda _: say(next(replies)), path, [(HELLO, 1), (HELLO, 2)])
    assert again == (["a", "b"], 1, 2)


def test_a_failure_is_not_kept(asking, run, tmp_path):
    path = tmp_path / "a.jsonl"
    with pytest.raises(ModelError):
        asked(asking, run, lambda _: Reply(status=401, content="no"), path, [(HELLO, 1)])
    assert asked(asking, run, lambda _: say("now"), path, [(HELLO, 1)]) == (["now"], 1, 1)


def test_half_a_last_line_costs_that_answer_only(asking, run, tmp_path):
    path = tmp_path / "a.jsonl"
    both = [(HELLO, 1), (HELLO, 2)]
    asked(asking, run, lambda _: say("x"), path, both)
    path.write_bytes(path.read_bytes()[:-9])
    assert asked(asking, run, lambda _: say("x"), path, both)[1] == 1


@pytest.mark.parametrize("text", ['{"schema_name":"other"}\n', '{"a":1}\n{"b":2}\n'])
def test_a_foreign_file_is_refused(asking, run, tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match="does not hold a model's answers"):
        asked(asking, run, lambda _: say("x"), path, [(HELLO, 1)])


def test_a_damaged_row_is_named(asking, run, tmp_path):
    path = tmp_path / "a.jsonl"
    asked(asking, run, lambda _: say("x"), path, [(HELLO, 1)])
    with path.open("a") as file:
        file.write('{"key": "k"}\n')
    with pytest.raises(UsageError, match="no answer") as caught:
        asked(asking, run, lambda _: say("x"), path, [(HELLO, 1)])
    assert caught.value.where.endswith(":3")
