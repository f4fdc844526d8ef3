"""Fault classes: one file per family of semantic bug operators."""
