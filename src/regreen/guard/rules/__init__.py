"""The blocker's rules: data in TOML files, and a small vocabulary to match them."""

from __future__ import annotations

from regreen.guard.rules.match import Hit, Look, matches
from regreen.guard.rules.table import Example, Match, Rule
from regreen.guard.rules.tables import Tables, load

__all__ = ["Example", "Hit", "Look", "Match", "Rule", "Tables", "load", "matches"]
