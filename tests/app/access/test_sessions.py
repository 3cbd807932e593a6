"""Log-ins that end by themselves, at once, or everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from app.access.sessions import Sessions


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
