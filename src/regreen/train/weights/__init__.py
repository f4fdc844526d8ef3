"""Weights outside the trainer: folders, checkpoints, and the ways to engines that sample."""
