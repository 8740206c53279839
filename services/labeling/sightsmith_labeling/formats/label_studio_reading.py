"""Reading the tasks of Label Studio, in its own JSON and in JSON_MIN."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sightsmith_labeling.formats.draft import ImageDraft
from sightsmith_labeling.formats.fields import FieldError, number_of, shown, size_of, source_of
from sightsmith_labeling.formats.image_files import ImageFiles, is_image
from sightsmith_labeling.formats.json_elements import Element, elements
from sightsmith_labeling.formats.outlines import Sides, around, around_ellipse, corners, turned
from sightsmith_labeling.formats.records import FileTree, FormatError, ImportedImage, Place, ReadLimits, Rejection
from sightsmith_labeling.formats.splits import split_in

SOURCE_KEY = "sightsmith_source"
"""What a task of our own has beside its image: what the image is called here."""

# Label Studio puts eight digits of a random id before the names of files that are uploaded to it.
_UPLOAD = re.compile(r"/data/upload/(?:\d+/)?(?P<stored>(?:[0-9a-f]{8}-)?(?P<name>[^/]+))", re.DOTALL)
_LOCAL_FILES = "/data/local-files/"

# What JSON_MIN calls a choice, in Label Studio's own templates; other texts are data, not labels.
_CHOICES_IN_MIN = frozenset({"choice", "choices", "label", "labels", "class"})
_LABEL_KEYS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels", "labels")
_PERCENT = 100.0


def read_tasks(tree: FileTree, limits: ReadLimits) -> Iterator[ImportedImage | Rejection]:
    """See `LabelStudio.read`."""
    files = _task_files(tree)
    images = ImageFiles(tree)
    count = 0
    for name in files:
        with tree.open(name) as file:
            for element in elements(file, name, limits.line_characters):
                if element.list_name:
                    message = f"{name} is no list of tasks, as Label Studio exports in JSON and JSON_MIN"
                    raise _not_readable(message, name)
                count += 1
                if count > limits.lines:
                    message = f"there are more than {limits.lines} tasks, which is all that is accepted"
                    raise FormatError("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", message, Place(name))
                yield _read_task(element, name, limits, images)
    if count == 0:
        raise FormatError("ERROR_EMPTY_MANIFEST", f"{files[0]}: there is not one task in it", Place(files[0]))


def _task_files(tree: FileTree) -> Sequence[str]:
    names = list(tree.names())
    files = [name for name in names if name.lower().endswith(".json")]
    if not files:
        files = [name for name in names if not is_image(name)]
        if len(files) != 1:
            raise _not_readable("there is no JSON file in the import", "")
    return files


def _not_readable(message: str, name: str) -> FormatError:
    return FormatError("ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT", message, Place(name))


def _read_task(element: Element, file: str, limits: ReadLimits, images: ImageFiles) -> ImportedImage | Rejection:
    place, task = Place(file), element.value
    if element.is_too_long:
        message = f"the task has more than {limits.line_characters} characters"
        return Rejection(place, "ERROR_LINE_TOO_LONG", message, element.path)
    if not isinstance(task, dict):
        return Rejection(place, "ERROR_INVALID_ENTRY", f"a task must be an object, not {shown(task)}", element.path)
    is_min = not isinstance(task.get("data"), dict)
    data = task if is_min else task["data"]
    split = split_in(reversed(PurePosixPath(file).parts))
    try:
        url = source_of(_image_url(data), limits)
        path = _path_of(url)
        image_file = images.find(path, file, split) or images.find(_without_upload_id(url, path), file, split)
        source = source_of(data.get(SOURCE_KEY) or _source(url, path, image_file), limits)
    except FieldError as error:
        return Rejection(place, error.code, str(error), element.path)
    results = _results_of_min(task) if is_min else None
    draft = ImageDraft(place, source, limits, split=split, file=image_file, relative=True)
    if results is None:
        results = _results_of_task(task, draft, element.path)
    draft.size = _size(results, draft)
    for path, result in results:
        _Result(draft, f"{element.path}.{path}", result).read()
    return draft.finished()


def _path_of(url: str) -> str:
    """The name or path of an image that a task gives as a URL, a path of Label Studio's own, or a name."""
    if url.startswith(_LOCAL_FILES):
        return next(iter(parse_qs(urlsplit(url).query).get("d", [])), url).lstrip("/")
    if found := _UPLOAD.fullmatch(unquote(url)):
        return found["stored"]
    scheme, separator, rest = url.partition("://")
    if separator and scheme.isalnum():
        return unquote(rest.partition("/")[2].partition("?")[0].partition("#")[0]) or rest
    return url


