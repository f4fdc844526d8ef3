"""Trajectories that other programs wrote, as ours: read by what a file holds, not by its name."""

from regreen.store.foreign.detect import FORMATS, read_document, read_foreign, trajectory_places

__all__ = ["FORMATS", "read_document", "read_foreign", "trajectory_places"]
