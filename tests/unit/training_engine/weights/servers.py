"""A small npm registry and a small model hub: they speak what the real clients ask, on this machine."""

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

Pages = Mapping[str, bytes]
"""What is served, by path; `OWN_ADDRESS` in it becomes the server's address."""

OWN_ADDRESS = "http://own-address.invalid"


@contextmanager
def serving(pages: Pages) -> Iterator[str]:
    """Serves pages; gives the server's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            data = self._answer()
            if data is not None:
                self.wfile.write(data)

        def _answer(self) -> bytes | None:
            data = pages.get(unquote(self.path.partition("?")[0]))
            if data is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            data = data.replace(OWN_ADDRESS.encode(), address.encode())
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            return data

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """A compressed tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def npm_registry(name: str, version: str, archive: bytes, served: bytes | None = None) -> dict[str, bytes]:
    """The pages of a registry with one package.

    Args:
        name: of the package.
        version: of the package.
        archive: whose digest the registry tells.
        served: what it sends instead.
    """
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    path = f"/{name}/-/archive.tgz"
    dist = {"tarball": f"{OWN_ADDRESS}{path}", "integrity": integrity}
    document = {
        "name": name,
        "dist-tags": {"latest": version},
        "versions": {version: {"name": name, "version": version, "dist": dist}},
    }
    return {f"/{name}": json.dumps(document).encode(), path: archive if served is None else served}
