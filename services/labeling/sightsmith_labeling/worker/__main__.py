"""Runs a worker. The processes that it begins do not import this module again, as they would a module that is run."""

from functools import partial

from sightsmith.service import run_process
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_labeling.worker.working import work

if __name__ == "__main__":
    settings = LabelingSettings()
    run_process("labeling worker", settings, partial(work, settings))
