"""What can be wrong with the lines of a manifest, under the codes of Amazon Rekognition Custom Labels.

The codes, what each of them costs, and where it is written are those of the "Debugging training" chapter of the Custom
Labels developer guide. Codes of our own, for what the guide leaves without one, are marked.
"""

from dataclasses import dataclass
from enum import Enum


class Cost(Enum):
    """What is lost by a fault."""

    REJECTED = "the line is not even imported"
    LINE = "the line is imported, but not trained with"
    ATTRIBUTE = "the labels of one attribute"
    BOX = "one box"
    NOTHING = "nothing: a warning"


@dataclass(frozen=True)
class Code:
    """A kind of fault.

    Attributes:
        name: as in `ERROR_INVALID_JSON_LINE`.
        message: what is wrong, if there is nothing more exact to say.
    """

    name: str
    cost: Cost
    message: str

    @property
    def is_warning(self) -> bool:
        """Whether nothing is lost by it."""
        return self.cost is Cost.NOTHING


INVALID_JSON_LINE = Code("ERROR_INVALID_JSON_LINE", Cost.REJECTED, "The line is not a JSON object.")
LINE_TOO_LONG = Code("ERROR_LINE_TOO_LONG", Cost.REJECTED, "The line is too long.")  # Ours.
MISSING_SOURCE_REF = Code("ERROR_MISSING_SOURCE_REF", Cost.REJECTED, "The source-ref key is missing.")
INVALID_SOURCE_REF_FORMAT = Code(
    "ERROR_INVALID_SOURCE_REF_FORMAT", Cost.REJECTED, "The value of source-ref is not of the form s3://bucket/key."
)
DUPLICATE_SOURCE_REF = Code(  # Ours. Told by those who see all lines.
    "ERROR_DUPLICATE_SOURCE_REF", Cost.REJECTED, "An earlier line is about the same image."
)

NO_LABEL_ATTRIBUTES = Code("ERROR_NO_LABEL_ATTRIBUTES", Cost.LINE, "No label attribute with its metadata was found.")
NO_VALID_LABEL_ATTRIBUTES = Code(
    "ERROR_NO_VALID_LABEL_ATTRIBUTES", Cost.LINE, "None of the line's label attributes is valid."
)
INVALID_IMAGE = Code("ERROR_INVALID_IMAGE", Cost.LINE, "The image cannot be used.")  # Told by those who see the bytes.
INVALID_IMAGE_DIMENSION = Code(
    "ERROR_INVALID_IMAGE_DIMENSION", Cost.LINE, "The image is too small or too large to be used."
)
TOO_MANY_BOUNDING_BOXES = Code(
    "ERROR_TOO_MANY_BOUNDING_BOXES", Cost.LINE, "The image has more bounding boxes than are allowed."
)
TOO_MANY_LABELS = Code("ERROR_TOO_MANY_LABELS", Cost.LINE, "The image has more labels than are allowed.")  # Ours.
NO_VALID_ANNOTATIONS = Code("ERROR_NO_VALID_ANNOTATIONS", Cost.LINE, "No valid annotations found.")

INVALID_LABEL_ATTRIBUTE_FORMAT = Code(
    "ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT", Cost.ATTRIBUTE, "The label attribute is not as it must be."
)
INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT = Code(
    "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT", Cost.ATTRIBUTE, "The label attribute's metadata are not valid."
)
MISSING_BOUNDING_BOX_CONFIDENCE = Code(
    "ERROR_MISSING_BOUNDING_BOX_CONFIDENCE", Cost.ATTRIBUTE, "A bounding box has no confidence."
)
MISSING_CLASS_MAP_ID = Code("ERROR_MISSING_CLASS_MAP_ID", Cost.ATTRIBUTE, "A class_id is not in the class-map.")
UNSUPPORTED_USE_CASE_TYPE = Code(
    "ERROR_UNSUPPORTED_USE_CASE_TYPE", Cost.ATTRIBUTE, "The type of the label attribute is not supported."
)
INVALID_LABEL_NAME_LENGTH = Code("ERROR_INVALID_LABEL_NAME_LENGTH", Cost.ATTRIBUTE, "The label's name is too long.")
INVALID_LABEL_NAME = Code("ERROR_INVALID_LABEL_NAME", Cost.ATTRIBUTE, "The label's name cannot be used.")  # Ours.

INVALID_BOUNDING_BOX = Code(
    "ERROR_INVALID_BOUNDING_BOX", Cost.BOX, "The bounding box has negative values or goes beyond the image."
)
BOUNDING_BOX_TOO_SMALL = Code(
    "ERROR_BOUNDING_BOX_TOO_SMALL", Cost.BOX, "The height and width of the bounding box is too small."
)

UNANNOTATED_RECORD = Code("WARNING_UNANNOTATED_RECORD", Cost.NOTHING, "The image has no labels; it is ignored.")
NO_ATTRIBUTE_ANNOTATIONS = Code(
    "WARNING_NO_ATTRIBUTE_ANNOTATIONS", Cost.NOTHING, "The label attribute has no annotations; it is ignored."
)
NO_ANNOTATIONS = Code(
    "WARNING_NO_ANNOTATIONS", Cost.NOTHING, "None of the line's label attributes has annotations; it is ignored."
)

CODES = {code.name: code for code in list(globals().values()) if isinstance(code, Code)}
"""Every code by its name."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a line.

    Attributes:
        place: keys and indices that lead to what is wrong, as in `("bb", "annotations", 2)`; empty for the whole line.
    """

    code: Code
    place: tuple[str | int, ...]
    message: str

    @property
    def path(self) -> str:
        """The place as people write it, as in `bb.annotations[2]`."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place).removeprefix(".")
