"""Engines that extend sequences of token ids: in this process, or behind HTTP."""
