"""Bugs put into healthy code by rule, each kept when its own tests prove it."""
