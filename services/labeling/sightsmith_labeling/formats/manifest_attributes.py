"""One label attribute of a manifest's line, `X` with its `X-metadata`: what it says, and all that is wrong with it."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

from sightsmith_labeling.annotations import Box, NewAnnotation, Origin
from sightsmith_labeling.formats import manifest_codes as codes
from sightsmith_labeling.formats.fields import FieldError, box_of, label_of, shown
from sightsmith_labeling.formats.manifest_codes import Code, Cost, Fault
from sightsmith_labeling.formats.manifest_rules import ManifestRules
from sightsmith_labeling.formats.records import ReadLimits

CLASSIFICATION = "groundtruth/image-classification"
MULTI_LABEL = "groundtruth/image-classification-multilabel"
DETECTION = "groundtruth/object-detection"

_AUTHORS = {"yes": Origin.IMPORT, "no": Origin.MODEL}


class Attribute(NamedTuple):
    """What an attribute says.

    Attributes:
        annotations: those that are sound; none if the attribute as a whole is not.
        is_valid: whether the attribute as a whole is.
        entries: how many labels or boxes it has, sound or not.
        size: width and height of the image in pixels, if it tells.
    """

    annotations: Sequence[NewAnnotation]
    is_valid: bool
    entries: int
    size: tuple[int, int] | None = None


def check_attribute(name: str, value: object, metadata: object, rules: ManifestRules, faults: list[Fault]) -> Attribute:
    """Checks an attribute; what is wrong is added to `faults`."""
    check = _AttributeCheck(name, rules, faults)
    if not isinstance(metadata, dict):
        check.fault_in_metadata(f"{name}-metadata must be an object, not {shown(metadata)}")
        return check.result((), 0)
    check.common(metadata)
    type_ = metadata.get("type")
    if type_ == CLASSIFICATION or (type_ == MULTI_LABEL and "class-name" in metadata):
        # AWS's own script, which makes several attributes from a multi-label one, leaves the type as it was.
        checks: Callable[[object, dict[str, Any]], Attribute] = check.classification
    elif type_ == DETECTION:
        checks = check.detection
    elif type_ == MULTI_LABEL and rules.native_multi_label:
        checks = check.multi_label
    else:
        check.unsupported_type(type_)
        return check.result((), 0)
    return checks(value, metadata)


class _AttributeCheck:
    """Goes through an attribute and notes everything that is wrong with it."""

    def __init__(self, name: str, rules: ManifestRules, faults: list[Fault]) -> None:
        self._name = name
        self._rules = rules
        self._faults = faults
        self._is_valid = True
        self._origin = Origin.IMPORT
        self._author = ""

    def result(
        self, annotations: Sequence[NewAnnotation], entries: int, size: tuple[int, int] | None = None
    ) -> Attribute:
        return Attribute(annotations if self._is_valid else (), self._is_valid, entries, size)

    def fault(self, code: Code, message: str, *place: str | int) -> None:
        self._faults.append(Fault(code, place, message))
        self._is_valid = self._is_valid and code.cost in (Cost.BOX, Cost.NOTHING)

    def fault_in_value(self, message: str) -> None:
        self.fault(codes.INVALID_LABEL_ATTRIBUTE_FORMAT, message, self._name)

    def fault_in_metadata(self, message: str, code: Code = codes.INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT) -> None:
        self.fault(code, message, f"{self._name}-metadata")

    def unsupported_type(self, type_: object) -> None:
        if isinstance(type_, str):
            message = f"type must be {CLASSIFICATION} or {DETECTION}, not {shown(type_)}"
            self.fault_in_metadata(message, codes.UNSUPPORTED_USE_CASE_TYPE)
        else:
            self.fault_in_metadata(f"type must be text, not {shown(type_)}")

    def common(self, metadata: dict[str, Any]) -> None:
        """Checks what the metadata of every type have."""
        human = metadata.get("human-annotated")
        if isinstance(human, str) and human in _AUTHORS:
            self._origin = _AUTHORS[human]
        else:
            self.fault_in_metadata(f"human-annotated must be yes or no, not {shown(human)}")
        date = metadata.get("creation-date")
        if not _is_date(date):
            self.fault_in_metadata(f"creation-date must be a time in ISO 8601, not {shown(date)}")
        author = metadata.get("job-name", "")
        if isinstance(author, str):
            self._author = author
        else:
            self.fault_in_metadata(f"job-name must be text, not {shown(author)}")

    def classification(self, value: object, metadata: dict[str, Any]) -> Attribute:
        if type(value) is not int:
            self.fault_in_value(f"{self._name} must be a whole number, not {shown(value)}")
        label = self._label(metadata.get("class-name"), "class-name")
        confidence = self._confidence(metadata.get("confidence"), "confidence")
        if not self._is_valid:
            return self.result((), 1)
        return self.result((self._annotation(label, None, confidence),), 1)

    def multi_label(self, value: object, metadata: dict[str, Any]) -> Attribute:
        class_map = self._class_map(metadata.get("class-map"))
        confidences = metadata.get("confidence-map")
        if not isinstance(confidences, dict):
            self.fault_in_metadata(f"confidence-map must be an object, not {shown(confidences)}")
            confidences = {}
        if not isinstance(value, list) or any(type(class_id) is not int for class_id in value):
            self.fault_in_value(f"{self._name} must be a list of whole numbers")
            return self.result((), 1)
        self._check_known(value, class_map)
        annotations = []
        for class_id in dict.fromkeys(map(str, value)):
            confidence = self._confidence(confidences.get(class_id), "a confidence in confidence-map")
            if class_map is not None and class_id in class_map:
                annotations.append(self._annotation(class_map[class_id], None, confidence))
        return self.result(annotations, len(value))

    def detection(self, value: object, metadata: dict[str, Any]) -> Attribute:
        if not isinstance(value, dict):
            self.fault_in_value(f"{self._name} must be an object, not {shown(value)}")
            return self.result((), 1)
        size = self._image_size(value.get("image_size"))
        entries = value.get("annotations")
        if entries is None:
            entries = []
        elif not isinstance(entries, list):
            self.fault_in_value(f"annotations must be a list, not {shown(entries)}")
            entries = []
        class_map = self._class_map(metadata.get("class-map"))
        confidences = self._confidences(metadata.get("objects", []), len(entries))
        complete = self._complete_entries(entries)
        self._check_known([entry["class_id"] for _, entry in complete], class_map)
        annotations = []
        for index, entry in complete:
            box = self._box(entry, size, index) if size is not None else None
            # Boxes of an attribute that is not valid are looked at for what else is wrong, and nothing more.
            if box is not None and class_map is not None and self._is_valid:
                annotations.append(self._annotation(class_map[str(entry["class_id"])], box, confidences[index]))
        return self.result(annotations, len(entries), size)

    def _annotation(self, label: str, box: Box | None, confidence: float | None) -> NewAnnotation:
        if confidence == 1 and self._origin is not Origin.MODEL:
            confidence = None  # The key must be there; people's labels get a 1, which says nothing.
        return NewAnnotation(label, box, self._origin, self._author, confidence)

    def _label(self, value: object, what: str) -> str:
        if not isinstance(value, str):
            self.fault_in_metadata(f"{what} must be text, not {shown(value)}")
            return ""
        refusal = _refusal_of_label(value, self._rules.limits)
        if refusal is not None:
            code, message = refusal
            self.fault_in_metadata(f"{what}: {message}", codes.CODES[code])
        return value

    def _confidence(self, value: object, what: str) -> float | None:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
        self.fault_in_metadata(f"{what} must be a number from 0 to 1, not {shown(value)}")
        return None

    def _class_map(self, value: object) -> dict[str, str] | None:
        if not isinstance(value, dict):
            self.fault_in_metadata(f"class-map must be an object, not {shown(value)}")
            return None
        return {class_id: self._label(label, "a label in class-map") for class_id, label in value.items()}

    def _check_known(self, class_ids: Sequence[int], class_map: dict[str, str] | None) -> None:
        if class_map is None:
            return
        missing = {class_id for class_id in class_ids if str(class_id) not in class_map}
        if missing:
            message = f"class-map has no {', '.join(str(class_id)[:20] for class_id in sorted(missing)[:10])}"
            self.fault_in_metadata(message, codes.MISSING_CLASS_MAP_ID)

    def _confidences(self, objects: object, count: int) -> Sequence[float | None]:
        if not isinstance(objects, list):
            self.fault_in_metadata(f"objects must be a list, not {shown(objects)}")
            return ()
        if len(objects) > count:
            self.fault_in_metadata(f"objects has {len(objects)} entries, and annotations has {count}")
        confidences = []
        for index in range(count):
            entry = objects[index] if index < len(objects) else None
            if not isinstance(entry, dict) or "confidence" not in entry:
                message = f"objects has no confidence for annotations[{index}]"
                self.fault_in_metadata(message, codes.MISSING_BOUNDING_BOX_CONFIDENCE)
                break
            confidences.append(self._confidence(entry["confidence"], "a confidence in objects"))
        return confidences

    def _image_size(self, value: object) -> tuple[int, int] | None:
        if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], dict):
            self.fault_in_value(f"image_size must be a list of one object, not {shown(value)}")
            return None
        width, height, depth = (value[0].get(side) for side in ("width", "height", "depth"))
        if not (_is_count(width) and _is_count(height) and _is_count(depth)):
            self.fault_in_value("image_size must have width, height and depth, whole numbers above 0")
            return None
        return width, height

    def _complete_entries(self, entries: Sequence[Any]) -> Sequence[tuple[int, dict[str, Any]]]:
        """The boxes that have all their numbers, whatever the values, with their places; the others are faults."""
        complete = []
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                self.fault_in_value(f"annotations[{index}] must be an object, not {shown(entry)}")
            elif type(entry.get("class_id")) is not int:
                self.fault_in_value(f"annotations[{index}].class_id must be a whole number")
            elif not (
                _is_number(entry.get("left"))
                and _is_number(entry.get("top"))
                and _is_number(entry.get("width"))
                and _is_number(entry.get("height"))
            ):
                self.fault_in_value(f"annotations[{index}] must have left, top, width and height, all numbers")
            else:
                complete.append((index, entry))
        return complete

    def _box(self, entry: dict[str, Any], size: tuple[int, int], index: int) -> Box | None:
        left, top, width, height = entry["left"], entry["top"], entry["width"], entry["height"]
        place = (self._name, "annotations", index)
        rules = self._rules
        is_inside = left >= 0 and top >= 0 and left + width <= size[0] and top + height <= size[1]
        if is_inside and width > 0 and height > 0:
            box = Box(float(left), float(top), float(width), float(height))
        elif width < 0 or height < 0 or not _is_nearly_inside(left, top, width, height, size, rules.box_tolerance):
            shown_box = f"left {left:g}, top {top:g}, width {width:g}, height {height:g}"
            message = f"the box ({shown_box}) has negative values or goes beyond {size[0]} × {size[1]} pixels"
            self.fault(codes.INVALID_BOUNDING_BOX, message, *place)
            return None
        else:
            try:
                box = box_of(left, top, width, height, size)
            except FieldError as error:
                self.fault(codes.BOUNDING_BOX_TOO_SMALL, str(error), *place)
                return None
        if rules.min_box_side is not None:
            scale = min(1.0, rules.scaled_side / max(size)) if rules.scaled_side is not None else 1.0
            if min(box.width, box.height) * scale <= rules.min_box_side:
                self.fault(codes.BOUNDING_BOX_TOO_SMALL, codes.BOUNDING_BOX_TOO_SMALL.message, *place)
                return None
        return box


def _is_nearly_inside(
    left: float, top: float, width: float, height: float, size: tuple[int, int], tolerance: float
) -> bool:
    over = max(-left, -top, left + width - size[0], top + height - size[1])
    return over <= tolerance


def _is_number(value: object) -> bool:
    # Whole numbers of any length are JSON; those that are no float are of no use as a pixel.
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**53)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 < value < 2**31


def _is_date(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def _refusal_of_label(value: str, limits: ReadLimits) -> tuple[str, str] | None:
    """What is wrong with a label, as code and message; None if nothing is. A manifest has the same few all the time."""
    try:
        label_of(value, limits)
    except FieldError as error:
        return error.code, str(error)
    return None
