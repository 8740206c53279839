"""The training engine: a program that turns labelled images into a checked classifier.

The worker starts it as a child process, `python -m sightsmith_training.engine SPEC.json` (`specification.py`), and
reads messages from its standard output (`contract.py`). torch is imported only here, gRPC never: a process that
crashes, leaks or is killed takes nothing else with it.
"""

import os

# ONNX Runtime's wheels report to their maker unless told otherwise, and heed only this.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
