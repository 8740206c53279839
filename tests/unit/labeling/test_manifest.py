import hashlib
from pathlib import Path

from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.api.labeling.v1.snapshot_pb2 import SnapshotEntry
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.manifest import Entry, ManifestWriter, SnapshotLabelCount, manifest_line

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
ENTRIES = st.builds(Entry, TEXT, TEXT, st.sampled_from(Split), st.lists(TEXT, min_size=1).map(tuple), TEXT)


@given(ENTRIES)
def test_a_line_is_the_proto_in_protobufs_json_mapping(entry: Entry) -> None:
    line = manifest_line(entry)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    message = json_format.Parse(line, SnapshotEntry())
    assert (message.image, message.sha256, message.source) == (entry.image, entry.sha256, entry.source)
    assert tuple(message.labels) == entry.labels
    assert message.key == f"images/{entry.sha256[:2]}/{entry.sha256}"
    as_protobuf_writes = json_format.MessageToJson(
        message, preserving_proto_field_name=True, indent=None, sort_keys=True, ensure_ascii=False
    )
    assert json_format.Parse(as_protobuf_writes, SnapshotEntry()) == message
    assert json_format.MessageToDict(message, preserving_proto_field_name=True)["split"] == f"SPLIT_{entry.split.name}"


def test_training_images_come_before_test_images(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path)
    entries = [
        Entry("i/3", "aa", Split.TEST, ("cat",), "3.jpg"),
        Entry("i/1", "bb", Split.TRAIN, ("cat", "dog"), "1.jpg"),
        Entry("i/2", "cc", Split.TRAIN, ("dog",), "2.jpg"),
    ]
    for entry in entries:
        writer.add(entry)
    manifest = writer.finish()
    content = manifest.path.read_bytes()
    assert content == b"".join(map(manifest_line, [entries[1], entries[2], entries[0]]))
    assert manifest.sha256 == hashlib.sha256(content).hexdigest()
    assert manifest.key == f"snapshots/{manifest.sha256}.jsonl"
    assert (manifest.train_image_count, manifest.test_image_count) == (2, 1)
    assert manifest.label_counts == [SnapshotLabelCount("cat", 1, 1), SnapshotLabelCount("dog", 2, 0)]
