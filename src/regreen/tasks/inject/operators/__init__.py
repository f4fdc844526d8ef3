"""Fault classes: one file per family of semantic bug operators.

``enumerate_sites`` names every fault a file can take, ``apply`` puts some in, and ``combine``
joins validated faults into harder ones.
"""

from regreen.tasks.inject.operators.base import Change, Operator, OperatorInfo
from regreen.tasks.inject.operators.catalog import OPERATORS, describe
from regreen.tasks.inject.operators.combine import combine
from regreen.tasks.inject.operators.enumerate import enumerate_sites
from regreen.tasks.inject.operators.site import Site, apply, overlaps

__all__ = [
    "OPERATORS",
    "Change",
    "Operator",
    "OperatorInfo",
    "Site",
    "apply",
    "combine",
    "describe",
    "enumerate_sites",
    "overlaps",
]
