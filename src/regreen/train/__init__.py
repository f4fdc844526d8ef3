"""Training: supervised fine-tuning and reinforcement learning of the policy, on one core or many.

Nothing is imported here: most of the package needs torch, which takes seconds to load.
"""
