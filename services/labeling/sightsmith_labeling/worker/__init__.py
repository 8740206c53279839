"""The worker of the labeling service: `python -m sightsmith_labeling.worker`."""
