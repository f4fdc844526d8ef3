"""A prompt that opens the reasoning itself, as those of thinking models do."""

from __future__ import annotations

from dataclasses import replace

from regreen.templates import CHATML, ByteTokenizer, Dialogue, Renderer, tool_format

OPENS = replace(CHATML, generation="<|im_start|>assistant\n<think>\n")


def test_what_is_sampled_begins_inside_the_reasoning() -> None:
    form = tool_format("qwen3_coder").within(OPENS)
    tokenizer = ByteTokenizer(OPENS.specials)
    dialogue = Dialogue(Renderer(form, tokenizer), None, [{"role": "user", "content": "2+2?"}])
    assert tokenizer.decode(dialogue.prompt_ids).endswith("assistant\n<think>\n")
    said = [*tokenizer.encode("two and two\n</think>\n\n4"), tokenizer.specials["<|im_end|>"]]
    dialogue.sampled(said, finish_reason="stop")
    message = dialogue.messages[-1]
    assert message["reasoning_content"] == "two and two"
    assert message["content"] == "4"
    assert sum(dialogue.loss_mask) == len(said)


def test_a_text_can_be_said_to_begin_inside_the_reasoning() -> None:
    form = tool_format("qwen3_coder")
    read = form.parse("a thought\n</think>\n\nan answer", None, in_reasoning=True)
    assert (read.reasoning, read.content) == ("a thought", "an answer")
    assert form.parse("a thought\n</think>\n\nan answer", None).reasoning == ""
