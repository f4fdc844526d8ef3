"""Doors in the wall: services of the host that one box reaches through one Unix socket.

A box keeps its network namespace without a route. A socket of the host's file system that is bound
into it is the only way out, and what listens behind it answers HTTP requests of a few shapes.
"""
