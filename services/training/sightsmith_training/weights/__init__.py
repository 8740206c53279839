"""Pretrained weights on this machine: fetching them, keeping them, finding them again. Needs no torch itself."""
