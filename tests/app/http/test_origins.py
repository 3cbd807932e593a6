"""What many connections cost when one more comes, and that nothing that lies with us goes uncounted."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

import pytest
from wire import CHUNKED, CLOSE, LARGE, everything

from app.http.origins import SPARE_PLACES, ConnectionLimits, Connections, Use


class Held:
    """A connection that counts how often it is looked at."""

    looks = 0

    def __init__(self, use, origin):
        self._use, self.origin, self.transport, self.just_arrived, self.closed = use, origin, self, False, False

    @property
    def use(self):
        Held.looks += 1
        return self._use

    @property
    def is_idle(self):
        return self._use is Use.NONE

    def abort(self):
        self.closed = True

    give_up = abort


def filled(limits, use, origins):
    """Connections full of such of this use, as many from each of the origins, and the connections."""
    everyone, there = Connections(limits), []
    for number in range(limits.total):
        one = Held(Use.NONE, f"10.0.{number % origins}.0/32")
        assert everyone.admit(one)
        one._use = use
        everyone.note_use(one)
        there.append(one)
    Held.looks = 0
    return everyone, there


@pytest.mark.parametrize("origins", [5, 500])
def test_newcomers_cost_no_look_through_bodies_that_are_half_sent(origins):
    everyone, there = filled(ConnectionLimits(total=500, per_address=100), Use.SENDING, origins)
    newcomers = [Held(Use.NONE, "10.9.0.0/32") for _ in range(200)]
    assert all(everyone.admit(one) for one in newcomers)
    assert sum(one.closed for one in there) == 1
    assert [one.closed for one in newcomers] == [True] * 199 + [False]
    assert Held.looks <= 2 * len(there), "one look through all, for the first of them"


def test_without_an_idle_one_what_is_missed_least_is_closed():
    everyone, there = filled(ConnectionLimits(total=9, per_address=9), Use.BEING_ANSWERED, 1)
    there[4]._use, there[6]._use = Use.SENDING_LET_IN, Use.SENDING
    assert everyone.admit(Held(Use.BEING_ANSWERED, "10.9.0.0/32"))
    assert [one.closed for one in there].index(True) == 6


def test_nobody_is_closed_where_all_are_being_answered():
    everyone, there = filled(ConnectionLimits(total=9, per_address=9), Use.BEING_ANSWERED, 3)
    assert not everyone.admit(Held(Use.NONE, "10.0.0.0/32"))
    assert not any(one.closed for one in there)


def test_while_all_are_being_answered_an_address_that_holds_few_is_served_all_the_same():
    everyone, there = filled(ConnectionLimits(total=9, per_address=9), Use.BEING_ANSWERED, 3)
    taken = []
    for number in range(3 * SPARE_PLACES):
        one = Held(Use.NONE, f"10.9.{number // 3}.0/32")
        taken.append(everyone.admit(one))
        one._use = Use.BEING_ANSWERED
        everyone.note_use(one)
    assert taken[:6] == [True, True, False] * 2, "as few as one address may hold"
    assert sum(taken) == SPARE_PLACES, "and as few in all"
    assert not any(one.closed for one in there)


def test_who_reads_late_and_goes_on_to_send_is_closed_before_others():
    everyone, there = filled(ConnectionLimits(total=8, per_address=8), Use.NONE, 1)
    victim = Held(Use.NONE, "10.9.0.0/32")
    for one in there:
        everyone.note_unread(one)
        one._use = Use.SENDING
        everyone.note_read(one)
    assert everyone.admit(victim)
    victim._use = Use.SENDING
    everyone.note_use(victim)
    assert everyone.admit(Held(Use.NONE, "10.8.0.0/32"))
    assert not victim.closed
    assert sum(one.closed for one in there) == 2


def test_who_reads_slowly_is_not_closed_while_those_of_whom_there_are_most_send():
    everyone, _ = filled(ConnectionLimits(total=8, per_address=8), Use.SENDING, 1)
    reader = Held(Use.NONE, "10.9.0.0/32")
    assert everyone.admit(reader)
    reader._use = Use.BEING_ANSWERED
    everyone.note_use(reader)
    everyone.note_unread(reader)
    assert all(everyone.admit(Held(Use.NONE, f"10.8.{number}.0/32")) for number in range(2))
    assert not reader.closed


def test_a_request_too_much_costs_no_look_through_what_all_the_others_hold():
    everyone, there = filled(ConnectionLimits(total=500, held_bytes=450_000), Use.SENDING, 500)
    for one in there[:450]:
        everyone.note_held(one, 1000)
    assert not any(one.closed for one in there)
    for one in there[450:]:
        everyone.note_held(one, 1001)
    assert [one.closed for one in there] == [False] * 450 + [True] * 50
    assert Held.looks <= 100, "each time at the heaviest alone"


def test_of_an_address_that_holds_most_so_many_go_as_make_an_eighth_of_room():
    everyone, there = filled(ConnectionLimits(total=20, held_bytes=80_000), Use.SENDING, 1)
    other = Held(Use.SENDING, "10.9.0.0/32")
    everyone.admit(other)
    for one in (other, *there[1:]):  # there[0] was closed for the other
        everyone.note_held(one, 4200)
    assert not other.closed
    assert sum(one.closed for one in there[1:]) == 4, "84,000 bytes, and at most 70,000 after that"


def few_bytes(monkeypatch):
    monkeypatch.setattr("app.main.ConnectionLimits", partial(ConnectionLimits, held_bytes=60_000))


def how_many_are_open(connections):
    """Of connections whose caller only waits."""
    open_ones = 0
    for one in connections:
        one.settimeout(0.2)
        try:
            open_ones += one.recv(1) != b""
        except TimeoutError:
            open_ones += 1
        except OSError:
            pass
    return open_ones


def test_trailers_without_an_end_count(start, monkeypatch):
    few_bytes(monkeypatch)
    with start() as connect:
        flood = [connect() for _ in range(4)]
        for one in flood:
            one.sendall(CHUNKED + b"3\r\nabc\r\n0\r\nX: " + b"t" * 60_000)
            time.sleep(0.1)
        assert how_many_are_open(flood) == 1


def test_a_body_counts_that_a_request_follows(start, monkeypatch):
    """Behind an answer that is not read, so that nobody takes the body or refuses it."""
    few_bytes(monkeypatch)
    with start(write_timeout_s=300) as connect:
        flood = [connect(SO_RCVBUF=4096) for _ in range(4)]
        for one in flood:
            one.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(0.3)
        for one in flood:
            body = b"POST /body HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 40000\r\n\r\n" + b"x" * 40_000
            with suppress(OSError):
                one.sendall(body + CLOSE)
            time.sleep(0.1)
        assert [len(everything(one)) > len(LARGE) for one in flood].count(True) == 1
