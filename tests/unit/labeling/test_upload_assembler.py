import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName
from sightsmith_labeling.uploads.answers import RefusedImage
from sightsmith_labeling.uploads.assembler import Assembler, ReceivedImage
from sightsmith_labeling.uploads.header import HeaderLimits, ImageHeader

MAX_BYTES = 10
HEADER = ImageHeader("a.jpg", ("cat",))
BAD_HEADER = ImageHeader("b.jpg", ("",))


def assembler() -> Assembler:
    return Assembler(HeaderLimits(max_source_length=8), MAX_BYTES)


def refused(image: ReceivedImage | RefusedImage | None) -> RefusedImage:
    assert isinstance(image, RefusedImage)
    return image


@given(st.lists(st.lists(st.binary(max_size=4), max_size=4)))
def test_gives_each_image_back_whole(images: list[list[bytes]]) -> None:
    upload, came = assembler(), []
    for chunks in images:
        came.append(upload.feed(HEADER))
        came.extend(upload.feed(chunk) for chunk in chunks)
    came.append(upload.end())
    whole = [image for image in came if image is not None]
    assert [image.index for image in whole] == list(range(len(images)))
    for image, chunks in zip(whole, images, strict=True):
        data = b"".join(chunks)
        if len(data) > MAX_BYTES:
            assert refused(image).error.reason == "IMAGE_TOO_LARGE"
        else:
            assert image == ReceivedImage(image.index, HEADER, data)


def test_an_upload_may_hold_nothing() -> None:
    assert assembler().end() is None


def test_an_image_may_come_without_chunks() -> None:
    upload = assembler()
    upload.feed(HEADER)
    assert upload.end() == ReceivedImage(0, HEADER, b"")
    assert upload.end() is None


def test_a_chunk_needs_a_header() -> None:
    with pytest.raises(InvalidArgumentError, match="chunk: must come after the header"):
        assembler().feed(b"x")


def test_the_parent_comes_once() -> None:
    with pytest.raises(InvalidArgumentError, match="parent: must be the first message"):
        assembler().feed(DatasetName("p", "d"))


def test_a_wrong_header_refuses_its_image_alone() -> None:
    upload = assembler()
    upload.feed(BAD_HEADER)
    upload.feed(b"x")
    image = refused(upload.feed(HEADER))
    assert (image.index, image.source, image.error.reason) == (0, "b.jpg", "INVALID_FIELD")
    assert [violation.field for violation in image.error.violations] == ["labels[0]"]
    upload.feed(b"y")
    assert upload.end() == ReceivedImage(1, HEADER, b"y")


def test_an_image_that_is_too_large_refuses_itself_alone() -> None:
    upload = assembler()
    upload.feed(HEADER)
    for _ in range(5):
        assert upload.feed(b"xxxx") is None
    image = refused(upload.feed(HEADER))
    assert image.error.reason == "IMAGE_TOO_LARGE"
    assert image.error.metadata["limit"] == str(MAX_BYTES)
    assert [violation.field for violation in image.error.violations] == ["a.jpg"]
    upload.feed(b"y" * MAX_BYTES)
    assert isinstance(upload.end(), ReceivedImage)


def test_a_long_source_is_not_echoed_whole() -> None:
    upload = assembler()
    upload.feed(ImageHeader("x" * 1000, ()))
    assert refused(upload.end()).source == "x" * 8
