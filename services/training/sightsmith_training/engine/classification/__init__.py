"""Classifiers of one label an image or of several: heads, fine-tuning, calibration, and which is best."""
