"""Groups of rollouts for training: what one is, who plays it, and where.

Nothing is imported here, so that what needs no torch loads without it.
"""
