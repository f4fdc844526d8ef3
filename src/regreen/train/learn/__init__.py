"""The demonstration: a small model learns to repair one-line bugs, from nothing, on a laptop."""
