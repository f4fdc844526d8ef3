"""The package index an agent's box may ask: a proxy that knows what the task forbids."""
