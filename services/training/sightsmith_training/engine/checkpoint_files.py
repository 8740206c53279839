"""Files of a training that are kept in the object store too, so that another machine can go on from them."""

import logging
from pathlib import Path

import obstore
from obstore.store import ObjectStore

_log = logging.getLogger(__name__)


class CheckpointFiles:
    """Keeps files under their names, for one training on one set of images."""

    def __init__(self, store: ObjectStore, prefix: str, digest: str) -> None:
        """Takes where to keep them, and what names the images and everything else that they depend on."""
        self._store = store
        self._prefix = f"{prefix.strip('/')}/{digest[:16]}"

    def save(self, file: Path) -> None:
        """Keeps a file in its present state. An object store shows an object only when it is whole."""
        obstore.put(self._store, f"{self._prefix}/{file.name}", file)

    def restore(self, file: Path) -> None:
        """Brings a file back to its place; nothing happens if it is not kept or is there."""
        if file.exists():
            return
        try:
            content = obstore.get(self._store, f"{self._prefix}/{file.name}")
        except FileNotFoundError:
            return
        beside = file.with_name(f"{file.name}.fetched")
        with beside.open("wb") as output:
            for chunk in content:
                output.write(chunk)
        beside.replace(file)
        _log.info("goes on from the checkpoint %s", file.name)
