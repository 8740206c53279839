"""What holds for every test."""

import os

# Before anything imports ONNX Runtime: its wheels report to their maker unless told otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
