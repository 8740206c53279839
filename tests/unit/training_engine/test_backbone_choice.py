"""Which networks a training tries."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sightsmith_labeling.embeddings.store import DEFAULT_BACKBONE
from sightsmith_training.engine.backbone_choice import EMBEDDING_BACKBONE, backbones_to_try
from sightsmith_training.engine.catalogue import CATALOGUE
from sightsmith_training.engine.specification import TrainingOptions
from sightsmith_training.settings import TrainingSettings

KNOWN = st.sets(st.sampled_from([backbone.content_name for backbone in CATALOGUE] + ["another-network"]))
FAST, BALANCED = (TrainingOptions(effort=effort) for effort in ("fast", "balanced"))


def test_services_embed_by_what_quick_trainings_learn_from() -> None:
    assert TrainingSettings().published_backbones == (EMBEDDING_BACKBONE.name,)
    assert EMBEDDING_BACKBONE.content_name == DEFAULT_BACKBONE


@given(KNOWN, st.integers(1, 6000))
def test_who_has_time_tries_everything(known: set[str], images: int) -> None:
    assert backbones_to_try(BALANCED, 300, known, images) == list(CATALOGUE)


def test_what_is_there_beside_the_catalogue_is_tried_as_well() -> None:
    dear, cheap = (replace(CATALOGUE[0], name=name, cost=cost) for name, cost in (("dear", 1.0), ("cheap", 0.001)))
    assert backbones_to_try(BALANCED, 300, set(), 100, [dear, cheap]) == [*CATALOGUE, cheap, dear]
    assert backbones_to_try(BALANCED, 300, set(), 1000, [dear, cheap]) == [*CATALOGUE, cheap]
    assert backbones_to_try(FAST, 10, set(), 100, [dear, cheap]) == [EMBEDDING_BACKBONE]


def test_features_of_very_many_images_leave_time_for_the_rest() -> None:
    assert backbones_to_try(BALANCED, 300, set(), 15_000) == [CATALOGUE[0]]


@given(KNOWN, st.integers(1, 100_000))
def test_where_seconds_count_nothing_is_computed_that_something_known_could_replace(
    known: set[str], images: int
) -> None:
    chosen = backbones_to_try(FAST, 10, known, images)
    came = [backbone for backbone in CATALOGUE if backbone.content_name in known]
    assert chosen == (came or [EMBEDDING_BACKBONE])


@given(KNOWN, st.integers(1, 100_000), st.floats(1, 3600), st.floats(0, 3600))
def test_more_seconds_never_mean_fewer_networks(known: set[str], images: int, seconds: float, more: float) -> None:
    some, others = (
        backbones_to_try(TrainingOptions(effort="fast", budget_seconds=budget), budget, known, images)
        for budget in (seconds, seconds + more)
    )
    assert some
    assert [backbone for backbone in others if backbone in some] == some
    computed = [backbone for backbone in some if backbone.content_name not in known]
    if len(some) > 1:
        assert sum(backbone.cost for backbone in computed) * images <= seconds


def test_what_does_not_fit_is_left_out() -> None:
    options = TrainingOptions(effort="fast", budget_seconds=10)
    assert [backbone.name for backbone in backbones_to_try(options, 10, set(), 300)] == [
        "efficientnet-lite0",
        "efficientnet-lite1",
    ]
