"""Every file format of the project: tasksets, run directories, trajectories."""
