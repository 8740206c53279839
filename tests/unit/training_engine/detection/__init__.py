"""Tests of the detector: random weights and drawn shapes, no weights file."""
