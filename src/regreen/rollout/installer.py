"""An installer for boxes that may ask an index: pip, laid over the task's environment.

Environments are made without one. The layer is made of the pip that set this installation up, so
that nothing has to be fetched for it.
"""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from regreen.core.errors import PrerequisiteError
from regreen.sandbox.layers import Layer, LayerStore

__all__ = ["pip_layer"]

_SCRIPT = """#!/opt/env/bin/python
import sys

from pip._internal.cli.main import main

sys.exit(main())
"""


def pip_layer(store: LayerStore, python: str) -> Layer:
    """A lower of /opt/env with pip.

    Args:
        store: keeps the layer.
        python: version of the environment's interpreter, ``3.11.7`` for example.

    Raises:
        PrerequisiteError: this installation has no pip.
    """
    try:
        found = distribution("pip")
    except PackageNotFoundError as exc:
        msg = "--index needs pip beside regreen, to lend it to the boxes"
        raise PrerequisiteError(msg, mend="python -m ensurepip --upgrade") from exc
    minor = ".".join(python.split(".")[:2])
    key = f"pip:1:{found.version}:{minor}"
    known = store.alias(key)
    if known is None:
        staged = store.stage()
        site = staged / "lib" / f"python{minor}" / "site-packages"
        source = Path(str(found.locate_file("pip")))
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, site / "pip", ignore=ignored)
        info = f"pip-{found.version}.dist-info"
        shutil.copytree(source.parent / info, site / info)
        for name in ("pip", "pip3"):
            script = staged / "bin" / name
            script.parent.mkdir(exist_ok=True)
            script.write_text(_SCRIPT)
            script.chmod(0o755)
        known = store.commit(staged)
        store.remember(key, known)
    return known
