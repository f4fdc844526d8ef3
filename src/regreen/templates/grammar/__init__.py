"""Completions described to a constrained decoder."""
