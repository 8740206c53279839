"""The service starts, and computes figures again, without what takes long to load."""

import subprocess
import sys


def loaded(code: str, *heavy: str) -> str:
    """Which of the modules are loaded by the code, in a process of its own."""
    program = f"import sys\n{code}\nprint(*[name for name in {heavy!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def test_the_service_starts_light() -> None:
    assert loaded("import sightsmith_training.__main__", "torch", "scipy.stats", "scipy.optimize", "sklearn") == ""


def test_figures_are_computed_again_light() -> None:
    code = "import sightsmith_training.evaluations.figures, sightsmith_training.evaluations.comparing"
    assert loaded(code, "torch", "scipy.stats", "scipy.optimize", "sklearn") == ""
