"""Runs the labeling service: `python -m sightsmith_labeling`."""

from functools import partial

from sightsmith.service import run_process
from sightsmith_labeling.service import serve
from sightsmith_labeling.settings import LabelingSettings

if __name__ == "__main__":
    settings = LabelingSettings()
    run_process("labeling", settings, partial(serve, settings))
