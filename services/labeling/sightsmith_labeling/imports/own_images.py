"""Images that are stored here already, found by the URL that an export gave them."""

import re
from collections.abc import Collection, Mapping

from sqlalchemy import Text, any_, cast, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from sightsmith.database import Database
from sightsmith.objects import s3_url_of
from sightsmith_labeling.imports.incoming import StoredBytes
from sightsmith_labeling.tables import ImageRow


class OwnImages:
    """The images of this server's own object store.

    Args:
        database: where their rows are.
        object_store_url: of the object store.
    """

    def __init__(self, database: Database, object_store_url: str) -> None:
        self._database = database
        folder = re.escape(f"{s3_url_of(object_store_url)}/images/")
        self._url = re.compile(rf"{folder}([0-9a-f]{{2}})/(\1[0-9a-f]{{62}})")

    def sha256_of(self, url: str) -> str | None:
        """The SHA-256 of the image that a URL names; None if it is not one of this object store."""
        found = self._url.fullmatch(url)
        return found[2] if found else None

    async def find(self, urls: Collection[str]) -> Mapping[str, StoredBytes]:
        """Those of the URLs that name images stored here, with what is known of them."""
        sha256s = {sha256: url for url in urls if (sha256 := self.sha256_of(url)) is not None}
        if not sha256s:
            return {}
        wanted = (
            select(
                ImageRow.sha256,
                ImageRow.width,
                ImageRow.height,
                ImageRow.size_bytes,
                ImageRow.media_type,
                ImageRow.signals,
            )
            .where(ImageRow.sha256 == any_(cast(literal(list(sha256s), ARRAY(Text)), ARRAY(Text))))
            .distinct(ImageRow.sha256)
        )
        async with self._database.transaction() as session:
            rows = (await session.execute(wanted)).all()
        return {sha256s[row.sha256]: StoredBytes(*row) for row in rows}
