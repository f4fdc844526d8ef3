"""Loops that act in a box."""
