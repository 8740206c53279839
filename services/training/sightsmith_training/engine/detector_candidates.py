"""The designs of detectors that were tried, as the model version tells of them."""

from sightsmith_training.engine.catalogue import NANODET
from sightsmith_training.engine.contract import Candidate
from sightsmith_training.engine.detection.design import seconds_per_image
from sightsmith_training.engine.detection.search import FoundDetector
from sightsmith_training.engine.detection.trials import DetectorTrial


def chosen_candidate(found: FoundDetector) -> Candidate:
    """What became the model."""
    chosen = _candidate(found.chosen) if found.chosen else _untried(found)
    return chosen.model_copy(update={"network_share": found.network_share})


def tried_candidates(found: FoundDetector, chosen: Candidate) -> list[Candidate]:
    """Everything that was tried, in the order of trial, `chosen` in its place."""
    return [chosen if trial is found.chosen else _candidate(trial) for trial in found.trials]


def _candidate(trial: DetectorTrial) -> Candidate:
    return Candidate(
        backbones=[NANODET.name],
        strength=0.0,
        scores=[trial.map_50_95],
        score_mean=trial.map_50_95,
        score_std=0.0,
        log_loss=0.0,
        name=trial.name,
        fine_tuned=True,
        parameters=dict(trial.parameters),
        seconds=trial.seconds,
        milliseconds_per_image=trial.milliseconds,
        dropped=trial.dropped,
    )


def _untried(found: FoundDetector) -> Candidate:
    """Where there are too few images to try anything on, there is one design and no score."""
    return Candidate(
        backbones=[NANODET.name],
        strength=0.0,
        scores=[],
        score_mean=0.0,
        score_std=0.0,
        log_loss=0.0,
        name=f"{NANODET.name} {found.side} px, not tried on held-out images: there are too few",
        fine_tuned=True,
        milliseconds_per_image=1000 * seconds_per_image(found.seen_side),
    )
