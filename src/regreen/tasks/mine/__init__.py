"""Real changes of a history, split, filtered, and kept when their own tests decide them."""
