"""Sites and candidates made by hand."""

from __future__ import annotations

from regreen.tasks.inject.candidate import Candidate
from regreen.tasks.inject.operators import Site


def site(number: int = 0, operator: str = "off_by_one", **changes) -> Site:
    """A site of its own function and line, unless told otherwise."""
    given = {
        "path": "lib.py",
        "operator": operator,
        "function": f"f{number}",
        "line": number + 1,
        "end_line": number + 1,
        "reach": (number + 1,),
        "import_time": False,
        "start": 10 * number,
        "end": 10 * number + 5,
        "replacement": "x",
        "note": "",
        "weight": 0.7,
    }
    return Site(**{**given, **changes})


def candidate(*sites: Site, identity: str = "id") -> Candidate:
    sites = sites or (site(),)
    return Candidate(
        operators=tuple(one.operator for one in sites),
        where=tuple(f"{one.path}:{one.line}" for one in sites),
        sites=sites,
        identity=identity,
        files={},
        covering=("t",),
        neighbours=(),
    )
