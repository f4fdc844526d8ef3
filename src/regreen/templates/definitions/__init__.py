"""How a model is told its tools, by style."""
