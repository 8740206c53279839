"""The service starts without what takes long to load."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("heavy", ["torch", "scipy.stats", "sklearn"])
def test_the_service_starts_without(heavy: str) -> None:
    code = f"import sys, sightsmith_training.__main__; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_figures_are_computed_again_without_torch() -> None:
    code = "import sys, sightsmith_training.evaluations.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
