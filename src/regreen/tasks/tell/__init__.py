"""Problem statements: read out of failures, reduced to scripts, checked for what they give away."""
