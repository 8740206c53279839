"""Part `servers`: the same model behind other model servers, asked in turns with Sightsmith by the same callers."""

import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from tests.perf.ceiling import InProcess
from tests.perf.figures import Measured
from tests.perf.inference import STREAM, answer_to_many, cores, jpegs, onnx_file
from tests.perf.other_servers.servers import SERVERS, Ask, running
from tests.perf.progress import tell
from tests.perf.workplace import PROJECT, deploy, import_photos, running_stack, train

_DEPLOYMENT = "live"
_ROUNDS = 3


def measure(photos: Path) -> Measured:
    """Trains a model, and measures every server against the most that this machine can do with it."""
    stream = list(islice(cycle(jpegs(photos)), STREAM))
    with tempfile.TemporaryDirectory(prefix="sightsmith-servers-") as folder:
        with running_stack() as (endpoints, client):
            import_photos(client, photos)
            model, _ = train(client, client.snapshots.take(PROJECT))
            deploy(client, _DEPLOYMENT, model, Deployment.RUNTIME_ONNX)
            file = Path(folder, "model.onnx")
            file.write_bytes(onnx_file(endpoints.object_store_url, model))
            in_process = InProcess(file.read_bytes(), model.image_side, cores())
            batch = in_process.fastest_batch(stream)
            measured = _compared("sightsmith", partial(client.predict, PROJECT, _DEPLOYMENT), in_process, batch, stream)
        environment = {
            "BENCH_MODEL": str(file),
            "BENCH_IMAGE_SIDE": str(model.image_side),
            "BENCH_CORES": str(cores()),
        }
        for server in SERVERS:
            own_folder = Path(folder, server.name)
            own_folder.mkdir()
            with running(server, own_folder, environment, stream[0]) as ask:
                measured |= _compared(server.name, ask, in_process, batch, stream)
    return measured


def _compared(name: str, ask: Ask, in_process: InProcess, batch: int, images: Sequence[bytes]) -> dict[str, float]:
    tell(f"asking {name}")
    answer_to_many(ask, images)
    ratios = []
    for _ in range(_ROUNDS):
        ceiling = in_process.images_per_second(images, batch)
        ratios.append(answer_to_many(ask, images) / ceiling)
    return {f"servers.{name}_vs_ceiling": statistics.median(ratios)}
