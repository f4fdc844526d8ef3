"""``regreen train worker``: play for a trainer that runs elsewhere."""

from __future__ import annotations

import os
import socket
from multiprocessing import ProcessError

from regreen.cli.shared import Output
from regreen.core.errors import InfrastructureError, UsageError

__all__ = ["worker"]


def worker(address: str, /, *, engine: str = "", output: Output | None = None) -> int:
    """Play rollouts for a trainer on another machine until it ends.

    The trainer was started with --listen HOST:PORT. Both need one secret in REGREEN_WORKER_KEY:
    whoever has it can run code here, so the connection belongs on a network you trust. Checkpoints
    and task layers are read from the same paths as there, on a file system that both share.

    For example:

        regreen train worker trainer.local:7070
        regreen train worker trainer.local:7070 --engine http://127.0.0.1:8000

    Parameters
    ----------
    address
        HOST:PORT of the trainer.
    engine
        Address of a vLLM or SGLang server that samples for this worker alone and reads weights
        from the same paths; without one the worker samples itself.
    """
    from regreen.train.play.engine import server_url
    from regreen.train.play.worker import serve
    from regreen.train.play.worker_link import worker_key

    console = (output or Output()).console()
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        what = f"{address!r} is no address"
        raise UsageError(what, mend="give HOST:PORT, as the trainer was started with")
    try:
        server = server_url(engine) if engine else ""
    except ValueError as error:
        mend = "give the server as http://HOST:PORT"
        raise UsageError(str(error), where=f"--engine {engine}", mend=mend) from error
    key = worker_key()
    console.note(f"connecting to {address}")
    try:
        serve(address, key, f"{socket.gethostname()}:{os.getpid()}", server)
    except ProcessError as error:
        what = "the trainer has another secret"
        mend = "give REGREEN_WORKER_KEY the value it has there"
        raise UsageError(what, where="REGREEN_WORKER_KEY", mend=mend) from error
    except (OSError, EOFError) as error:
        what = f"the trainer does not answer: {error}"
        mend = "start it with --listen, and compare REGREEN_WORKER_KEY"
        raise InfrastructureError(what, where=address, mend=mend) from error
    console.note("the trainer has ended")
    return 0