def _without_upload_id(url: str, path: str) -> str:
    found = _UPLOAD.fullmatch(unquote(url))
    return found["name"] if found else path


def _source(url: str, path: str, image_file: str | None) -> str:
    """What the image is called here. Its name before it was uploaded to Label Studio, unless its bytes come along."""
    if url.startswith("s3://"):
        return url
    return path if image_file else _without_upload_id(url, path)


def _image_url(data: Mapping[str, Any]) -> object:
    """Where a task has its image: under `image`, or else under the first key whose value looks like one."""
    if "image" in data:
        return data["image"]
    texts = (value for value in data.values() if isinstance(value, str))
    return next((text for text in texts if text.startswith("/data/") or is_image(_path_of(text))), None)


def _results_of_task(task: Mapping[str, Any], draft: ImageDraft, path: str) -> Sequence[tuple[str, Any]]:
    """The results of the annotation that counts, each with its path."""
    key = "annotations" if "annotations" in task else "completions"  # As Label Studio before 1.0 had it.
    annotations = task.get(key) or []
    if not isinstance(annotations, list):
        draft.add_problem("ERROR_INVALID_ENTRY", f"{key} must be a list, not {shown(annotations)}", path)
        return []
    done = [
        (index, annotation)
        for index, annotation in enumerate(annotations)
        if isinstance(annotation, dict) and not annotation.get("was_cancelled")
    ]
    if not done:
        return []
    index, chosen = max(done, key=lambda entry: (entry[1].get("ground_truth") is True, _time(entry[1]), entry[0]))
    if len(done) > 1:
        message = f"the task has {len(done)} annotations; annotations[{index}] is taken"
        draft.add_note("WARNING_SEVERAL_ANNOTATIONS", message, path)
    results = chosen.get("result")
    if not isinstance(results, list):
        message = f"result must be a list, not {shown(results)}"
        draft.add_problem("ERROR_INVALID_ENTRY", message, f"{path}.{key}[{index}]")
        return []
    return [(f"{key}[{index}].result[{number}]", result) for number, result in enumerate(results)]


def _time(annotation: Mapping[str, Any]) -> str:
    time = annotation.get("updated_at") or annotation.get("created_at")
    return time if isinstance(time, str) else ""


def _results_of_min(task: Mapping[str, Any]) -> Sequence[tuple[str, Any]]:
    """The results of a task of JSON_MIN, in the form that they have in JSON."""
    results: list[tuple[str, Any]] = []
    for key, value in task.items():
        if isinstance(value, dict) and "choices" in value:
            results.append((key, {"type": "choices", "value": value}))
        elif isinstance(value, str) and key in _CHOICES_IN_MIN:
            results.append((key, {"type": "choices", "value": {"choices": [value]}}))
        elif isinstance(value, list):
            for index, region in enumerate(value):
                if isinstance(region, dict):
                    sizes = {side: region.get(side) for side in ("original_width", "original_height")}
                    kind = next((key for key in _LABEL_KEYS if key in region), "rectangle")
                    results.append((f"{key}[{index}]", {"type": kind, "value": region, **sizes}))
    return results


def _size(results: Sequence[tuple[str, Any]], draft: ImageDraft) -> tuple[int, int] | None:
    """The image's size, as the first result has it that tells."""
    for path, result in results:
        if isinstance(result, dict):
            try:
                size = size_of(result.get("original_width"), result.get("original_height"))
            except FieldError as error:
                draft.refuse(error, path)
                continue
            if size is not None:
                return size
    return None


