"""``python -m regreen`` is the command ``regreen``."""

from __future__ import annotations

from regreen.cli.main import main

if __name__ == "__main__":
    main()
