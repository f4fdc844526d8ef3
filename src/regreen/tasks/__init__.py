"""Repositories to verified tasks."""
