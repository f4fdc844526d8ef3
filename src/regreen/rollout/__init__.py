"""Act, verify, reward: rollouts, their runner and resume."""
