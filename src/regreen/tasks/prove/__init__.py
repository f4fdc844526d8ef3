"""What execution proves: the healthy suite, and tasks judged again from their rows."""
