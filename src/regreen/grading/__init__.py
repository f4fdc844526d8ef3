"""Running tests in a box, reading their results, and the verdict."""
