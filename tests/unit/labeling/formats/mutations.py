"""Files that are broken in every way: for tests that a reader refuses them and does nothing worse."""

from collections.abc import Mapping

from hypothesis import strategies as st

from sightsmith_labeling.formats.records import Format, FormatError, ImportedImage, ReadLimits, Rejection
from tests.unit.labeling.formats.trees import LIMITS, read

_NASTY = st.sampled_from(
    [
        *(b"\0", b"\xff\xfe", b"\xed\xa0\x80", b'"', b"\\", b"{", b"}", b"[", b"]", b"<", b">", b"&", b"\n", b","),
        *(b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 400, b"\\ud800", b"[" * 2000, b'{"a":' * 500),
        *(b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;", b"<image>" * 50, b'""', b"{}", b"[]", b"0"),
    ]
)


@st.composite
def mutated(draw, original: bytes) -> bytes:
    """A file with some bytes cut, doubled, replaced, or something nasty put in."""
    data = original
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["cut", "double", "replace", "insert", "truncate"]))
        if kind == "cut":
            data = data[:at] + data[end:]
        elif kind == "double":
            data = data[:end] + data[at:]
        elif kind == "replace":
            data = data[:at] + draw(_NASTY) + data[end:]
        elif kind == "insert":
            data = data[:at] + draw(_NASTY) + data[at:]
        else:
            data = data[:at]
    return data


def read_or_refuse(format_: Format, files: Mapping[str, bytes], limits: ReadLimits = LIMITS) -> None:
    """Reads files that may be broken; fails if anything but an image, a rejection or a `FormatError` comes of it."""
    try:
        found = read(format_, files, limits)
    except FormatError as error:
        found = [Rejection(error.place, error.code, error.message)]
    for entry in found:
        if isinstance(entry, Rejection):
            assert entry.code.startswith("ERROR_")
            entry.message.encode()
            continue
        assert isinstance(entry, ImportedImage)
        check_image(entry)


def check_image(image: ImportedImage) -> None:
    """Whether an image can be stored, whatever the file was that it came from."""
    image.source.encode()
    assert "\0" not in image.source
    assert image.source
    for problem in image.problems:
        problem.message.encode()
    for annotation in image.annotations:
        annotation.label.encode()
        assert annotation.label.strip()
        assert annotation.confidence is None or 0 <= annotation.confidence <= 1
        if (box := annotation.box) is not None:
            assert box.left >= 0
            assert box.top >= 0
            assert box.width > 0
            assert box.height > 0
            if image.width is not None and image.height is not None and not image.relative:
                assert box.left + box.width <= image.width + 1e-6
                assert box.top + box.height <= image.height + 1e-6
