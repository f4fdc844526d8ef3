"""Keeping agents from cheating: seal before, walls and blocker during, monitor after."""
