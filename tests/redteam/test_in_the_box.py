"""Nothing an agent does in its box reaches the verdict but the patch that is read from outside."""

from __future__ import annotations

from typing import Any

import pytest
from attack import BoxAttack, parametrized
from in_the_box import BOX_ATTACKS

from regreen.core.errors import AgentError
from regreen.core.verdict import Verdict


async def _attempt(field: Any, attack: BoxAttack) -> tuple[str, Verdict]:
    task = field.tasks[attack.on]
    box = await field.workshop.act_box(task)
    try:
        await box.exec(["sh", "-c", attack.script], timeout=60)
        patch = await field.workshop.patch_of(box, task)
    except AgentError:  # the rollout ends there, unresolved, by the agent's own doing
        patch = ""
    finally:
        await box.close()
    return patch, await field.workshop.verify_patch(task, patch)


@pytest.mark.parametrize("attack", parametrized(BOX_ATTACKS))
def test_only_the_patch_leaves_the_box(attack: BoxAttack, field: Any) -> None:
    patch, verdict = field.run(_attempt(field, attack))

    assert verdict.resolved is attack.heals, verdict.reason
    assert ".git/" not in patch
    if attack.heals:
        assert verdict.tamper == ()
    else:
        assert verdict.reason
