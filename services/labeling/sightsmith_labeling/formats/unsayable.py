"""What a format cannot say of an image: the export is refused, and nothing is dropped silently."""

from sightsmith_labeling.formats.fields import shown
from sightsmith_labeling.formats.records import ExportedImage, FormatError, Place

# XML has no way to say these two, not even escaped; control characters are in no label and no file name.
_NOT_IN_XML = frozenset("\ufffe\uffff")


def unsayable(image: ExportedImage, format_name: str, reason: str) -> FormatError:
    """The error with which an export is refused.

    Args:
        image: what cannot be exported.
        format_name: as people call it.
        reason: why not, as the rest of a sentence.
    """
    message = f"{shown(image.source)} cannot be exported as {format_name}: {reason}"
    return FormatError("ERROR_FORMAT_CANNOT_EXPRESS", message, Place(image.file_name))


def require_xml(image: ExportedImage, format_name: str) -> None:
    """Makes sure that XML can say how an image and its labels are called.

    Raises:
        FormatError: with the code ERROR_FORMAT_CANNOT_EXPRESS, if it cannot.
    """
    for text in (image.file_name, *(annotation.label for annotation in image.annotations)):
        if not _NOT_IN_XML.isdisjoint(text):
            raise unsayable(image, format_name, f"XML cannot say {shown(text)}")
