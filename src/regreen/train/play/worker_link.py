"""Where workers connect, and the secret that they show."""

from __future__ import annotations

import contextlib
import os
import socket

from regreen.core.errors import UsageError

__all__ = ["KEY_VARIABLE", "listening", "shut", "worker_key"]

KEY_VARIABLE = "REGREEN_WORKER_KEY"
"""Environment variable that holds the secret that workers of other machines show."""


def listening(address: str) -> socket.socket:
    """A socket that workers connect to.

    Args:
        address: ``HOST:PORT``; port 0 takes any.

    Raises:
        UsageError: nothing can listen there.
    """
    host, _, port = address.rpartition(":")
    mend = "give HOST:PORT of this machine with a free port; 0 takes any"
    if not host or not port.isdigit():
        what = f"{address!r} is no address"
        raise UsageError(what, where="--listen", mend=mend)
    try:
        return socket.create_server((host, int(port)), backlog=64)
    except (OSError, OverflowError) as error:
        what = f"nothing can listen there: {error}"
        raise UsageError(what, where=f"--listen {address}", mend=mend) from error


def shut(link: socket.socket) -> None:
    """Close a socket so that threads that read from it notice."""
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)
    link.close()


def worker_key() -> bytes:
    """The secret of the environment.

    Raises:
        UsageError: there is none, or one that is too short.
    """
    text = os.environ.get(KEY_VARIABLE, "")
    if len(text) < 16:
        what = "workers of other machines need a secret of at least 16 characters"
        mend = f"export {KEY_VARIABLE}=$(openssl rand -hex 32), there too"
        raise UsageError(what, where=KEY_VARIABLE, mend=mend)
    return text.encode()
