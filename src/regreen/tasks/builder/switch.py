"""The two switches: the tree of the agent's box from one state to the other, whole or not at all.

Only files of the change are touched, so whatever else the agent made stays. Which state the tree
is in is remembered here and not in the box, and a file of the change that the agent altered is a
conflict: nothing of its work is overwritten unasked.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from typing import Any

from regreen.agents.tools import Context, Result, Tool
from regreen.grading.patch import FileState
from regreen.grading.place import TESTBED
from regreen.sandbox.base import Sandbox
from regreen.tasks.builder.states import ChangeStates, State

__all__ = ["Switch"]

_STAGE = "/tmp/.regreen-switch"
_LOOK = r"""
for path; do
  if [ -L "$path" ]; then echo "link $(readlink -n -- "$path" | sha256sum)"
  elif [ -f "$path" ]; then
    [ -x "$path" ] && kind=program || kind=file
    echo "$kind $(sha256sum < "$path")"
  elif [ -e "$path" ]; then echo other
  else echo absent
  fi
done
"""
_SWAP = r"""
stage=$1; shift
place() {  # the file kept under $1/$2 goes to $3
  rm -rf -- "$3" || return 1
  if [ -e "$1/$2" ] || [ -L "$1/$2" ]; then
    mkdir -p -- "$(dirname -- "$3")" && cp -a -- "$1/$2" "$3"
  fi
}
mkdir -p "$stage/old" || exit 1
number=0
for path; do
  if [ -e "$path" ] || [ -L "$path" ]; then cp -a -- "$path" "$stage/old/$number" || exit 1; fi
  number=$((number + 1))
done
number=0 failed=
for path; do
  place "$stage/new" $number "$path" || { failed=$path; break; }
  number=$((number + 1))
done
if [ "$failed" ]; then
  number=0
  for path; do place "$stage/old" $number "$path" 2>/dev/null; number=$((number + 1)); done
  echo "cannot put $failed in place" >&2
  rm -rf "$stage"
  exit 1
fi
rm -rf "$stage"
"""


class Switch:
    """Knows which state a box's tree is in, and moves it to the other.

    Args:
        states: the change; the box begins with its bug.
    """

    def __init__(self, states: ChangeStates) -> None:
        self.states = states
        self.state: State = "bug"

    def tools(self) -> tuple[Tool, Tool]:
        """``switch_to_bug`` and ``switch_to_resolved``."""
        return self._tool("bug"), self._tool("resolved")

    async def to(self, wanted: State, box: Sandbox, *, discard: bool = False) -> str:
        """Move the tree to a state; returns what stood in the way, or nothing.

        Args:
            wanted: the state.
            box: the agent's box.
            discard: overwrite what the agent changed in files of the change.
        """
        changed = await self.altered(box)
        if changed and not discard:
            return (
                f"these files of the change were altered: {', '.join(changed)}. Undo that, or call"
                " with discard=true to lose it"
            )
        files = self.states.files(wanted)
        paths = [
            path
            for path in files
            if files[path] != self._now[path] or (path in changed and discard)
        ]
        fault = await self._swap(box, {path: files[path] for path in paths})
        if not fault:
            self.state = wanted
        return fault

    async def altered(self, box: Sandbox) -> tuple[str, ...]:
        """Files of the change that are not as the present state has them."""
        now = self._now
        seen = await box.exec(["bash", "-c", _LOOK, "bash", *now], cwd=TESTBED)
        rows = seen.stdout.decode("utf-8", "replace").splitlines()
        shown = [row.removesuffix("-").strip() for row in rows] + [""] * (len(now) - len(rows))
        return tuple(
            path
            for (path, state), row in zip(now.items(), shown, strict=False)
            if row != _print_of(state)
        )

    @property
    def _now(self) -> Mapping[str, FileState | None]:
        return self.states.files(self.state)

    async def _swap(self, box: Sandbox, files: Mapping[str, FileState | None]) -> str:
        await box.exec(["rm", "-rf", _STAGE])
        for number, state in enumerate(files.values()):
            place = f"{_STAGE}/new/{number}"
            if state is not None and state.symlink:
                target = state.data.decode("utf-8", "surrogateescape")
                made = f"mkdir -p {_STAGE}/new && ln -s -- {shlex.quote(target)} {place}"
                await box.exec(["sh", "-c", made])
            elif state is not None:
                await box.write(place, state.data, mode=0o755 if state.executable else 0o644)
        ran = await box.exec(["bash", "-c", _SWAP, "bash", _STAGE, *files], cwd=TESTBED)
        return "" if ran.exit_code == 0 else ran.stderr.decode("utf-8", "replace").strip()[:500]

    def _tool(self, wanted: State) -> Tool:
        async def run(context: Context, arguments: Mapping[str, Any]) -> Result:
            discard = bool(arguments.get("discard", False))
            fault = await self.to(wanted, context.box, discard=discard)
            if fault:
                text = f"Not switched, the tree is still in the {self.state} state: {fault}."
                return Result(text=text, error=True)
            return Result(text=f"The tree is in the {wanted} state.")

        return Tool(
            name=f"switch_to_{wanted}",
            description=(
                f"Put the files of the change in {TESTBED} into the {wanted} state; all other files"
                " stay as they are. It happens whole or not at all."
            ),
            parameters={
                "discard": ("boolean", "Lose what you altered in files of the change; else refuse.")
            },
            run=run,
        )


def _print_of(state: FileState | None) -> str:
    if state is None:
        return "absent"
    kind = "link" if state.symlink else "program" if state.executable else "file"
    return f"{kind} {hashlib.sha256(state.data).hexdigest()}"
