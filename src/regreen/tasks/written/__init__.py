"""Bugs that a model writes, proved like those made by rule."""
