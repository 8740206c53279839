"""Which variants are made, kept and recommended."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from sightsmith_training.engine.variants.eight_bits import RECIPES
from sightsmith_training.engine.variants.making import make_variants
from sightsmith_training.engine.variants.recommendation import recommend
from sightsmith_training.engine.variants.running import Answers
from sightsmith_training.engine.variants.variant import Judge, Variant, VariantSettings

from . import graphs

PICTURES, TRUTH = graphs.pictures(6, seed=7)
CALIBRATION = graphs.pictures(3, seed=8)[0]


def macro_f1(answers: Answers) -> float:
    return float(f1_score(TRUTH, answers[0].argmax(axis=1), average="macro"))


JUDGE = Judge(macro_f1, lambda answers: answers[0].argmax(axis=1))


@pytest.fixture(scope="module")
def variants() -> list[Variant]:
    return make_variants(graphs.classifier(), CALIBRATION, PICTURES, JUDGE, VariantSettings())


def test_harmless_variants_are_kept(variants: list[Variant]) -> None:
    assert [variant.format for variant in variants] == ["onnx_fp16", "onnx_int8"]
    for variant in variants:
        assert variant.kept, variant.reason
        assert variant.figure_before - variant.figure_after <= 0.01
        assert variant.milliseconds_before > 0
        assert variant.milliseconds_after > 0
    assert 0 < variants[0].largest_difference < variants[1].largest_difference


def test_what_loses_too_much_is_told_and_not_kept() -> None:
    worsened = iter([0.9, 0.85, 0.7, 0.8, 0.75])
    judge = Judge(lambda answers: next(worsened))
    half, eight = make_variants(graphs.classifier(), CALIBRATION, PICTURES, judge, VariantSettings())
    assert not half.kept
    assert half.reason == "its figure is 0.850 where the full model's is 0.900; 0.010 may be lost"
    assert not eight.kept
    assert (eight.figure_after, eight.recipe) == (0.8, RECIPES[1].description)


def test_the_first_recipe_that_loses_little_is_taken() -> None:
    figures = iter([0.9, 0.9, 0.7, 0.895])
    judge = Judge(lambda answers: next(figures))
    _, eight = make_variants(graphs.classifier(), CALIBRATION, PICTURES, judge, VariantSettings())
    assert (eight.kept, eight.recipe) == (True, RECIPES[1].description)
    assert next(figures, None) is None


def test_where_nothing_is_right_nothing_can_be_said_of_a_loss() -> None:
    judge = Judge(lambda answers: 0.0)
    for variant in make_variants(graphs.classifier(), CALIBRATION, PICTURES, judge, VariantSettings(seconds=0)):
        assert not variant.kept
        assert variant.reason == "the full model's figure is 0: no loss could be seen"


def test_without_time_only_the_first_recipe_is_tried() -> None:
    figures = iter([0.9, 0.9, 0.7])
    judge = Judge(lambda answers: next(figures))
    _, eight = make_variants(graphs.classifier(), CALIBRATION, PICTURES, judge, VariantSettings(seconds=0))
    assert (eight.kept, eight.recipe) == (False, RECIPES[0].description)


def test_one_image_may_be_decided_otherwise_and_no_more() -> None:
    for flipped, kept in ((1, True), (2, False)):
        asked: list[Answers] = []

        def decide(answers: Answers, asked: list[Answers] = asked, flipped: int = flipped) -> np.ndarray:
            asked.append(answers)
            return np.arange(len(PICTURES)) < (flipped if len(asked) % 2 else 0)

        judge = Judge(lambda answers: 0.5, decide)
        half, _ = make_variants(graphs.classifier(), CALIBRATION, PICTURES, judge, VariantSettings(seconds=0))
        assert half.kept is kept, half.reason
        assert f"decides otherwise on {flipped} of {len(PICTURES)} images" in half.reason


def test_values_too_large_for_half_precision_are_noticed() -> None:
    model = graphs.with_weights(graphs.detector(), lambda weights: weights * 60)
    pixels = np.random.default_rng(0).integers(0, 256, (5, graphs.DETECTOR_SIDE, graphs.DETECTOR_SIDE, 3), np.uint8)
    half, _ = make_variants(model, pixels, pixels, Judge(lambda answers: 1.0), VariantSettings())
    assert not half.kept
    assert "not numbers" in half.reason


def test_a_model_that_cannot_be_converted_is_told() -> None:
    pixels = np.zeros((5, 8, 8, 3), np.uint8)
    for variant in make_variants(graphs.without_layers(), pixels, pixels, Judge(lambda _: 1.0), VariantSettings()):
        assert (variant.kept, variant.data) == (False, b"")
        assert "no convolution" in variant.reason
    assert {each.format for each in recommend([variant])} == {"onnx", "torchscript"}


def test_runtimes_get_what_suits_them(variants: list[Variant]) -> None:
    half, eight = (replace(variant, milliseconds_before=10, milliseconds_after=6) for variant in variants)
    chosen = {each.runtime: each.format for each in recommend([half, eight])}
    assert chosen == {
        "onnxruntime-cpu": "onnx_int8",
        "onnxruntime-cuda": "onnx_fp16",
        "tensorrt": "onnx_fp16",
        "pytorch": "torchscript",
    }
    slow = recommend([half, replace(eight, milliseconds_after=9.5)])[0]
    assert slow.format == "onnx"
    assert slow.reason == "int8 gains too little: 9.5 ms an image instead of 10.0 on the CPU of the training"
