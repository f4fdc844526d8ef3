"""Nothing of the model is left on the CPU when its weights are elsewhere, and nothing waits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

PROGRAM = Path(__file__).parent / "pretend_device.py"


@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this torch has no device written in Python",
)
def test_a_device_that_takes_no_cpu_tensor_computes_the_same() -> None:
    done = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)

    cache = report.pop("cache")
    assert cache["logits"] <= 1e-12
    assert cache["same"]
    for case, found in report.items():
        narrow = "bfloat16" in case
        assert found["logits"] <= (0.02 if narrow else 1e-12), case
        assert found["gradients"] <= (0.2 if narrow else 1e-9), case
        # Only the loop over experts, which serves other types, must know how many tokens each has.
        counts = ["aten.bincount.default in counts", "tolist in counts"]
        assert found["waits"] == ([] if narrow else counts), case
