"""A source as it lies there, read without running any of it: trees, files, what they declare."""
