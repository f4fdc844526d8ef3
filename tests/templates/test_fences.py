"""Which closing fence ends a block."""

from __future__ import annotations

import pytest
from tests.templates.text_formats import BLOCK, SHELL, made, message, read

from regreen.templates.calls.fences import fence_for
from regreen.templates.registry import tool_format


def command(text: str, name: str = "bash_block") -> str:
    """The one command of a completion."""
    (only,) = made(read(name, text))
    return str(only[1]["command"])


@pytest.mark.parametrize(
    "body",
    [
        "ls",
        "",
        "\n",
        " ls \n",
        "cat > R.md <<'EOF'\n# T\n```\ncode\n```\nEOF",
        "cat > R.md <<EOF\n```python\ncode\n```\nEOF\nls",
        "cat <<-EOF\n```\n\tEOF",
        "git commit -m '\n```python\ncode\n```\n'",
        "echo '  ```'",
    ],
)
@pytest.mark.parametrize("behind", ["", "\n", "\nDone."])
def test_three_backticks_around_a_body_that_closes_what_it_opens(body: str, behind: str) -> None:
    parsed = read("bash_block", f"{BLOCK}{body}\n```{behind}")
    assert made(parsed) == [("bash", {"command": body})]
    assert parsed.content == (behind if behind.strip() else "")


def test_four_backticks_are_closed_by_four() -> None:
    text = "````mswea_bash_command\n```python\n```\n```\n````\n"
    assert command(text) == "```python\n```\n```"


def test_a_last_fence_ends_a_block_even_inside_a_nested_one() -> None:
    parsed = read("bash_block", f"{BLOCK}cat <<EOF\n```python\nx\n```")
    assert made(parsed) == [("bash", {"command": "cat <<EOF\n```python\nx"})]
    assert parsed.faults


@pytest.mark.parametrize(
    "text",
    [
        f"{BLOCK}ls",
        f"{BLOCK}ls\n``",
        f"{BLOCK}cat > R.md <<'EOF'\n```\nco",
        f"{BLOCK}cat > R.md <<'EOF'\n```\ncode\n```\nEOF\n",
    ],
)
def test_an_open_block_is_incomplete(text: str) -> None:
    parsed = read("bash_block", text)
    assert not parsed.tool_calls
    assert [call.name for call in parsed.incomplete] == ["bash"]


def test_a_block_that_begins_in_an_open_one_is_the_call() -> None:
    parsed = read("bash_block", f"{BLOCK}ls\n\n{BLOCK}pwd\n```")
    assert made(parsed) == [("bash", {"command": "pwd"})]
    assert len(parsed.incomplete) == 1


def test_a_cut_at_the_very_end_is_no_call() -> None:
    form = tool_format("bash_block")
    assert not form.parse(f"{BLOCK}ls\n```", [SHELL], truncated=True).tool_calls
    assert form.parse(f"{BLOCK}ls\n```\nDone", [SHELL], truncated=True).tool_calls


@pytest.mark.parametrize(
    "text",
    [
        "Write it in a ```mswea_bash_command block.\nThen wait.",
        f"````markdown\n{BLOCK}ls\n```\n````\nThat is all.",
        f"```markdown\n{BLOCK}ls\n```\n",
        "```bash\nls\n```\n",
        "```mswea_bash_command",
        "```x``` is code\n",
    ],
)
def test_a_mention_is_text(text: str) -> None:
    parsed = read("bash_block", text)
    assert parsed.content == text
    assert not parsed.tool_calls
    assert not parsed.incomplete


def test_a_call_behind_an_example_is_a_call() -> None:
    parsed = read("bash_block", f"Not\n\n```bash\nrm x\n```\n\nbut\n\n{BLOCK}ls\n```")
    assert made(parsed) == [("bash", {"command": "ls"})]
    assert parsed.content == "Not\n\n```bash\nrm x\n```\n\nbut"


def test_prose_with_fences_streams() -> None:
    parser = tool_format("bash_block").stream([SHELL])
    parser.feed("See ```mswea_bash_command here, and\n```python\nx\n")
    assert "".join(delta.text for delta in parser.feed("and words")) == "\nand words"


@pytest.mark.parametrize(
    ("text", "ticks"),
    [("ls", 3), ("`x` ``", 3), ("```", 4), ("a\n`````b", 6), ("x ```", 3), ("cat <<EOF\nx", 4)],
)
def test_the_fence_is_as_long_as_needed(text: str, ticks: int) -> None:
    assert fence_for(text, shell=True) == "`" * ticks


def test_swe_agent_takes_blocks_without_a_language() -> None:
    text = tool_format("swe_agent").completion(message("", ("bash", {"command": "ls"})), [SHELL])
    assert text == "```\nls\n```"
    assert command("Look:\n```\nls\n```\n", "swe_agent") == "ls"
    assert not read("swe_agent", "```bash\nls\n```\n").tool_calls
