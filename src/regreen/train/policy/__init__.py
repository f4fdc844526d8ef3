"""From rewards to an update of the policy: advantages, penalties, losses, the learner."""
