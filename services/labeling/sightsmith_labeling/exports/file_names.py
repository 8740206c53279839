"""Names of images in an export: taken from where they came from, unique, and good on every file system."""

import re
import unicodedata
from hashlib import blake2b
from pathlib import PurePosixPath

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
    """Gives out names, none of them twice, also not in another case."""

    def __init__(self) -> None:
        # A digest in place of the name: a million long names would not fit.
        self._given: set[bytes] = set()

    def give(self, source: str, media_type: str | None) -> str:
        """A name for an image.

        Args:
            source: where the image came from: a path or URL. Its folders are kept, those of a URL are not.
            media_type: of the bytes; None if they are not there.
        """
        path = PurePosixPath("/".join(_parts(source)))
        suffix = path.suffix if path.suffix.lower() in IMAGE_SUFFIXES else ""
        stem = str(path).removesuffix(suffix)
        suffix = suffix or _SUFFIXES.get(media_type or "", ".jpg" if media_type is None else ".img")
        name, number = f"{stem}{suffix}", 1
        while (digest := _digest(name)) in self._given:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self._given.add(digest)
        return name


def _parts(source: str) -> list[str]:
    """The parts of a source that may be a path anywhere: the last ones, where there are very many."""
    path = source.partition("://")[2].rpartition("/")[2] if "://" in source else source
    parts = [_part(part) for part in path.replace("\\", "/").split("/") if part.strip(". ")]
    return parts[-_PARTS:] or ["image"]


def _part(part: str) -> str:
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
