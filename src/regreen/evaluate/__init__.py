"""Suites: what a set of tasks is made to measure, beyond whether a patch resolves them."""

from regreen.evaluate.measures import Measure, Tally, measures, passes, tally
from regreen.evaluate.suites import SUITES, LeftOut, Prepared, Suite, suite

__all__ = [
    "SUITES",
    "LeftOut",
    "Measure",
    "Prepared",
    "Suite",
    "Tally",
    "measures",
    "passes",
    "suite",
    "tally",
]
