"""PID 1 of a box: a POSIX shell that starts what the controller names, and its protocol.

The controller writes a name to PID 1's standard input; ``/run/regreen/<name>`` is a script that
opens the command's pipes, runs it and reports. Status lines go out on descriptor 9:

    R                    the box is ready
    S <name> <pid>       the command's shell runs, under this pid of the box
    O <name>             the command's channel is open
    E <name> <status>    the command ended
    P                    the answer to the name "-": PID 1 lives

What keeps the agent's code from speaking here: the shell is a copy that may be executed but not
read, so the kernel lets nobody look into its descriptors or memory (it is not "dumpable"); the
directory of scripts and pipes may be entered but not listed, its names are 64 random bits and
it is mounted read-only; commands do not inherit descriptor 9. Output is therefore a command's own,
but its *meaning* is not vouched for: whoever needs a verdict checks a nonce of their own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

__all__ = ["MARKER", "RUN_TARGET", "SERVER", "exec_script"]

RUN_TARGET = "/run/regreen"
MARKER = "REGREEN_EXEC"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# A shell ignores SIGINT in what it starts with "&", for good, and no test suite expects that. So
# the command's shell is started in the foreground and shoots its own parent, which frees PID 1.
# ``jobs`` after SIGCHLD reaps orphans; without it they would count against the limit of processes.
SERVER = f"""
exec 9>&1 1>/dev/null 2>/dev/null
child=
trap child=1 CHLD
echo R >&9
while :; do
  if read -r n; then
    if [ "$n" = - ]; then echo P >&9; continue; fi
    ( read -r x _ </proc/self/stat
      ( read -r a _ </proc/self/stat
        echo "S $n $a" >&9
        kill -9 "$x"
        . "{RUN_TARGET}/$n" )
      : )
  elif [ "$child" ]; then child=; jobs
  else exit 0
  fi
done
"""


def exec_script(
    name: str,
    argv: Sequence[str],
    *,
    number: int,
    cwd: str,
    env: Mapping[str, str],
    stdin: bool,
    channel: bool,
) -> bytes:
    """The script of one command.

    Args:
        name: the base name of its pipes: ``<name>.o``, ``.e`` and, when asked for, ``.i``, ``.c``.
        argv: program and arguments.
        number: value of the marker variable that ties descendants to this command.
        cwd: working directory.
        env: variables on top of PID 1's.
        stdin: whether ``<name>.i`` stands ready.
        channel: whether ``<name>.c`` does.
    """
    base = f"{RUN_TARGET}/{name}"
    source = f"{base}.i" if stdin else "/dev/null"
    # The outer shell keeps its own standard error, so that its "Killed" is not the command's.
    lines = [f"exec <{source} >{base}.o 3>{base}.e", "(", "exec 2>&3 3>&-"]
    if channel:
        lines += [f"exec 7>{base}.c", f"echo 'O {name}' >&9", "export REGREEN_CHANNEL_FD=7"]
    lines.append("exec 9>&-")
    plain = {key: value for key, value in env.items() if _IDENTIFIER.fullmatch(key)}
    lines += [f"export {key}={shlex.quote(value)}" for key, value in plain.items()]
    lines.append(f"export {MARKER}={number}")
    # PID 1 should be the last that the kernel picks when the memory limit is hit.
    lines.append("{ echo 500 >/proc/self/oom_score_adj; } 2>/dev/null")
    lines += [f"cd -- {shlex.quote(cwd)} || exit 126", "unset OLDPWD"]
    odd = [f"{key}={value}" for key, value in env.items() if key not in plain]
    # ``env`` also where a program's name would be taken for an option of ``exec``.
    words = ["/usr/bin/env", *odd, *argv] if odd or argv[0].startswith("-") else argv
    lines += ["exec " + " ".join(map(shlex.quote, words)), ")", f'echo "E {name} $?" >&9', ""]
    return "\n".join(lines).encode("utf-8", "surrogateescape")
