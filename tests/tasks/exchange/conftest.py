"""Lets the suites of this folder share ``strange_tasks`` and ``small_history``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
