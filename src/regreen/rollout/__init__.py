"""Rollouts: act in one box, take the diff, verify in another, reward, write the row."""

from regreen.rollout.base import Watcher, Workshop
from regreen.rollout.plan import Assignment, assignments, builder
from regreen.rollout.runner import Interrupted, Runner, Summary

__all__ = [
    "Assignment",
    "Interrupted",
    "Runner",
    "Summary",
    "Watcher",
    "Workshop",
    "assignments",
    "builder",
]
