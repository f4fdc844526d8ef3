"""Drawing formats and styles for training data, by seed."""
