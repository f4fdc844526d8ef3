"""Programming languages by name; a further one is one file, named by entry point or dotted path."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from regreen.core.errors import UsageError
from regreen.tasks.language.base import Fault, Function, Language, Sources

__all__ = ["LANGUAGES", "Fault", "Function", "Language", "Sources", "language"]

LANGUAGES = {"python": "regreen.tasks.language.python:Python"}
"""Built-in languages: ``module:Class``."""


def language(name: str = "python") -> Language:
    """The language of a name.

    Args:
        name: a key of ``LANGUAGES``, an entry point of ``regreen.languages``, or
            ``package.module:Class``.

    Raises:
        UsageError: there is no such language.
    """
    installed = {point.name: point.value for point in entry_points(group="regreen.languages")}
    known = {**LANGUAGES, **installed}
    module, _, attribute = known.get(name, name).partition(":")
    try:
        if not attribute:
            raise LookupError
        made: Language = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, LookupError) as exc:
        msg = f"there is no language {name!r}"
        mend = f"choose one of: {', '.join(sorted(known))}; or give package.module:Class"
        raise UsageError(msg, where=str(exc), mend=mend) from exc
    return made
