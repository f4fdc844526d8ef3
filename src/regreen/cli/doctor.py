"""``regreen doctor``: what works on this machine, and the command that mends the rest."""

from __future__ import annotations

from regreen.cli.shared import Output, home
from regreen.sandbox.doctor import checks

__all__ = ["doctor"]


def doctor(*, output: Output | None = None) -> int:
    """Try every sandbox provider and say which work here, why the others do not, and the mend.

    Exits with 3 when the default provider does not work.

    For example:

        regreen doctor
        regreen doctor --json

    Parameters
    ----------
    output
        How to talk.
    """
    output = output or Output()
    console = output.console()
    found = checks()
    usable = all(check.ok for check in found if check.required)
    if output.json:
        rows = [
            {
                "name": check.name,
                "ok": check.ok,
                "required": check.required,
                "detail": check.detail,
                "mend": check.mend,
            }
            for check in found
        ]
        console.json({"usable": usable, "home": str(home()), "checks": rows})
    else:
        for check in found:
            mark = "ok  " if check.ok else "FAIL" if check.required else "no  "
            console.result(f"{mark}  {check.name}: {check.detail}")
            if not check.ok and check.mend:
                console.result(f"      mend: {check.mend}")
        console.result(f"layers are kept in {home()}")
    return 0 if usable else 3
