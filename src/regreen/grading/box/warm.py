"""What every run needs in memory: pytest, its own plug-ins and the worker.

Imported once by a supervisor that forks its runs, it spares each of them most of its start.
"""

from importlib import import_module

from _pytest.config import default_plugins

from . import isolate, worker

__all__ = ["isolate", "worker"]

for _name in default_plugins:
    import_module(f"_pytest.{_name}")
worker.entry_points(worker.trusted_directories())
