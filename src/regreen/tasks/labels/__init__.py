"""What a task is worth and where it may not go: quality, difficulty, lists of benchmarks."""
