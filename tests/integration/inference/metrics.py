"""What the service tells of itself."""

import asyncio
import time
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from sightsmith.stack import Stack

_WAIT_SECONDS = 2.0


def sample(stack: Stack, name: str) -> float:
    """The sum of a metric's samples."""
    with urllib.request.urlopen(stack.endpoints.metrics["inference"]) as answer:  # noqa: S310 - of our own stack
        text = answer.read().decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name)


async def images_in_flight(stack: Stack, wanted: float) -> float:
    """How many images are in hand; waits a moment for the number that is wanted."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        found = await asyncio.to_thread(sample, stack, "sightsmith_inference_images_in_flight")
        if found == wanted or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.02)
