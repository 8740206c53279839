"""Names of images in an export: taken from where they came from, unique, and good on every file system."""

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b
from posixpath import splitext

from sightsmith_labeling.formats.image_files import IMAGE_SUFFIXES

# What Windows does not take, control characters, and what archives and shells trip over.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\]')
# Names that Windows keeps for devices, whatever their suffix.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
# Bytes of one part of a path; the limit of most file systems is 255, and a number may be added.
_PART_BYTES = 200
_PARTS = 8
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/bmp": ".bmp"}


class FileNames:
    """Gives out names, none of them twice, also not in another case or with another suffix."""

    def __init__(self) -> None:
        # By a digest of the name without suffix, because a million long names would not fit: the number to try next.
        self._next: dict[bytes, int] = {}

    def give(self, source: str, media_type: str | None) -> str:
        """A name for an image.

        Args:
            source: where the image came from: a path, or a URL, of which the path is taken. Folders are kept.
            media_type: of the bytes; None if they are not there.
        """
        path = "/".join(_parts(source))
        stem, suffix = splitext(path)
        if suffix.lower() not in IMAGE_SUFFIXES:
            stem, suffix = path, ""
        suffix = suffix or _SUFFIXES.get(media_type or "", ".jpg" if media_type is None else ".img")
        return f"{self._unused(stem)}{suffix}"

    def _unused(self, stem: str) -> str:
        first = _digest(stem)
        number = self._next.get(first, 1)
        unused, digest = stem, first
        while digest in self._next:
            # Somebody else may be called like the next in line.
            number += 1
            unused = f"{stem}-{number}"
            digest = _digest(unused)
        self._next[digest] = 1
        self._next[first] = number
        return unused


def _parts(source: str) -> list[str]:
    """The parts of a source that may be a path anywhere: the last ones, where there are very many."""
    # Of a URL the part behind the host or bucket.
    path = source.partition("://")[2].partition("/")[2] if "://" in source else source
    parts = [_part(part) for part in path.replace("\\", "/").split("/") if part.strip(". ")]
    return parts[-_PARTS:] or ["image"]


@lru_cache(1024)
def _part(part: str) -> str:
    # Kept, because many images lie in the same few folders.
    clean = _UNSAFE.sub("_", unicodedata.normalize("NFC", part)).encode("utf-8", "replace").decode().strip(" ")
    clean = clean.lstrip(".").rstrip(". ") or "_"
    if _DEVICE.fullmatch(clean):
        clean = f"_{clean}"
    encoded = clean.encode()
    if len(encoded) <= _PART_BYTES:
        return clean
    # The end is kept: it tells one name of a series from another, and holds the suffix.
    return encoded[-_PART_BYTES:].decode(errors="ignore")


def _digest(name: str) -> bytes:
    return blake2b(unicodedata.normalize("NFKC", name).casefold().encode(), digest_size=16).digest()
