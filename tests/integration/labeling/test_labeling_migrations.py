"""What an older version wrote is there after an upgrade."""

import shutil
from pathlib import Path

import psycopg

from sightsmith.database import migrate
from sightsmith_labeling.service import MIGRATIONS
from sightsmith_labeling.tables import SCHEMA

OLD_ROWS = """
INSERT INTO labeling.projects (id, display_name, create_time) VALUES ('shop', 'Shop', now());
INSERT INTO labeling.datasets (project, id, split, create_time) VALUES ('shop', 'train', 'train', now());
INSERT INTO labeling.labels (project, name) VALUES ('shop', 'bolt'), ('shop', 'nut');
INSERT INTO labeling.images (dataset, id, sha256, source, width, height, size_bytes, media_type, create_time)
SELECT key, name, 'sha-' || name, 'photos/' || name || '.jpg', 4, 3, 100, 'image/jpeg', now()
FROM labeling.datasets, unnest(ARRAY['one', 'two', 'none']) AS name;
INSERT INTO labeling.annotations (image, label, origin, create_time)
SELECT images.sequence, labels.key, 'import', '2026-01-02 03:04:05+00'
FROM labeling.images, labeling.labels
WHERE images.id = 'two' OR images.id = 'one' AND labels.name = 'nut';
"""


def test_annotations_move_into_their_images(empty_database: str, tmp_path: Path) -> None:
    url = empty_database
    shutil.copy(MIGRATIONS / "0001_first_tables.py", tmp_path)
    migrate(url, SCHEMA, tmp_path)
    _execute(url, OLD_ROWS)
    migrate(url, SCHEMA, MIGRATIONS)
    images = {
        row[0]: row[1:] for row in _execute(url, "SELECT id, annotations, labels, is_labelled FROM labeling.images")
    }
    keys = dict(_execute(url, "SELECT name, key FROM labeling.labels"))
    nut = {"id": 1, "label": keys["nut"], "origin": "import", "author": "", "time": "2026-01-02T03:04:05.000000Z"}
    assert images["one"] == ([nut], [keys["nut"]], True)
    assert [annotation["id"] for annotation in images["two"][0]] == [1, 2]
    assert set(images["two"][1]) == set(keys.values())
    assert images["none"] == ([], [], False)
    assert _execute(url, "SELECT sum(images), sum(labelled) FROM labeling.image_tallies") == [(3, 2)]
    counts = dict(_execute(url, "SELECT label, sum(images) FROM labeling.label_tallies GROUP BY label"))
    assert counts == {keys["bolt"]: 1, keys["nut"]: 2}


def _execute(url: str, statements: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statements)
        return cursor.fetchall() if cursor.description else []
