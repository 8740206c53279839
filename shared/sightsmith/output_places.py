"""Where users may have result files written."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from obstore.store import LocalStore, ObjectStore, S3Store

from sightsmith.places import AllowedPlaces, Place

_SETTING = "SIGHTSMITH_OUTPUT_ROOTS"
_FOLDER = "outputs"
_LONGEST = 1024


class OutputPlaces:
    """The roots that the operator allows to everybody, and a folder in the object store for each project."""

    def __init__(self, roots: Sequence[str], object_store_url: str) -> None:
        """Reads the roots.

        Args:
            roots: URLs of allowed places; everything below them is allowed, too.
            object_store_url: where the projects' own folders are.

        Raises:
            ValueError: if one of the roots is neither of an object store nor of this machine.
        """
        self._everybody = AllowedPlaces(roots, _SETTING)
        self._roots = tuple(roots)
        self._store_url = object_store_url.rstrip("/")

    def find(self, project: str, prefix: str) -> Place:
        """The folder that a user means.

        Args:
            project: id of the project.
            prefix: `s3://bucket/folder`, `file:///folder`, or a path in the project's own folder.

        Raises:
            ValueError: saying what is wrong, if it is no such place or nothing may be written there.
        """
        if len(prefix) > _LONGEST:
            raise ValueError(f"must have at most {_LONGEST} characters, not {len(prefix)}")
        path = prefix.partition("://")[2] if "://" in prefix else prefix
        if prefix.startswith("/"):
            raise ValueError(
                f"must be a path such as runs/monday, or begin with file:// or s3://, not {prefix[:200]!r}"
            )
        if not all(part and part.isprintable() for part in path.strip("/").split("/")):
            raise ValueError(f"must name a folder, with no two slashes beside each other: {prefix[:200]!r}")
        own = self._own(project)
        try:
            return AllowedPlaces([*self._roots, own], _SETTING).find(self._url(own, prefix))
        except ValueError as error:
            raise ValueError(self.as_users_say(project, str(error))) from None

    def as_users_say(self, project: str, text: str) -> str:
        """A text that names the project's own folder, without what it does not tell users: where that folder is."""
        own = Place.parse(self._own(project))
        for told in (self._own(project), str(own), f"/{own.key}", own.key):
            text = text.replace(told, "")
        return text

    def _own(self, project: str) -> str:
        return f"{self._store_url}/{_FOLDER}/{project}/"

    def _url(self, own: str, prefix: str) -> str:
        folder = f"{prefix.rstrip('/')}/"
        if "://" in prefix:
            return folder
        # Only paths of this machine are percent-encoded, see `Place.parse`.
        return own + (quote(folder.lstrip("/")) if own.startswith("file:") else folder.lstrip("/"))


def url_of(place: Place, name: str) -> str:
    """The URL of a file in a folder."""
    if place.scheme == "file":
        return (Path("/") / place.key / name).as_uri()
    return f"{place}{name}"


def store_at(place: Place) -> ObjectStore:
    """An object store whose keys are below a place; a folder of this machine is made if need be."""
    if place.scheme == "file":
        return LocalStore(Path("/") / place.key, mkdir=True, automatic_cleanup=False)
    return S3Store(place.bucket, prefix=place.key.rstrip("/"))
