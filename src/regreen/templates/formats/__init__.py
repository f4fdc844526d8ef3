"""One file per tool-calling format; the registry names them."""
