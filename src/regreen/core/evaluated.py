"""Names of held-out rollouts: a policy repeats its problems on the way, so the step is in them.

The seed is not told apart by the step: what differs between two steps is the policy alone.
"""

from __future__ import annotations

import re

from regreen.core.trajectory import Trajectory

__all__ = ["evaluated_after", "evaluation_name"]


def evaluation_name(agent: str, step: int) -> str:
    """What stands for the agent in the id of a held-out rollout.

    Args:
        agent: who plays.
        step: batches that its policy was trained on.
    """
    return f"{agent}-evaluate-{step:06}"


def evaluated_after(record: Trajectory) -> int | None:
    """Batches behind the policy of a held-out rollout; None for any other rollout."""
    name = record.rollout_id.rpartition("#")[0].rpartition("#")[2]
    found = re.fullmatch(re.escape(record.agent) + r"-evaluate-(\d{6,})", name)
    return None if found is None else int(found[1])
