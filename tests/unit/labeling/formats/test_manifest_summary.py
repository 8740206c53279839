"""What two manifests come to as a whole."""

import json

import pytest

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.manifest_check import Outcome, check_line
from sightsmith_labeling.formats.manifest_rules import ManifestRules
from sightsmith_labeling.formats.manifest_summary import ManifestSummary, UseCase
from tests.unit.labeling.formats.test_manifest_check import BOXES, LABEL

RULES = ManifestRules()


def labelled(label: str, bucket: str = "shop") -> str:
    line = LABEL | {"source-ref": f"s3://{bucket}/{label}.jpg"}
    return json.dumps(line | {"grade-metadata": {**LABEL["grade-metadata"], "class-name": label}})


UNLABELLED = '{"source-ref":"s3://shop/none.jpg"}'
BROKEN = '{"source-ref":"s3://shop/none.jpg","grade":1}'
BOXED = json.dumps(BOXES)


def summary(train: list[str], test: list[str] | None, rules: ManifestRules = RULES) -> ManifestSummary:
    found = ManifestSummary(rules, has_testing=test is not None)
    for split, lines in ((Split.TRAIN, train), (Split.TEST, test or [])):
        for line in lines:
            found.add(split, check_line(line, rules))
    return found


def terminal(found: ManifestSummary) -> list[tuple[Split | None, str]]:
    return [(finding.split, finding.code) for finding in found.findings() if finding.is_terminal]


GOOD = [labelled("a"), labelled("b")] * 3


def test_a_sound_pair_has_nothing_wrong_and_adds_up():
    found = summary([*GOOD, UNLABELLED, BROKEN], [labelled("a"), labelled("b")])
    assert terminal(found) == []
    training = found.as_json()["statistics"]["training"]
    assert training == {
        "use_case": "IMAGE_LEVEL_LABELS",
        "total_json_lines": 8,
        "valid_json_lines": 6,
        "invalid_json_lines": 1,
        "ignored_json_lines": 1,
        "error_json_line_indices": [8],
        "errors": [],
    }
    assert found.as_json()["errors"] == []


@pytest.mark.parametrize(("broken", "is_refused"), [(1, False), (2, True)])
def test_a_fifth_of_the_lines_may_be_invalid_and_unlabelled_ones_do_not_count(broken, is_refused):
    found = summary([*GOOD[:4], *[BROKEN] * broken, *[UNLABELLED] * 100], GOOD)
    refused = [(Split.TRAIN, "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST")] if is_refused else []
    assert terminal(found) == refused


def test_lines_found_invalid_by_others_count():
    found = summary(GOOD, GOOD)
    for _ in range(2):
        found.add(Split.TRAIN, check_line(labelled("a")), Outcome.INVALID)
    assert terminal(found) == [(Split.TRAIN, "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST")]


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ([], GOOD, [(Split.TRAIN, "ERROR_EMPTY_MANIFEST")]),
        (
            [labelled("a")] * 3,
            [labelled("a")],
            [(Split.TRAIN, "ERROR_MANIFEST_TOO_FEW_LABELS"), (Split.TEST, "ERROR_MANIFEST_TOO_FEW_LABELS")],
        ),
        ([labelled(c) for c in "abcd"], [labelled("a"), labelled("x")], [(None, "ERROR_INSUFFICIENT_LABEL_OVERLAP")]),
        ([labelled(c) for c in "abcd"], [labelled("a"), labelled("b")], []),
        (
            [labelled("a"), labelled("a"), BOXED],
            GOOD,
            [
                (Split.TRAIN, "ERROR_MANIFEST_TOO_FEW_USABLE_LABELS"),
                (None, "ERROR_INSUFFICIENT_LABEL_OVERLAP"),
            ],
        ),
        (
            [BOXED] * 3,
            [labelled("bolt"), labelled("washer")],
            [(Split.TEST, "ERROR_MANIFEST_TOO_FEW_USABLE_LABELS"), (None, "ERROR_INSUFFICIENT_USABLE_LABEL_OVERLAP")],
        ),
    ],
)
def test_terminal_errors(train, test, expected):
    assert terminal(summary(train, test)) == expected


def test_labels_that_are_too_rare_to_split_are_named():
    (finding,) = summary([labelled("a"), labelled("b"), labelled("a")], None).findings()
    assert finding.code == "ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_AUTOSPLIT"
    assert finding.message.endswith(": b.")
    assert terminal(summary(GOOD, None)) == []


def test_the_use_case_is_that_of_most_training_lines():
    assert summary([BOXED, labelled("a"), labelled("b")], GOOD).use_case is UseCase.IMAGE_LEVEL_LABELS
    assert summary([BOXED, labelled("a")], GOOD).use_case is UseCase.OBJECT_LOCALIZATION
    assert summary([UNLABELLED], GOOD).use_case is UseCase.NOT_DETERMINED
    mixed = summary([BOXED, labelled("a"), labelled("b")], GOOD).as_json()["statistics"]["training"]
    assert (mixed["valid_json_lines"], mixed["ignored_json_lines"]) == (2, 1)


def test_lines_of_the_other_use_case_are_ignored_and_told_of():
    both = json.dumps(BOXES | json.loads(labelled("a")))
    train, test = [*GOOD, both, BOXED, BOXED, UNLABELLED, BROKEN], [labelled("a"), labelled("b"), BOXED]
    found = summary(train, test)
    statistics = found.as_json()["statistics"]
    lines = ("total", "valid", "invalid", "ignored")
    assert [statistics["training"][f"{kind}_json_lines"] for kind in lines] == [11, 7, 1, 3]
    assert [statistics["testing"][f"{kind}_json_lines"] for kind in lines] == [3, 2, 0, 1]
    assert [(one.split, one.code, one.is_terminal) for one in found.findings()] == [
        (Split.TRAIN, "WARNING_OTHER_USE_CASE", False),
        (Split.TEST, "WARNING_OTHER_USE_CASE", False),
    ]
    assert found.findings()[0].message.startswith("Lines with boxes only, 2 of 11, are ignored")
    (finding,) = summary([BOXED, BOXED, labelled("a")], [BOXED]).findings()
    assert finding.message.startswith("Lines with labels of whole images only, 1 of 3, are ignored")


def test_several_buckets_are_an_error_only_where_that_is_a_rule():
    lines = [*GOOD, labelled("a", "elsewhere")]
    assert terminal(summary(lines, GOOD)) == []
    assert "ERROR_IMAGES_IN_MULTIPLE_S3_BUCKETS" in [finding.code for finding in summary(lines, GOOD).findings()]
    strict = ManifestRules(one_bucket=True)
    assert terminal(summary(lines, GOOD, strict)) == [(Split.TRAIN, "ERROR_IMAGES_IN_MULTIPLE_S3_BUCKETS")]


def test_too_many_labels_lines_and_bytes():
    rules = ManifestRules(max_labels=1, max_bytes=100)
    assert {code for _, code in terminal(summary(GOOD, GOOD, rules))} == {
        "ERROR_MANIFEST_TOO_MANY_LABELS",
        "ERROR_MANIFEST_SIZE_TOO_LARGE",
    }