class _Result:
    """One result of an annotation: a choice, or a region with labels."""

    def __init__(self, draft: ImageDraft, path: str, result: object) -> None:
        self._draft = draft
        self._path = path
        self._result = result

    def read(self) -> None:
        """Adds what the result says to the image."""
        result = self._result if isinstance(self._result, dict) else {}
        value = result.get("value")
        if not isinstance(value, dict):
            message = f"a result must be an object with a value, not {shown(self._result)}"
            self._draft.add_problem("ERROR_INVALID_ENTRY", message, self._path)
        elif result.get("type") == "choices":
            self._add_choices(value)
        elif (labels := _labels(value)) is not None:
            self._add_region(value, labels, result)
        elif result.get("type") != "rectangle":  # The other half of a result with labels, which has the same sides.
            kind = shown(result.get("type"))
            self._draft.add_note("WARNING_RESULT_LEFT_OUT", f"results of the type {kind} are not imported", self._path)

    def _add_choices(self, value: Mapping[str, Any]) -> None:
        choices = value.get("choices")
        for choice in choices if isinstance(choices, list) else [choices]:
            self._draft.add_label(choice, self._path)

    def _add_region(self, value: Mapping[str, Any], labels: Sequence[object], result: Mapping[str, Any]) -> None:
        try:
            if result.get("image_rotation") not in (None, 0):
                raise FieldError("ERROR_UNSUPPORTED_SHAPE", "regions of an image that was turned are not imported")
            sides = self._sides(value)
        except FieldError as error:
            self._draft.refuse(error, self._path)
            return
        for label in labels:
            self._draft.add_box(label, *sides, self._path)

    def _sides(self, value: Mapping[str, Any]) -> Sides:
        """The region's box in shares of the image."""
        shape = _shape_of(value)
        if shape is None:
            raise FieldError("ERROR_UNSUPPORTED_SHAPE", "only rectangles, polygons and ellipses are imported, as boxes")
        rotation = number_of(value.get("rotation") or 0, "rotation")
        if rotation != 0 and self._draft.size is None:
            raise FieldError("ERROR_UNSUPPORTED_SHAPE", "a turned shape needs original_width and original_height")
        width, height = self._draft.size if rotation != 0 and self._draft.size else (1, 1)
        left, top, box_width, box_height = shape(value, rotation, width / _PERCENT, height / _PERCENT)
        if shape is not _rectangle or rotation != 0:
            message = "only upright boxes are imported: the box around the shape is taken"
            self._draft.add_note("WARNING_SHAPE_MADE_A_BOX", message, self._path)
        return left / width, top / height, box_width / width, box_height / height


def _shape_of(value: Mapping[str, Any]) -> Callable[[Mapping[str, Any], float, float, float], Sides] | None:
    if "points" in value:
        return _polygon
    if "radiusX" in value:
        return _ellipse
    return _rectangle if "width" in value and "height" in value and "x" in value else None


def _rectangle(value: Mapping[str, Any], rotation: float, scale_x: float, scale_y: float) -> Sides:
    left, top = number_of(value.get("x"), "x") * scale_x, number_of(value.get("y"), "y") * scale_y
    width = number_of(value.get("width"), "width") * scale_x
    height = number_of(value.get("height"), "height") * scale_y
    if rotation == 0:
        return left, top, width, height
    return around(turned(corners(left, top, width, height), (left, top), rotation), (100 * scale_x, 100 * scale_y))


def _polygon(value: Mapping[str, Any], rotation: float, scale_x: float, scale_y: float) -> Sides:
    points = value["points"]
    if (
        not isinstance(points, list)
        or len(points) < 2
        or not all(isinstance(at, list) and len(at) == 2 for at in points)
    ):
        raise FieldError("ERROR_INVALID_BOUNDING_BOX", "points must be a list of at least two pairs of numbers")
    return around((number_of(x, "x") * scale_x, number_of(y, "y") * scale_y) for x, y in points)


def _ellipse(value: Mapping[str, Any], rotation: float, scale_x: float, scale_y: float) -> Sides:
    centre = number_of(value.get("x"), "x") * scale_x, number_of(value.get("y"), "y") * scale_y
    radius_x = number_of(value.get("radiusX"), "radiusX") * scale_x
    radius_y = number_of(value.get("radiusY"), "radiusY") * scale_y
    return around_ellipse(centre, radius_x, radius_y, rotation, (100 * scale_x, 100 * scale_y))


def _labels(value: Mapping[str, Any]) -> Sequence[object] | None:
    """The labels of a region; None if it has none, which is what results of other kinds are like."""
    labels = next((value[key] for key in _LABEL_KEYS if key in value), None)
    return labels if isinstance(labels, list) else None
