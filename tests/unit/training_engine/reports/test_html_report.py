import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from sightsmith_training.engine.evaluation_result import Advice, Interval, LearningPoint
from sightsmith_training.engine.judging.classification_metrics import classification_figures
from sightsmith_training.engine.judging.matches import match_labels
from sightsmith_training.engine.judging.mistakes import find_mistakes
from sightsmith_training.engine.reports.html_report import write_html_report
from sightsmith_training.engine.reports.pictures import TriedCandidate
from sightsmith_training.engine.reports.report import Report
from tests.unit.training_engine.reports.cases import classified, detected, evaluation_of, jpeg, names, report_of

_LEARNED = [(10, 0.5), (20, 0.7), (40, 0.8)]
_VOID = {"meta", "img", "br", "input"}
_EVIL = '<script>alert("x")</script>'


@dataclass
class Page(HTMLParser):
    """The elements of a page with their attributes, and its words."""

    text: str
    elements: list[tuple[str, dict]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] not in ("style", "script"):
            self.words.append(" ".join(data.split()))

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def gallery(self) -> list[dict]:
        return [attributes for attributes in self.all("figure") if "data-tags" in attributes]


def written(folder: Path, report: Report, **options) -> str:
    path = folder / "report.html"
    write_html_report(path, report, lambda entry: jpeg(), **options)
    return path.read_text()


def full(matches) -> Report:
    return report_of(
        matches,
        candidates=[
            TriedCandidate("probe", 0.8, 4.0, False, "less accurate"),
            TriedCandidate("fine-tuned", 0.9, 5.0, True),
            TriedCandidate("stopped early", 0.5, None, False),
        ],
        evaluation=evaluation_of(
            matches,
            learning_curve=[LearningPoint(images=images, score=score) for images, score in _LEARNED],
            advice=[
                Advice(code="MORE_IMAGES", text="More images would help.", images=[find_first_mistake(matches)]),
            ],
        ),
        facts=[("seed", "7")],
    )


def find_first_mistake(matches) -> str:
    return matches.images[find_mistakes(matches)[0].image].image


@pytest.mark.parametrize("matches", [classified(1), classified(1, single_label=False), detected(1)])
def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path, matches) -> None:
    text = written(tmp_path, full(matches))
    page = Page(text)
    assert len(page.gallery) == len(matches.images) == len(page.all("img"))
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert all(link["href"].startswith("#") for link in page.all("a"))
    assert not page.all("link")
    assert not re.search(r"https?:|url\(|@import|\bfetch\b", text)
    assert not any(re.fullmatch(r"None|nan", words) for words in page.words)


def test_the_page_is_the_same_for_the_same_training(tmp_path: Path) -> None:
    assert written(tmp_path, full(detected(2))) == written(tmp_path, full(detected(2)))


def test_the_learning_curve_says_how_sure_it_is_and_what_more_images_would_bring(tmp_path: Path) -> None:
    matches = detected(2)
    spans = [
        LearningPoint(images=images, score=score, interval=Interval(lower=score - 0.1, upper=score + 0.1))
        for images, score in _LEARNED
    ]
    told, plain = full(matches), written(tmp_path, full(matches))
    page = written(tmp_path, replace(told, evaluation=told.evaluation.model_copy(update={"learning_curve": spans})))
    assert page.count("<polyline") == plain.count("<polyline") + len(_LEARNED)
    # The gap to 0.9 is halved each time.
    assert "0.050 more for twice as many as there are" in page


def test_names_cannot_become_part_of_the_page(tmp_path: Path) -> None:
    matches = replace(classified(3), labels=(_EVIL, '"><img src=x onerror=alert(1)>', "'&amp;"))
    report = replace(
        full(matches),
        title=_EVIL,
        facts=[(_EVIL, _EVIL)],
        candidates=[TriedCandidate(_EVIL, 0.5, 1.0, True)],
        evaluation=evaluation_of(matches, advice=[Advice(code="MORE_IMAGES", text=_EVIL)]),
    )
    page = Page(written(tmp_path, report))
    assert len(page.all("script")) == 1
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert page.words.count(_EVIL) >= 5
    assert "'&amp;" in page.words


