"""Tasks of other projects, read into our rows, and ours written in their formats."""
