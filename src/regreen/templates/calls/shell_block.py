"""A shell command as a fenced block: prose, then a block, and the block is the call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from regreen.templates.calls.fences import FenceLine, LineText, fence_for, read_block
from regreen.templates.calls.text_calls import Native, Shape, begin_call, end_call
from regreen.templates.grammar.parts import Format
from regreen.templates.grammar.text_calls import shell_block
from regreen.templates.source import Source, Steps

__all__ = ["ShellBlock"]

_SHAPE = Shape(
    roles=(("command", "cmd", "script", "code"),),
    names=("bash", "shell", "execute_bash", "terminal"),
    default=Native("bash", ("command",)),
)


@dataclass(frozen=True)
class ShellBlock:
    """A block whose text is run by a shell; see ``NativeForm``."""

    info: str
    """What stands behind the opening fence."""
    shape: Shape = _SHAPE
    """How the tool is known."""
    openers: tuple[str, ...] = ()
    """None beside the fence."""

    @cached_property
    def shell(self) -> tuple[str, ...]:
        """Other calls stand in blocks of the same kind."""
        return (self.info,)

    def write(self, values: Sequence[str]) -> str:
        """The block; any command fits into one."""
        (command,) = values
        ticks = fence_for(command, shell=True)
        return f"{ticks}{self.info}\n{command}\n{ticks}"

    def read(
        self, source: Source, at: int, line: FenceLine | None, native: Native, *, named: bool
    ) -> Steps[bool]:
        """Read a block; see ``NativeForm``."""
        if line is None or line.info != self.info or line.end == len(source.text):
            return False
        source.drop(line.end)
        index = begin_call(source, native.name)
        source.emit("arguments", "{" + json.dumps(native.keys[0]) + ': "', index)
        text = LineText(source, index, ("```",))
        reason = yield from read_block(text, line.run, shell=True, own=self.info)
        yield from end_call(source, index, reason, '"}')
        return True

    def structure(self) -> tuple[Format, tuple[str, ...]]:
        """The grammar; see ``NativeForm``."""
        return shell_block(self.info), ()
