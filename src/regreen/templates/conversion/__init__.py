"""Conversations from one format into another."""
