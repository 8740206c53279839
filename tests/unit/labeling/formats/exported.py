"""Images for property tests of the formats: what an export may hold."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from hypothesis import strategies as st

from sightsmith_labeling.annotations import Annotation, Box, NewAnnotation, Origin
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.records import ExportedImage, ImportedImage

TIME = datetime(2026, 1, 5, 10, 0, 0, 250_000, tzinfo=UTC)

LABELS = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")) | st.sampled_from("<>&\"',;/ äß漢🙂"),
    min_size=1,
    max_size=12,
).filter(str.strip)
NAMES = st.lists(st.text("abcXYZ 09_-.(),&'äß漢", min_size=1, max_size=8), min_size=1, max_size=3).map(
    lambda parts: "/".join(f"n{part}x" for part in parts) + ".jpg"
)


@st.composite
def boxes(draw, width: int, height: int) -> Box:
    """A box inside an image, in whole pixels or not."""
    numbers = st.floats(0, 1, allow_subnormal=False)
    if draw(st.booleans()):
        left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        return Box(left, top, draw(st.integers(1, width - left)), draw(st.integers(1, height - top)))
    left, top = round(draw(numbers) * (width - 1), 3), round(draw(numbers) * (height - 1), 3)
    right, bottom = left + max(0.5, draw(numbers) * (width - left)), top + max(0.5, draw(numbers) * (height - top))
    return Box(left, top, round(min(right, width) - left - 0.01, 3), round(min(bottom, height) - top - 0.01, 3))


@st.composite
def annotations(draw, width: int, height: int, *, with_boxes: bool = True) -> tuple[Annotation, ...]:
    """Labels, each once, and boxes."""
    found = [(label, None) for label in draw(st.lists(LABELS, max_size=3, unique=True))]
    if with_boxes:
        found += [(draw(LABELS), draw(boxes(width, height))) for _ in range(draw(st.integers(0, 4)))]
    return tuple(
        Annotation(number, label, box, draw(st.sampled_from(Origin)), "someone", None, TIME)
        for number, (label, box) in enumerate(found, start=1)
    )


@st.composite
def images(draw) -> ExportedImage:
    """An image with anything on it."""
    width, height, name = draw(st.integers(64, 4096)), draw(st.integers(64, 4096)), draw(NAMES)
    return ExportedImage(
        file_name=name,
        source=name,
        url=f"s3://bucket/images/{name}",
        width=width,
        height=height,
        split=draw(st.sampled_from(Split)),
        annotations=draw(annotations(width, height)),
    )


EXPORTS = st.lists(images(), max_size=6, unique_by=lambda image: image.file_name)


def contents(annotations: Iterable[Annotation | NewAnnotation]) -> Sequence[tuple[object, ...]]:
    """What annotations say, in an order of its own; boxes to the millionth of a pixel."""
    return sorted(
        (
            annotation.label,
            *(round(side, 5) for side in vars(annotation.box).values()),
        )
        if annotation.box is not None
        else (annotation.label,)
        for annotation in annotations
    )


def is_sound(image: ImportedImage) -> bool:
    """Whether nothing was wrong with an image."""
    return not image.problems and not image.notes
