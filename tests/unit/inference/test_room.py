"""How many images may be in hand."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.errors import ResourceExhaustedError
from sightsmith_inference.room import Held, Room


def test_no_more_images_than_there_is_room_for() -> None:
    room = Room(3, 100)
    with room.take(2, 2):
        with pytest.raises(ResourceExhaustedError) as raised:
            room.take(2, 2)
        with room.take(1, 1):
            pass
    assert raised.value.reason == "OVERLOADED"
    assert raised.value.metadata == {"limit": "3", "limit_bytes": "100"}
    assert raised.value.retry_seconds is not None
    with room.take(3, 3):
        pass


def test_no_more_bytes_than_there_is_room_for() -> None:
    room = Room(3, 100)
    with room.take(1, 60):
        with pytest.raises(ResourceExhaustedError, match="60 bytes are being worked on, and 1 more of 41 bytes"):
            room.take(1, 41)
        with room.take(1, 40):
            pass


@pytest.mark.parametrize(("images", "size"), [(4, 4), (1, 101)])
def test_what_never_has_room_is_not_to_be_tried_again(images: int, size: int) -> None:
    with pytest.raises(ResourceExhaustedError) as raised:
        Room(3, 100).take(images, size)
    assert raised.value.reason == "TOO_LARGE"
    assert raised.value.retry_seconds is None


def test_room_is_given_back_once() -> None:
    room = Room(1, 100)
    held = room.take(1, 1)
    held.release()
    held.release()
    with room.take(1, 1), pytest.raises(ResourceExhaustedError):
        room.take(1, 1)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 60)), max_size=20))
def test_the_bounds_hold_and_everything_is_given_back(taken: list[tuple[int, int]]) -> None:
    room, images, size = Room(10, 100), 0, 0
    with ExitStack() as held:
        for more_images, more_size in taken:
            fits = images + more_images <= 10 and size + more_size <= 100
            try:
                held.enter_context(room.take(more_images, more_size))
            except ResourceExhaustedError:
                assert not fits
            else:
                assert fits
                images, size = images + more_images, size + more_size
    with room.take(10, 100):
        pass


async def test_who_can_wait_leaves_half_of_it_to_those_who_cannot() -> None:
    room = Room(4, 1000)
    first, second = await room.take_patiently(1), await room.take_patiently(1)
    waiting = [asyncio.create_task(_take(room, size)) for size in (1, 2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    with room.take(2, 2):
        first.release()
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in waiting)
    # Now one of the four is taken: the one who waits longest is let in, and fills the half of them.
    held = await waiting[0]
    await asyncio.sleep(0.01)
    assert not waiting[1].done()
    held.release()
    second.release()
    (await waiting[1]).release()


async def test_who_gives_up_waiting_is_in_nobodys_way() -> None:
    room = Room(2, 1000)
    held = await room.take_patiently(1)
    impatient, patient = (asyncio.create_task(_take(room, 1)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    held.release()
    (await asyncio.wait_for(patient, 1)).release()
    with room.take(2, 2):
        pass


async def _take(room: Room, size: int) -> Held:
    return await room.take_patiently(size)
