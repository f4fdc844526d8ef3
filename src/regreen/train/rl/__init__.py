"""The loop of reinforcement learning: what is played when, what was played, what comes of it."""
