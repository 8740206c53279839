"""Links between the documents lead somewhere, and every setting that they name is one."""

import re
from pathlib import Path

import pytest

from sightsmith.settings import Settings
from sightsmith.stack import StackSettings
from sightsmith_inference.settings import InferenceSettings
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.weights.settings import WeightsSettings

ROOT = Path(__file__).parents[3]
# The introduction is read as the head of api.md, where its links within the page have their headings.
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")} - {ROOT / "docs" / "api_introduction.md"})
SETTINGS = (Settings, StackSettings, LabelingSettings, TrainingSettings, InferenceSettings, WeightsSettings)
STREAMS = {"SIGHTSMITH_EVENTS", "SIGHTSMITH_DEAD_LETTERS", "SIGHTSMITH_BATCH_SHARDS"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def test_every_setting_is_in_the_operations_page_and_no_other() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    named = set(re.findall(r"SIGHTSMITH_[A-Z_]+", text)) - STREAMS
    assert named == {f"SIGHTSMITH_{field.upper()}" for settings in SETTINGS for field in settings.model_fields}


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings: lower case, hyphens for spaces, no other punctuation."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
