"""Where a source runs: its Python environment, made once and kept in layers."""
