"""How calls are written and read, by family: tags, JSON, Python, text."""
