"""Puts the parts of an upload together to images."""

from dataclasses import dataclass

from sightsmith.errors import InvalidArgumentError
from sightsmith.images import ImageError
from sightsmith.names import DatasetName
from sightsmith_labeling.uploads.answers import RefusedImage, unacceptable, wrong_header
from sightsmith_labeling.uploads.header import HeaderLimits, ImageHeader, header_violations

# One message of an upload: its dataset, the beginning of an image, or bytes of the image begun last.
Part = DatasetName | ImageHeader | bytes


@dataclass(frozen=True)
class ReceivedImage:
    """A whole image as it came, not yet looked into.

    Attributes:
        index: the image's place in the upload, counted from 0.
    """

    index: int
    header: ImageHeader
    data: bytes


class Assembler:
    """Turns headers and chunks into images, one at a time.

    Holds the bytes of one image at most, and none of an image that is already known to be refused.
    """

    def __init__(self, header_limits: HeaderLimits, max_image_bytes: int) -> None:
        self._header_limits = header_limits
        self._max_image_bytes = max_image_bytes
        self._header: ImageHeader | None = None
        self._refusal: InvalidArgumentError | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._index = -1

    def feed(self, part: Part) -> ReceivedImage | RefusedImage | None:
        """Takes the next part.

        Returns:
            The image that the part ends, if it begins another one.

        Raises:
            InvalidArgumentError: if the part must not come here.
        """
        if isinstance(part, DatasetName):
            raise InvalidArgumentError.of_field("parent", "must be the first message of the upload and come once")
        if isinstance(part, ImageHeader):
            ended = self.end()
            self._begin(part)
            return ended
        if self._header is None:
            raise InvalidArgumentError.of_field("chunk", "must come after the header of its image")
        self._add(part)
        return None

    def end(self) -> ReceivedImage | RefusedImage | None:
        """Ends the image begun last, at the end of the upload or because another one begins."""
        header, refusal, chunks = self._header, self._refusal, self._chunks
        self._header, self._refusal, self._chunks = None, None, []
        if header is None:
            return None
        if refusal is not None:
            return RefusedImage(self._index, header.source[: self._header_limits.max_source_length], refusal)
        return ReceivedImage(self._index, header, b"".join(chunks))

    def _begin(self, header: ImageHeader) -> None:
        self._index += 1
        self._size = 0
        self._header = header
        if violations := header_violations(header, self._header_limits):
            self._refusal = wrong_header(violations)

    def _add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._refusal is None and self._size > self._max_image_bytes:
            self._refusal = self._too_large()
        if self._refusal is None:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def _too_large(self) -> InvalidArgumentError:
        assert self._header is not None  # noqa: S101 - only called between a header and its end
        problem = f"the image has more than the {self._max_image_bytes} bytes allowed"
        error = ImageError("IMAGE_TOO_LARGE", problem, limit=self._max_image_bytes)
        return unacceptable(self._header.source, error)
