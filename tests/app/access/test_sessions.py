"""Log-ins that end by themselves, at once, or everywhere."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from app.access.sessions import MOST_DROPPED, SESSIONS_PER_KEY, Sessions


@dataclass(frozen=True)
class Key:
    id: str


def test_a_renewed_session_ends_so_long_after_its_last_use_and_another_after_its_log_in():
    now_s = 100.0
    renewed = Sessions(60, renewed=True, now=lambda: now_s)
    fixed = Sessions(60, now=lambda: now_s)
    tokens = renewed.open(Key("a")), fixed.open(Key("a"))
    now_s += 50
    assert (renewed.key_id(tokens[0]), fixed.key_id(tokens[1])) == ("a", "a")
    now_s += 50
    assert (renewed.key_id(tokens[0]), fixed.key_id(tokens[1])) == ("a", None)
    now_s += 60
    assert renewed.key_id(tokens[0]) is None
    now_s -= 30
    assert renewed.key_id(tokens[0]) is not None, "asking in vain renewed nothing"


def test_all_log_ins_of_a_key_are_closed_and_no_other_keys():
    sessions = Sessions(60)
    mine, theirs = [sessions.open(Key("a")) for _ in range(3)], sessions.open(Key("b"))
    sessions.close_all("a")
    assert [sessions.key_id(token) for token in mine] == [None] * 3
    assert sessions.key_id(theirs) == "b"


class Unwalked(OrderedDict[str, tuple[str, float]]):
    """Log-ins of which only the first may be looked at without asking for it by name."""

    def __iter__(self) -> Iterator[str]:
        yield next(super().__iter__())
        raise AssertionError("all log-ins were walked through")

    def items(self) -> NoReturn:
        raise AssertionError("all log-ins were walked through")

    keys = values = items


def test_neither_a_log_in_nor_a_log_out_looks_at_the_log_ins_of_other_keys():
    sessions = Sessions(60)
    theirs = [sessions.open(Key(f"other{n}")) for n in range(500)]
    sessions._open = Unwalked([*sessions._open.items()])
    mine = [sessions.open(Key("mine")) for _ in range(SESSIONS_PER_KEY + 5)]
    sessions.close(mine[-1])
    sessions.close_all("mine")
    assert {sessions.key_id(token) for token in mine} == {None}
    assert [sessions.key_id(token) for token in theirs] == [f"other{n}" for n in range(500)]


def test_what_has_ended_is_forgotten_at_the_next_log_in_in_whatever_order_it_was_used():
    now_s = 0.0
    sessions = Sessions(60, renewed=True, now=lambda: now_s)
    first, second = sessions.open(Key("a")), sessions.open(Key("b"))
    now_s = 30.0
    assert sessions.key_id(first) == "a"
    now_s = 70.0  # the second has ended, the first was used since
    third = sessions.open(Key("a"))
    assert [sessions.key_id(token) for token in (first, second, third)] == ["a", None, "a"]
    assert len(sessions._open) == 2
    assert set(sessions._of_key) == {"a"}


def test_of_many_that_have_ended_a_log_in_drops_some():
    now_s = 0.0
    sessions = Sessions(60, now=lambda: now_s)
    ended = [sessions.open(Key(f"{n}")) for n in range(3 * MOST_DROPPED)]
    now_s = 70.0
    left = []
    for _ in range(4):
        sessions.open(Key("new"))
        left.append(len(sessions._open))
    assert left == [2 * MOST_DROPPED + 1, MOST_DROPPED + 2, 3, 4]
    assert not any(sessions.key_id(token) for token in ended)
