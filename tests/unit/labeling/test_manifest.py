import hashlib
from pathlib import Path

from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.api.labeling.v1.snapshot_pb2 import SnapshotEntry
from sightsmith.database import utc_now
from sightsmith_labeling.annotations import Annotation, Box, NewAnnotation, numbered
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.snapshots.manifest import Entry, ManifestWriter, SnapshotLabelCount, manifest_line

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
SIDES = st.integers(1, 10_000)
NUMBERS = st.floats(0, 10_000)
BOXES = st.builds(Box, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
CONTENTS = st.lists(st.tuples(TEXT, st.none() | BOXES), min_size=1, max_size=5)


def annotations(*contents: str | tuple[str, Box | None]) -> tuple[Annotation, ...]:
    named = [(content, None) if isinstance(content, str) else content for content in contents]
    return numbered([NewAnnotation(label, box) for label, box in named], 0, utc_now())


ENTRIES = st.builds(
    Entry,
    TEXT,
    TEXT,
    st.sampled_from(Split),
    CONTENTS.map(lambda contents: annotations(*contents)),
    TEXT,
    SIDES,
    SIDES,
)


@given(ENTRIES)
def test_a_line_is_the_proto_in_protobufs_json_mapping(entry: Entry) -> None:
    line = manifest_line(entry)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    message = json_format.Parse(line, SnapshotEntry())
    assert (message.image, message.sha256, message.source) == (entry.image, entry.sha256, entry.source)
    contents = {annotation.content for annotation in entry.annotations}
    assert {(label, None) for label in message.labels} == {content for content in contents if content[1] is None}
    boxes = {
        (found.label, Box(found.box.left, found.box.top, found.box.width, found.box.height)) for found in message.boxes
    }
    assert boxes == {content for content in contents if content[1] is not None}
    assert (message.width, message.height) == (entry.width, entry.height)
    assert message.key == f"images/{entry.sha256[:2]}/{entry.sha256}"
    as_protobuf_writes = json_format.MessageToJson(
        message, preserving_proto_field_name=True, indent=None, sort_keys=True, ensure_ascii=False
    )
    assert json_format.Parse(as_protobuf_writes, SnapshotEntry()) == message
    assert json_format.MessageToDict(message, preserving_proto_field_name=True)["split"] == f"SPLIT_{entry.split.name}"


def test_training_images_come_before_test_images(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path)
    entries = [
        Entry("i/3", "aa", Split.TEST, annotations("cat"), "3.jpg", 4, 4),
        Entry("i/1", "bb", Split.TRAIN, annotations("cat", "dog"), "1.jpg", 4, 4),
        Entry("i/2", "cc", Split.TRAIN, annotations("dog", ("dog", Box(1, 1, 2, 2))), "2.jpg", 4, 4),
    ]
    for entry in entries:
        writer.add(entry)
    manifest = writer.finish()
    content = manifest.path.read_bytes()
    assert content == b"".join(map(manifest_line, [entries[1], entries[2], entries[0]]))
    assert manifest.sha256 == hashlib.sha256(content).hexdigest()
    assert manifest.key == f"snapshots/{manifest.sha256}.jsonl"
    assert (manifest.train_image_count, manifest.test_image_count) == (2, 1)
    assert manifest.label_counts == [SnapshotLabelCount("cat", 1, 1), SnapshotLabelCount("dog", 2, 0, 1, 0)]
