"""One live isolated box: what it is, and what makes it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regreen.sandbox.base import SandboxProvider

__all__ = ["PROVIDERS", "provider"]

PROVIDERS = {
    "namespace": "regreen.sandbox.namespace:NamespaceProvider",
    "process": "regreen.sandbox.process:ProcessProvider",
}
"""What can make boxes, by name: ``module:Class``."""

_UNSAFE = frozenset({"process"})


def provider(name: str = "namespace", *, unsafe: bool = False) -> SandboxProvider:
    """Make a provider of boxes.

    Args:
        name: a key of ``PROVIDERS``.
        unsafe: must be True for a provider that isolates nothing.

    Raises:
        UsageError: there is no such provider, or it is unsafe and that was not asked for.
    """
    from regreen.core.errors import UsageError

    if name not in PROVIDERS:
        what = f"there is no sandbox provider {name!r}"
        raise UsageError(what, mend=f"choose one of: {', '.join(sorted(PROVIDERS))}")
    if name in _UNSAFE and not unsafe:
        msg = f"the sandbox provider {name!r} isolates nothing"
        raise UsageError(
            msg,
            where="an agent's commands would run as you, on this machine",
            mend="use the provider `namespace`, or say --unsafe-no-isolation",
        )
    module, _, attribute = PROVIDERS[name].partition(":")
    made: SandboxProvider = getattr(importlib.import_module(module), attribute)()
    return made