def test_the_most_confident_mistake_leads_and_what_is_right_comes_last(tmp_path: Path) -> None:
    matches = classified(4, images=30)
    gallery = Page(written(tmp_path, report_of(matches))).gallery
    assert gallery[0]["id"] == find_first_mistake(matches)
    wrong = [bool(re.search("FP|FN", image["data-tags"])) for image in gallery]
    assert wrong == sorted(wrong, reverse=True)
    assert wrong.count(True) == (~matches.right).sum()


def test_images_carry_what_the_filters_look_for(tmp_path: Path) -> None:
    matches = classified(5, images=1)
    matches = replace(matches, scores=np.array([[0.8, 0.3, 0.1]]), truth=np.array([[False, True, False]]))
    page = Page(written(tmp_path, report_of(matches)))
    assert page.gallery[0]["data-tags"] == "0:FP 1:FN"
    assert [option["value"] for option in page.all("option")] == ["", "0", "1", "2", "", "TP", "FP", "FN"]


def test_large_sets_show_some_images_and_say_so(tmp_path: Path) -> None:
    matches = classified(6, images=50)
    page = Page(written(tmp_path, report_of(matches), most_thumbnails=7))
    assert len(page.gallery) == 7
    assert any("7 of 50 images are shown" in words for words in page.words)


def test_figures_are_those_of_the_matches(tmp_path: Path) -> None:
    matches = classified(7, images=40)
    page, figures = Page(written(tmp_path, report_of(matches))), classification_figures(matches)
    macro_f1 = page.words.index("macro-F1")
    assert page.words[macro_f1 + 1] == f"{figures.macro.f1:.3f}"
    for label in figures.labels:
        row = page.words.index(label.label)
        assert page.words[row + 1].startswith(str(label.images))
        assert f"{label.f1:.3f}" in page.words[row + 2 : row + 5]


def test_labelled_and_predicted_boxes_are_drawn_and_told_apart(tmp_path: Path) -> None:
    matches = detected(8)
    boxes = [box for box in Page(written(tmp_path, report_of(matches))).all("rect") if box["class"] != "bar"]
    kinds = [box["class"].split() for box in boxes]
    assert sum(kind == "labelled" for kind, _ in kinds) == len(matches.truths.labels)
    assert sum(kind == ["predicted", "TP"] for kind in kinds) == matches.true_positives.sum()
    assert sum(kind == ["predicted", "FP"] for kind in kinds) == matches.false_positives.sum()
    assert sum(kind == ["labelled", "FN"] for kind in kinds) == matches.missed.sum()


def test_advice_leads_to_the_images_that_it_is_about(tmp_path: Path) -> None:
    page = Page(written(tmp_path, full(detected(9))))
    targets = {attributes.get("id") for attributes in page.gallery}
    links = [link["href"].removeprefix("#") for link in page.all("a")]
    assert links
    assert set(links) <= targets


def test_a_bare_report_has_no_empty_pictures(tmp_path: Path) -> None:
    page = Page(written(tmp_path, report_of(classified(10))))
    assert len([svg for svg in page.all("svg") if svg.get("class") == "chart"]) == 1 + 2 * 3


def test_images_without_anything_and_labels_without_images(tmp_path: Path) -> None:
    images = [
        replace(image, labels=np.array(labels, np.intp))
        for image, labels in zip(classified(11).images, ([], [1]), strict=False)
    ]
    scores = np.array([[0.1, 0.1], [0.1, 0.9]])
    matches = match_labels(images, ["never there", "there"], scores, np.full(2, 0.5), single_label=False)
    page = Page(written(tmp_path, report_of(matches)))
    assert page.words.count("nothing labelled, nothing predicted") == 1
    assert "never there" in page.words
    # Of a label that no image carries there are no figures, average precision included, and no pictures.
    assert page.words.count("–") == 4
    assert len(page.all("details")) == 1


def test_of_very_many_labels_the_most_confused_are_in_the_matrix(tmp_path: Path) -> None:
    matches = classified(12, images=300, labels=250)
    page = Page(written(tmp_path, report_of(matches), most_thumbnails=1))
    assert any("225 labels with the fewest mistakes are left out" in words for words in page.words)
    assert set(names(250)) <= set(page.words)


def test_out_of_fold_predictions_are_not_called_test_images(tmp_path: Path) -> None:
    matches = classified(13)
    page = Page(
        written(tmp_path, report_of(matches, evaluation=evaluation_of(matches, evaluated_on="cross_validation")))
    )
    assert any("because there were no test images" in words for words in page.words)
