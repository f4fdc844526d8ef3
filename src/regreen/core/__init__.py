"""Plain data and the few things every package needs; no I/O beyond TOML and JSON."""
