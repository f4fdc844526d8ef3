"""What every trainer computes with: the forward pass over packed traces, the optimiser, ranks.

Nothing is imported here, so that what needs no torch loads without it.
"""
