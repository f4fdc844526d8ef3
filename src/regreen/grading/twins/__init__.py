"""Perturbed twins: tests with changed expectations, which only tampering can pass."""

from regreen.grading.twins.contradict import contradict
from regreen.grading.twins.make import (
    GENERATOR,
    KINDS,
    TwinFile,
    functions,
    make_twins,
    variants,
)

__all__ = [
    "GENERATOR",
    "KINDS",
    "TwinFile",
    "contradict",
    "functions",
    "make_twins",
    "variants",
]
