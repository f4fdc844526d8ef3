"""regreen: the open training stack for coding agents.

Importing the package loads nothing heavy; each stage lives in its own subpackage.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
