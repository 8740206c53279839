"""Candidates of a classifier's search, as they are kept with the model."""

from collections.abc import Mapping

from sightsmith_training.engine.catalogue import Backbone
from sightsmith_training.engine.classification.candidates import Trial, Untried
from sightsmith_training.engine.contract import Candidate


def candidate_of(trial: Trial, backbones: Mapping[str, Backbone]) -> Candidate:
    """What was tried, with its figures.

    Args:
        trial: of the search.
        backbones: by name.
    """
    parameters = dict(trial.parameters)
    return Candidate(
        backbones=list(trial.backbones),
        strength=parameters.pop("strength", 0.0),
        scores=trial.scores,
        score_mean=trial.mean,
        score_std=trial.deviation,
        log_loss=trial.log_loss,
        name=trial.name,
        fine_tuned=trial.kind != "probe",
        parameters=parameters,
        seconds=trial.seconds,
        milliseconds_per_image=trial.milliseconds,
        dropped=trial.dropped,
        licences={name: backbones[name].licence for name in trial.backbones},
    )


def untried_candidate(untried: Untried, backbones: Mapping[str, Backbone]) -> Candidate:
    """What there was no time for has no figures, but is kept, so that people know what more time would try."""
    return Candidate(
        backbones=list(untried.backbones),
        strength=0.0,
        scores=[],
        score_mean=0.0,
        score_std=0.0,
        log_loss=0.0,
        name=untried.name,
        fine_tuned=untried.kind != "probe",
        parameters=dict(untried.parameters),
        dropped=f"not tried: {untried.reason}",
        licences={name: backbones[name].licence for name in untried.backbones},
    )
