"""Answers that are read slowly, and what else comes over their connection meanwhile: against a real server."""

from __future__ import annotations

import re
import time

import httpx
import pytest
from wire import ASK, HEAD, LARGE, answers, everything, one_answer

PERIOD_S = 0.5


def read_at(connection, n_bytes, every_s):
    """All that comes until the end or one answer's length, so many bytes at a time."""
    received, wanted = b"", float("inf")
    while len(received) < wanted and (chunk := connection.recv(n_bytes)):
        received += chunk
        if length := re.search(rb"(?i)content-length: (\d+)\r\n(?s:.*?)\r\n\r\n", received[:4096]):
            wanted = length.end() + int(length[1])
        time.sleep(every_s)
    return received


def test_what_comes_in_one_piece_with_the_end_of_the_request_before_is_answered_however_long_it_takes(
    start, monkeypatch
):
    monkeypatch.setattr("app.main.KEEP_ALIVE_S", 0.2)
    with start() as connect:
        one = connect()
        one.sendall(HEAD + b"Content-Length: 4\r\n\r\n")
        assert b" 200 " in one_answer(one)
        one.sendall(b"late" + ASK.replace(b"small", b"slow"))
        assert one_answer(one).endswith(b'{"slow":true}')


def test_who_reads_an_answer_for_longer_than_a_connection_is_kept_may_ask_again(start, monkeypatch):
    monkeypatch.setattr("app.main.KEEP_ALIVE_S", 0.2)
    with start() as connect:
        slow = connect(SO_RCVBUF=16384)
        slow.sendall(ASK.replace(b"small", b"large"))
        first = slow.recv(1000)
        time.sleep(0.6)
        slow.sendall(ASK)
        while len(first) < len(LARGE):
            first += slow.recv(65536)
        rest = first.partition(b"\r\n\r\n")[2][len(LARGE) :]
        assert b" 200 " in (rest or one_answer(slow))


def test_who_has_read_all_and_asks_for_nothing_is_closed_and_so_is_who_reads_nothing(start, monkeypatch):
    monkeypatch.setattr("app.main.KEEP_ALIVE_S", 0.2)
    with start(write_timeout_s=0.3) as connect:
        idle, deaf = connect(timeout_s=5.0), connect(SO_RCVBUF=4096, timeout_s=5.0)
        idle.sendall(ASK)
        deaf.sendall(ASK.replace(b"small", b"long"))
        assert everything(idle).endswith(b'{"small":true}')
        time.sleep(2.5)
        assert len(everything(deaf)) < 600_000


@pytest.mark.parametrize(
    "behind",
    [
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 524288\r\n\r\n" + b"b" * 524_288,
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"400\r\n" + b"b" * 1024 + b"\r\n") * 200,
        b"\0no request at all\r\n" * 10_000,
    ],
    ids=["body", "chunks", "garbage"],
)
def test_an_answer_is_whole_whatever_is_sent_behind_its_request(start, behind):
    with start() as connect:
        one = connect(SO_RCVBUF=16384)
        one.sendall(ASK.replace(b"small", b"long") + behind[:1000])
        time.sleep(0.1)
        one.sendall(behind[1000:])
        received = read_at(one, 65536, 0.01)
    assert received.partition(b"\r\n\r\n")[2] == LARGE[:600_000]


def test_requests_that_may_wait_are_answered_when_more_come_than_may(start):
    with start() as connect:
        one = connect(SO_RCVBUF=16384)
        one.sendall(ASK.replace(b"small", b"long") * 5)
        for _ in range(20):
            one.sendall(ASK)
            time.sleep(0.01)
        assert everything(one).count(b"HTTP/1.1 200") == 5


@pytest.mark.parametrize("buffer_bytes", [16384, 65536, 2**20])
def test_a_slow_reader_is_left_to_read(start, buffer_bytes):
    with start(write_timeout_s=PERIOD_S) as connect:
        slow = connect(SO_RCVBUF=buffer_bytes)
        slow.sendall(ASK.replace(b"small", b"long"))
        received = read_at(slow, 8192, PERIOD_S / 6)
    assert received.partition(b"\r\n\r\n")[2] == LARGE[:600_000]


@pytest.mark.parametrize(
    "tail", [b"\0rubbish\r\n\r\n", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"]
)
def test_nothing_is_begun_behind_an_answer_that_ends_its_connection(start, tail, capsys):
    with start() as connect, httpx.Client(base_url=connect.url) as watch:
        one = connect()
        first = b"GET /slow HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        one.sendall(first + ASK.replace(b"small", b"counted") + tail)
        assert answers(one) == [200]
        assert watch.get("/counted").json() == 1, "the request behind it was not worked on"
    assert "unexpected_error" not in capsys.readouterr().out


def test_who_is_refused_is_not_told_to_go_on(start, capsys):
    ask = b"POST /slow-body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    with start() as connect:
        one = connect()
        one.sendall(ask)
        time.sleep(0.1)
        one.sendall(b"zz\r\n")
        assert answers(one) == [400]
        time.sleep(0.6)
    assert "unexpected_error" not in capsys.readouterr().out


def test_the_pace_of_one_answer_is_not_asked_of_the_next(start, monkeypatch):
    monkeypatch.setattr("app.main.KEEP_ALIVE_S", 0.2)
    with start(write_timeout_s=0.2) as connect:
        slow = connect(SO_RCVBUF=4096)
        slow.sendall(ASK.replace(b"small", b"long"))
        received = b""
        while len(received) < 590_000:
            received += slow.recv(16384)
        time.sleep(0.3)  # a little is unread when the connection might end: that is to be read within 0.8 s
        slow.sendall(ASK.replace(b"small", b"long"))
        time.sleep(0.2)
        while len(received) < 2 * 600_000 and (chunk := slow.recv(8192)):
            received += chunk
            time.sleep(0.02)
        assert received.count(b"HTTP/1.1 200") == 2
        assert len(received) >= 2 * 600_000


def test_the_time_to_ask_again_begins_when_all_has_been_read(start, monkeypatch):
    monkeypatch.setattr("app.main.KEEP_ALIVE_S", 0.5)
    with start() as connect:
        slow = connect(SO_RCVBUF=4096)
        slow.sendall(ASK.replace(b"small", b"long"))
        time.sleep(0.9)
        assert one_answer(slow).endswith(b"x")  # all of it just before the second look
        time.sleep(0.4)
        slow.sendall(ASK)
        assert b" 200 " in one_answer(slow)
