"""Downloading a file of known content, going on where a connection broke."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from google.rpc import code_pb2

from sightsmith.client.calls import calling
from sightsmith.errors import SightsmithError

# Told of bytes as they come.
OnBytes = Callable[[int], None]


def download_file(
    target: Path, sha256: str, size_bytes: int, chunks: Callable[[int], Iterable[bytes]], on_bytes: OnBytes | None
) -> None:
    """Writes a file, which is there only if it is whole.

    What came before a connection broke is kept beside it, and the same download goes on from there.

    Args:
        target: the file to write; its folder must be there.
        sha256: of the whole file.
        size_bytes: of the whole file.
        chunks: asks for the bytes after the first so many, at most all of them; raises grpc.RpcError.
        on_bytes: told of the bytes as they come.

    Raises:
        SightsmithError: if the service cannot give the file, or gives other bytes.
        OSError: if the file cannot be written.
    """
    # Named after what is to be in it, so that nothing but the beginning of the same file is ever gone on with.
    partial = target.with_name(f".{target.name}.{sha256[:16]}.part")
    while not _append(partial, size_bytes, chunks, on_bytes):
        pass
    with partial.open("rb") as file:
        came = hashlib.file_digest(file, "sha256").hexdigest()
    if came != sha256:
        partial.unlink()
        raise SightsmithError(f"{target.name} came with other bytes than were stored")
    partial.replace(target)


def _append(partial: Path, size_bytes: int, chunks: Callable[[int], Iterable[bytes]], on_bytes: OnBytes | None) -> bool:
    """Adds to a file what is still missing; returns whether it is all there, or the connection broke on the way."""
    with partial.open("ab") as file:
        begin = file.tell()
        try:
            with calling():
                for chunk in chunks(min(begin, size_bytes)):
                    file.write(chunk)
                    if on_bytes is not None:
                        on_bytes(len(chunk))
        except SightsmithError as error:
            if error.code != code_pb2.UNAVAILABLE or file.tell() == begin:
                raise
            return False
    return True
