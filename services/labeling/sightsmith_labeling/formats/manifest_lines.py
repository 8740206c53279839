"""The lines of a manifest, one after the other, none held that is too long."""

from collections.abc import Iterator
from typing import BinaryIO

from sightsmith_labeling.formats.records import FormatError, Place, ReadLimits

_CHUNK = 1024 * 1024
_MOST_BYTES_OF_A_CHARACTER = 4
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def numbered_lines(file: BinaryIO, limits: ReadLimits) -> Iterator[tuple[int, bytes | None]]:
    """Reads lines.

    Yields:
        The number of each line, counted from 1, and its bytes without the line end; None for a line that is certainly
        longer than the limit.
    """
    most = limits.line_characters * _MOST_BYTES_OF_A_CHARACTER + len(b"\r\n")
    number = 0
    while line := file.readline(most + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if len(line) > most and not line.endswith(b"\n"):
            _skip_line(file)
            yield number, None
        else:
            yield number, line.rstrip(b"\r\n")


def check_line_count(file: BinaryIO, name: str, limits: ReadLimits) -> int:
    """Counts the lines of a file before any of them is taken.

    Raises:
        FormatError: if there are none, or more than are accepted.
    """
    count, last = 0, b"\n"
    while chunk := file.read(_CHUNK):
        count += chunk.count(b"\n")
        last = chunk[-1:]
        if count > limits.lines:
            break
    if last != b"\n":
        count += 1
    if count == 0:
        raise FormatError("ERROR_EMPTY_MANIFEST", f"{name}: the manifest file is empty", Place(name))
    if count > limits.lines:
        message = f"{name}: the manifest has more than {limits.lines} lines, which is all that is accepted"
        raise FormatError("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", message, Place(name))
    return count


def _skip_line(file: BinaryIO) -> None:
    while (piece := file.readline(_CHUNK)) and not piece.endswith(b"\n"):
        pass
