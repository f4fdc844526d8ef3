"""Supervised fine-tuning on packed rows."""
