"""Shell sessions keep their state and survive an interrupt, in both providers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regreen.sandbox.shell import ShellSession

InBox = Callable[..., Any]


@pytest.fixture(params=["in_box", "unsafe_box"])
def anywhere(request: pytest.FixtureRequest) -> InBox:
    found: InBox = request.getfixturevalue(request.param)
    return found


def test_state_persists(anywhere: InBox) -> None:
    async def story(box: Any) -> None:
        session = ShellSession(box)
        first = await session.run("mkdir d; cd d; export A=1; B=2; f() { echo f $1; }; umask 077")
        assert (first.exit_code, first.stdout) == (0, b"")
        second = await session.run("basename $PWD; echo $A$B; f x; umask; cat; false")
        assert second.stdout == b"d\n12\nf x\n0077\n"
        assert second.exit_code == 1
        await session.close()

    anywhere(story)


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("echo 'it''s' \"a!b\" `echo x`", 0, b"its a!b x\n"),
        ("for i in 1 2\ndo echo $i\ndone", 0, b"1\n2\n"),
        ("cat <<'EOF'\n$HOME\nEOF", 0, b"$HOME\n"),
        ("if", 2, b""),
        ("(exit 9)", 9, b""),
        ("no-such-program", 127, b""),
    ],
)
def test_commands(anywhere: InBox, command: str, code: int, output: bytes) -> None:
    async def story(box: Any) -> None:
        session = ShellSession(box)
        result = await session.run(command)
        assert (result.exit_code, result.stdout) == (code, output)
        assert (await session.run("echo on")).stdout == b"on\n"
        await session.close()

    anywhere(story)


def test_a_time_limit_interrupts_and_the_session_lives(anywhere: InBox) -> None:
    async def story(box: Any) -> None:
        session = ShellSession(box)
        await session.run("A=kept")
        for command in ("echo a; sleep 1000; echo b", "while :; do :; done; echo b"):
            result = await session.run(command, timeout=0.3)
            assert (result.exit_code, result.timed_out) == (124, True)
            assert b"b" not in result.stdout
            assert b"state is lost" not in result.stderr
        assert (await session.run("echo $A")).stdout == b"kept\n"
        await session.close()

    anywhere(story)


def test_a_session_that_is_lost_says_so(anywhere: InBox) -> None:
    async def story(box: Any) -> None:
        session = ShellSession(box)
        result = await session.run("A=1; exit 3")
        assert result.exit_code == 3
        assert b"state is lost" in result.stderr
        assert (await session.run("echo ${A:-gone}")).stdout == b"gone\n"
        stubborn = await session.run("trap '' INT; sleep 1000", timeout=0.2)
        assert stubborn.timed_out
        assert b"state is lost" in stubborn.stderr
        await session.close()

    anywhere(story)


def test_output_is_cut_by_command(in_box: InBox) -> None:
    async def story(box: Any) -> None:
        session = ShellSession(box, output_limit=100)
        long = await session.run("seq 1000")
        assert b"bytes cut" in long.stdout
        assert (await session.run("echo short")).stdout == b"short\n"
        await session.close()

    in_box(story)


def test_any_posix_shell_will_do(in_box: InBox) -> None:
    """Without bash, here hidden by a device, the box's ``sh`` takes its place."""

    async def story(box: Any) -> None:
        session = ShellSession(box)
        assert (await session.run("A=1; cd /tmp; f() { echo $1$A; }")).exit_code == 0
        assert (await session.run("f x; pwd; echo ${BASH_VERSION:-none}")).stdout.split() == [
            b"x1",
            b"/tmp",
            b"none",
        ]
        assert (await session.run("sleep 1000", timeout=0.2)).timed_out
        assert (await session.run("f y")).stdout == b"y1\n"
        await session.close()

    in_box(story, binds=((Path("/dev/null"), "/usr/bin/bash"),))
