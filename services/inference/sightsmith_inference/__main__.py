"""Runs the inference service: `python -m sightsmith_inference`."""

import asyncio

from sightsmith.service import run_process
from sightsmith_inference.inference import Inference
from sightsmith_inference.settings import InferenceSettings


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    settings = InferenceSettings()

    async def run(stop: asyncio.Event) -> None:
        # Made inside the loop, to which the connections belong.
        await Inference(settings).run(stop)

    run_process("inference", settings, run)


if __name__ == "__main__":
    main()
