"""Kept encodings are the JSON of the messages, whatever these hold."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from regreen.inference import MessageList

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT | st.none()})))
def test_the_encoding_is_the_messages(messages):
    kept = MessageList(messages)
    assert json.loads(kept.encoded()) == messages
    assert list(kept) == messages
    assert len(kept) == len(messages)


def test_half_a_surrogate_pair_does_not_break_a_request():
    kept = MessageList([{"role": "tool", "content": "a\ud800b"}])
    assert json.loads(kept.encoded()) == [{"role": "tool", "content": "a?b"}]
