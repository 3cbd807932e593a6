"""Nobody ever takes the last place."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from app.answering.admission import Admission, share_of
from app.answering.batcher import QueueFull


def admission(places: int = 8, max_bytes: int = 1000) -> Admission:
    return Admission(places, max_bytes, lambda: 7)


@pytest.mark.parametrize(("whole", "share"), [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (64, 48)])
def test_a_share_is_three_quarters_and_never_all_of_several(whole, share):
    assert share_of(whole) == share


def test_one_caller_leaves_places_for_the_others():
    room = admission(places=8)
    with ExitStack() as inside:
        for _ in range(6):
            inside.enter_context(room.enter("flood", 1))
        with pytest.raises(QueueFull) as refused:
            inside.enter_context(room.enter("flood", 1))
        assert refused.value.retry_after_s == 7
        inside.enter_context(room.enter("ward", 1))
        inside.enter_context(room.enter("clinic", 1))
        with pytest.raises(QueueFull):
            inside.enter_context(room.enter("one too many", 1))


def test_one_caller_leaves_room_for_the_others_uploads():
    room = admission(max_bytes=1000)
    with room.enter("flood", 700):
        with pytest.raises(QueueFull), room.enter("flood", 100):
            pass
        with room.enter("ward", 300), pytest.raises(QueueFull), room.enter("clinic", 1):
            pass


def test_what_is_larger_than_a_share_is_let_in_alone():
    room = admission(max_bytes=1000)
    with room.enter("ward", 5000), pytest.raises(QueueFull), room.enter("ward", 1):
        pass


def test_everything_is_given_back_whatever_happens():
    room = admission(places=1, max_bytes=10)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), room.enter("ward", 10):
            raise ZeroDivisionError
    with room.enter("clinic", 10):
        pass
