"""Places outside Sightsmith that clients may name: only what the operator allows is ever read or written."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, ObjectStore, S3Store

from sightsmith.errors import InvalidArgumentError

_SCHEMES = ("s3", "file")
_BUCKETS_OPEN = 64


@dataclass(frozen=True)
class Place:
    """A file or folder of an object store or of this machine.

    Attributes:
        scheme: `s3` or `file`.
        bucket: of the object store; empty for this machine.
        key: path inside the bucket, or from the root of this machine's files, without a leading slash.
    """

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Reads a URL.

        Raises:
            ValueError: saying what is wrong, if it is no `s3://bucket/key` or `file:///path`, or if its path could
                lead elsewhere than it seems to.
        """
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or bool(parts.netloc) != (parts.scheme == "s3"):
            raise ValueError(f"must look like s3://bucket/key or file:///path, not {url[:200]!r}")
        # A key of an object store may hold any character: only a path of this machine is percent-encoded.
        path = unquote(parts.path) if parts.scheme == "file" else url.partition("://")[2].partition("/")[2]
        key = path.lstrip("/")
        if "\0" in key or any(part in (".", "..") for part in key.split("/")):
            raise ValueError(f"must have no '.' or '..' between its slashes: {url[:200]!r}")
        return cls(parts.scheme, parts.netloc, key)

    @property
    def is_folder(self) -> bool:
        """Whether everything below it is meant."""
        return not self.key or self.key.endswith("/")

    def is_below(self, other: "Place") -> bool:
        """Whether it is the other place or inside of it."""
        same_store = (self.scheme, self.bucket) == (other.scheme, other.bucket)
        return same_store and (self.key == other.key or self.key.startswith(_as_folder(other.key)))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"


class AllowedPlaces:
    """The places that the operator allows."""

    def __init__(self, urls: Sequence[str], setting: str) -> None:
        """Reads the places.

        Args:
            urls: of the places; everything below them is allowed, too.
            setting: by which they were given, for those who must ask for more.

        Raises:
            ValueError: if one of the URLs is neither of an object store nor of this machine.
        """
        self._allowed = tuple(Place.parse(url) for url in urls)
        self._setting = setting

    @property
    def stores(self) -> frozenset[str]:
        """How the URLs of allowed places begin: with these buckets, or with this machine."""
        return frozenset(f"{place.scheme}://{place.bucket}/" for place in self._allowed)

    def check(self, field: str, url: str) -> Place:
        """Returns the place of a URL that a client gave.

        Raises:
            InvalidArgumentError: naming `field`, if it is no URL or not allowed.
        """
        try:
            return self.find(url)
        except ValueError as error:
            raise InvalidArgumentError.of_field(field, str(error)) from None

    def find(self, url: str) -> Place:
        """Returns the place of a URL.

        Raises:
            ValueError: saying why, if it is no URL or not allowed.
        """
        place = Place.parse(url)
        if not any(place.is_below(allowed) for allowed in self._allowed):
            raise ValueError(f"{url[:200]} is not below a place that {self._setting} of this server allows")
        if place.scheme == "file":
            self._require_no_way_out(place, url)
        return place

    def _require_no_way_out(self, place: Place, url: str) -> None:
        """A link inside an allowed folder must not lead out of it."""
        real = os.path.realpath(f"/{place.key}")
        folders = (os.path.realpath(f"/{allowed.key}") for allowed in self._allowed if allowed.scheme == "file")
        if not any(real == folder or real.startswith(_as_folder(folder)) for folder in folders):
            raise ValueError(f"{url[:200]} leads out of the folders that {self._setting} of this server allows")


@lru_cache(maxsize=_BUCKETS_OPEN)
def store_of(scheme: str, bucket: str) -> ObjectStore:
    """The object store that a place is in; an S3 store takes credentials from the environment, as the AWS tools do."""
    return LocalStore(Path("/")) if scheme == "file" else S3Store.from_url(f"s3://{bucket}")


def _as_folder(path: str) -> str:
    return path if not path or path.endswith("/") else f"{path}/"


PlacesOf = Callable[[str], AllowedPlaces]
"""Gives the places that a project, by its id, may use."""
