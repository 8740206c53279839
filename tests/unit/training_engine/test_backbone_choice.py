"""Which networks a training tries."""

from hypothesis import given
from hypothesis import strategies as st

from sightsmith_labeling.embeddings.store import DEFAULT_BACKBONE
from sightsmith_training.engine.backbone_choice import EMBEDDING_BACKBONE, backbones_to_try
from sightsmith_training.engine.catalogue import CATALOGUE
from sightsmith_training.engine.contract import TrainingOptions
from sightsmith_training.settings import TrainingSettings

KNOWN = st.sets(st.sampled_from([backbone.content_name for backbone in CATALOGUE] + ["another-network"]))
FAST = TrainingOptions(effort="fast")


def test_services_embed_by_what_quick_trainings_learn_from() -> None:
    assert TrainingSettings().published_backbones == (EMBEDDING_BACKBONE.name,)
    assert EMBEDDING_BACKBONE.content_name == DEFAULT_BACKBONE


@given(KNOWN, st.integers(1, 100_000))
def test_who_has_time_tries_everything(known: set[str], images: int) -> None:
    assert backbones_to_try(TrainingOptions(effort="balanced"), known, images) == list(CATALOGUE)


@given(KNOWN, st.integers(1, 100_000))
def test_where_seconds_count_nothing_is_computed_that_something_known_could_replace(
    known: set[str], images: int
) -> None:
    chosen = backbones_to_try(FAST, known, images)
    came = [backbone for backbone in CATALOGUE if backbone.content_name in known]
    assert chosen == (came or [EMBEDDING_BACKBONE])


@given(KNOWN, st.integers(1, 100_000), st.floats(1, 3600), st.floats(0, 3600))
def test_more_seconds_never_mean_fewer_networks(known: set[str], images: int, seconds: float, more: float) -> None:
    some, others = (
        backbones_to_try(TrainingOptions(effort="fast", budget_seconds=budget), known, images)
        for budget in (seconds, seconds + more)
    )
    assert some
    assert [backbone for backbone in others if backbone in some] == some
    computed = [backbone for backbone in some if backbone.content_name not in known]
    if len(some) > 1:
        assert sum(backbone.cost for backbone in computed) * images <= seconds


def test_what_does_not_fit_is_left_out() -> None:
    options = TrainingOptions(effort="fast", budget_seconds=10)
    assert [backbone.name for backbone in backbones_to_try(options, set(), 300)] == [
        "efficientnet-lite0",
        "efficientnet-lite1",
    ]
