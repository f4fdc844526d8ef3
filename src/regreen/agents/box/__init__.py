"""Scripts that the ``scripted`` agent runs in its box: standard library only."""
