"""One live isolated box: what it is, and what makes it."""
