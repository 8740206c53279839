"""The formats that can be imported and exported, and which of them a set of files is in."""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

from sightsmith_labeling.formats.coco import Coco
from sightsmith_labeling.formats.csv_files import CsvFiles
from sightsmith_labeling.formats.cvat import Cvat
from sightsmith_labeling.formats.folders import Folders
from sightsmith_labeling.formats.ground_truth import GroundTruth
from sightsmith_labeling.formats.image_files import is_image
from sightsmith_labeling.formats.label_studio import LabelStudio
from sightsmith_labeling.formats.records import FileTree, Format, FormatError, Place
from sightsmith_labeling.formats.splits import split_of
from sightsmith_labeling.formats.voc import Voc
from sightsmith_labeling.formats.yolo import Yolo

_FORMATS: tuple[Format, ...] = (GroundTruth(), Coco(), Yolo(), Voc(), CsvFiles(), LabelStudio(), Cvat(), Folders())
FORMATS: Mapping[str, Format] = MappingProxyType({known.name: known for known in _FORMATS})

# Enough of a file to see what it is.
_GLANCE_BYTES = 64 * 1024
_MANIFESTS = frozenset({".manifest", ".jsonl", ".ndjson"})
_TABLES = frozenset({".csv", ".tsv"})
_YOLO_FILES = frozenset({"data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names", "obj.data"})


def recognise(tree: FileTree) -> Format:
    """The format of an import, by the names of its files and a glance into the first ones.

    Raises:
        FormatError: if it is none that is known.
    """
    files = dict.fromkeys(("json", "xml", "table", "voc", "yolo", "list", "image", "other"), "")
    for name in tree.names():
        kind = _kind_of(name)
        if kind == "manifest":
            return FORMATS["ground_truth"]
        files[kind] = files[kind] or name
    if files["json"]:
        return _json_format(tree, files["json"])
    if files["xml"]:
        return _xml_format(tree, files["xml"])
    if files["list"] and _lists_yolo(_glance(tree, files["list"])):
        files["yolo"] = files["list"]
    for kind, found in (("voc", "voc"), ("yolo", "yolo"), ("table", "csv"), ("image", "folders")):
        if files[kind]:
            return FORMATS[found]
    other = files["other"] or files["list"]
    if other and _is_manifest(_glance(tree, other)):
        return FORMATS["ground_truth"]
    # As people write them: the command line takes these names.
    known = ", ".join(name.replace("_", "-").replace("voc", "pascal-voc") for name in FORMATS)
    message = f"these files are in no format that is recognised; say which it is: {known}"
    raise FormatError("ERROR_UNKNOWN_FORMAT", message, Place(other))


def _kind_of(name: str) -> str:
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if suffix in _MANIFESTS:
        return "manifest"
    if suffix in _TABLES:
        return "table"
    if suffix == ".txt" and path.parts[-3:-1] == ("ImageSets", "Main"):
        return "voc"
    if path.name.lower() in _YOLO_FILES or (suffix == ".txt" and "labels" in path.parts[:-1]):
        return "yolo"
    if suffix == ".txt" and split_of(path.stem):
        return "list"
    if suffix in (".json", ".xml"):
        return suffix[1:]
    return "image" if is_image(name) else "other"


def _json_format(tree: FileTree, name: str) -> Format:
    start = _glance(tree, name).lstrip()
    if _is_manifest(start):
        return FORMATS["ground_truth"]
    return FORMATS["label_studio" if start.startswith("[") else "coco"]


def _xml_format(tree: FileTree, name: str) -> Format:
    return FORMATS["cvat" if "<annotations" in _glance(tree, name) else "voc"]


def _lists_yolo(text: str) -> bool:
    """Whether the first line is an image where YOLO has it: below a folder of a split, or below one in `images`."""
    path = PurePosixPath(text.lstrip().partition("\n")[0].strip())
    return is_image(path.name) and any(map(split_of, path.parts[:-1][:2]))


def _is_manifest(text: str) -> bool:
    """Whether the first line is a JSON object of its own with an image."""
    try:
        line = json.loads(text.lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(line, dict) and "source-ref" in line


def _glance(tree: FileTree, name: str) -> str:
    with tree.open(name) as file:
        return file.read(_GLANCE_BYTES).decode("utf-8-sig", errors="replace")
