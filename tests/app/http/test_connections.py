"""How many connections there may be, and which goes first: against a real server on loopback."""

from __future__ import annotations

import gc
import socket
import struct
import time
from contextlib import suppress
from functools import partial

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from wire import ASK, CLOSE, HEAD, LARGE, UPLOAD, ended_within, everything, is_open, one_answer

from app.http.connections import LINGER_S, BoundedProtocol
from app.http.origins import ConnectionLimits, origin_of
from app.main import OTHER_DESCRIPTORS, connection_limits
from app.settings import Settings


def test_when_an_address_has_too_many_its_longest_idle_one_is_closed(start):
    with start(max_connections_per_address=3) as connect:
        oldest, second, third = connect(), connect(), connect()
        assert is_open(oldest)  # and so it is no longer the one that has been idle longest
        newest = connect()
        assert is_open(newest)
        assert not is_open(second)
        assert is_open(third)
        assert is_open(oldest)


def test_a_header_that_drips_is_idle(start):
    with start(max_connections_per_address=2, header_timeout_s=30) as connect:
        dripping, idle = connect(), connect()
        dripping.sendall(HEAD)
        assert is_open(idle)
        dripping.sendall(b"X-A: b\r\n")
        assert is_open(connect())
        assert everything(dripping) == b""
        assert is_open(idle)


def test_one_address_does_not_close_anothers(start):
    with start(max_connections_per_address=2, max_connections=50) as connect:
        other = connect(source="127.0.0.2")
        assert is_open(other)
        flood = [connect() for _ in range(10)]
        assert [is_open(one) for one in reversed(flood)] == [True] * 2 + [False] * 8
        assert is_open(other)


def test_when_the_server_is_full_who_has_most_makes_room(start):
    with start(max_connections_per_address=8, max_connections=8) as connect:
        other = connect(source="127.0.0.2")
        flood = [connect() for _ in range(7)]
        assert is_open(connect(source="127.0.0.3"))
        assert is_open(other)
        assert [is_open(one) for one in reversed(flood)] == [True] * 6 + [False]


def test_no_upload_is_cut_off_while_anybodys_connection_is_idle(start):
    with start(max_connections_per_address=6, max_connections=6) as connect:
        uploads = [connect() for _ in range(3)]
        for upload in uploads:
            upload.sendall(b"POST /body HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 6\r\n\r\nabc")
        time.sleep(0.2)
        idle = [connect(source=f"127.0.0.{host}") for host in range(2, 9)]
        time.sleep(0.2)
        for upload in uploads:
            upload.sendall(b"def")
            assert one_answer(upload).endswith(b"\r\n\r\n6")
        assert [is_open(one) for one in reversed(idle)] == [True] * 3 + [False] * 4


def everything_until(connection, wanted):
    """Whether it comes before the end."""
    received = b""
    try:
        while wanted not in received:
            if not (chunk := connection.recv(2**20)):
                return False
            received = received[-100:] + chunk
    except ConnectionResetError:
        return False
    return True


def begin_to_send(connection, path):
    connection.sendall(b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 6\r\n\r\nabc" % path)


def test_bodies_that_nobody_let_in_make_room_before_uploads_that_were(start):
    with start(max_connections_per_address=9, max_connections=9) as connect:
        uploads = [connect() for _ in range(3)]
        for upload in uploads:
            begin_to_send(upload, b"/let-in")
        time.sleep(0.2)
        strangers = [connect(source=f"127.0.0.{host}") for host in range(2, 14)]
        for stranger in strangers:
            with suppress(OSError):  # closed for another stranger
                begin_to_send(stranger, b"/body")
        time.sleep(0.2)
        assert is_open(connect(source="127.0.0.99"))
        for upload in uploads:
            upload.sendall(b"def")
            assert one_answer(upload).endswith(b"\r\n\r\n6")


def test_of_bodies_that_nobody_let_in_only_so_much_lies_with_us(start, monkeypatch):
    monkeypatch.setattr("app.main.ConnectionLimits", partial(ConnectionLimits, held_bytes=100_000))
    head = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 40001\r\n\r\n"
    with start() as connect:
        other, upload = connect(source="127.0.0.2"), connect()
        flood = [connect() for _ in range(5)]
        for one, path in ((other, b"/body"), (upload, b"/let-in"), *((one, b"/body") for one in flood)):
            one.sendall(head % path)
            time.sleep(0.1)
            one.sendall(b"x" * 40_000)
            time.sleep(0.1)
        answered = []
        for one in (other, upload, *flood):
            answered.append(False)
            with suppress(OSError):
                one.sendall(b"x")
                answered[-1] = b" 200 " in one_answer(one)
        assert answered[:2] == [True, True]
        assert sum(answered[2:]) <= 1


def test_headers_of_requests_that_wait_count_too_until_they_are_answered(start, monkeypatch):
    monkeypatch.setattr("app.main.ConnectionLimits", partial(ConnectionLimits, held_bytes=60_000))
    large = HEAD + b"X-Large: " + b"a" * 30_000 + b"\r\n\r\n"
    with start() as connect:
        first, second = connect(), connect()
        for _ in range(5):
            for one in (first, second):
                one.sendall(large)
                assert b" 200 " in one_answer(one), "what was answered lies no more"


def test_of_requests_that_wait_the_address_and_every_line_count(start, monkeypatch):
    monkeypatch.setattr("app.main.ConnectionLimits", partial(ConnectionLimits, held_bytes=100_000))
    lines = b"".join(b"x%d:y\r\n" % number for number in range(90))
    ask = b"GET /small?%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n" % (b"a" * 3000, lines)
    with start(write_timeout_s=300) as connect:
        other, greedy = connect(SO_RCVBUF=4096, source="127.0.0.2"), connect(SO_RCVBUF=4096)
        for one, count in ((other, 1), (greedy, 4)):
            one.sendall(CLOSE.replace(b"small", b"large").replace(b"Connection: close\r\n", b"") + ask * count)
            time.sleep(0.2)
        assert everything_until(other, b'{"small":true}'), "who waits with one request stays"
        assert not everything_until(greedy, b'{"small":true}')


def test_an_idle_connection_keeps_nothing_of_its_last_request(start, wait_until):
    def kept() -> list[int]:
        mine = [one for one in gc.get_objects() if issubclass(type(one), BoundedProtocol)]
        return [len(one.headers) + len(one.scope or {}) + len(one.cycle.scope) for one in mine if one.cycle is not None]

    with start() as connect:
        idle = [connect() for _ in range(3)]
        assert all(is_open(one) for one in idle)
        wait_until(lambda: kept() == [0, 0, 0])
        assert all(is_open(one) for one in idle), "and it goes on"


def test_a_header_that_begins_behind_a_whole_request_is_bounded_and_has_no_more_time(start):
    with start(header_timeout_s=1) as connect:
        one = connect()
        one.sendall(ASK + HEAD + b"X-A: " + b"a" * 1000)
        assert b" 200 " in one_answer(one)
        started = time.monotonic()
        assert everything(one) == b""
        assert time.monotonic() - started < 5
        one = connect()
        one.sendall(ASK + HEAD + b"X-A: " + b"a" * 200_000)
        assert b" 431 " in everything(one) or not is_open(one)


def test_the_next_request_is_not_worked_on_while_an_answer_is_not_read(start, wait_until):
    with start(write_timeout_s=300) as connect, httpx.Client(base_url=connect.url) as watch:
        greedy = connect(SO_RCVBUF=4096)
        ask = b"GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        greedy.sendall(ask % b"large" + ask % b"counted" + ask % b"counted")
        time.sleep(0.3)
        assert watch.get("/counted").json() == 1
        rest = b""
        while rest.count(b"HTTP/1.1 200") < 3:
            rest += greedy.recv(2**20)
        assert watch.get("/counted").json() == 4


def test_of_answers_that_nobody_reads_only_so_much_lies_ready(start, monkeypatch):
    monkeypatch.setattr("app.main.ConnectionLimits", partial(ConnectionLimits, unread_bytes=3 * len(LARGE)))
    with start(write_timeout_s=300) as connect:
        other = connect(SO_RCVBUF=4096, source="127.0.0.2")
        flood = [connect(SO_RCVBUF=4096) for _ in range(6)]
        for one in (other, *flood):
            one.sendall(CLOSE.replace(b"small", b"large"))
            time.sleep(0.1)
        assert len(everything(other)) > len(LARGE)
        read = [len(everything(one)) > len(LARGE) for one in flood]
        assert read == [False] * 4 + [True] * 2


@pytest.mark.parametrize("proxies", ['["127.0.0.0/8"]', '["::1", "127.0.0.1"]'])
def test_a_trusted_proxy_has_as_many_as_the_server_has(start, monkeypatch, proxies):
    monkeypatch.setenv("ECHO2ECG_TRUSTED_PROXIES", proxies)
    with start(max_connections_per_address=2, max_connections=20) as connect:
        connections = [connect() for _ in range(10)]
        assert all(is_open(one) for one in connections)


def test_what_is_being_answered_is_not_closed_for_a_newcomer(start_app, wait_until):
    with start_app(max_connections=4, max_connections_per_address=4) as running:
        running.bundle.go_on.clear()
        url = running.client.base_url
        connections = []
        for _ in range(2):
            connections.append(socket.create_connection((url.host, url.port), timeout=10))
            connections[-1].sendall(UPLOAD)
        wait_until(lambda: sum(running.bundle.batches) + running.service.batcher.waiting == 2)
        for _ in range(20):
            assert httpx.get(f"{url}/healthz").status_code == 200
            socket.create_connection((url.host, url.port)).detach()
        running.bundle.go_on.set()
        for connection in connections:
            assert b" 200 " in connection.recv(4096)
            connection.close()


def test_there_are_no_more_connections_than_the_process_may_open_files(monkeypatch):
    asked = []
    monkeypatch.setattr("app.main.resource.getrlimit", lambda _: (256, 1000))
    monkeypatch.setattr("app.main.resource.setrlimit", lambda _, limits: asked.append(limits))
    limits = connection_limits(Settings(bundle_dir="b", index_dir="i"))
    assert asked == [(1000, 1000)]
    assert limits.total == 1000 - OTHER_DESCRIPTORS


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "None"),
    ],
)
def test_a_caller_is_an_address_or_what_one_subscriber_has(address, origin):
    assert str(origin_of(address)) == origin


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "proxy", "10.0.0.1/8"])
def test_a_proxy_is_an_address_or_a_network(wrong):
    from app.settings import SettingsError

    with pytest.raises(SettingsError, match="trusted_proxies"):
        Settings(bundle_dir="b", index_dir="i", trusted_proxies=[wrong])


def test_a_request_that_was_answered_leaves_memory_without_a_search_for_circles(start, wait_until):
    def held() -> int:
        return sum(issubclass(type(one), RequestResponseCycle) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        with start() as connect:
            staying = connect()
            for _ in range(20):
                assert is_open(staying)
                leaving = connect()
                assert is_open(leaving)
                leaving.close()
            wait_until(lambda: held() <= 2)
    finally:
        gc.enable()


def test_a_connection_that_has_ended_is_forgotten_with_all_it_held(start, wait_until):
    def held() -> int:
        gc.collect()
        return sum(issubclass(type(one), BoundedProtocol) for one in gc.get_objects())

    with start(write_timeout_s=300, header_timeout_s=300) as connect:
        for _ in range(20):
            leaving = connect()
            leaving.sendall(b"POST /body HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 70000\r\n\r\n" + b"x" * 60_000)
            leaving.close()
            for path in (b"large", b"small"):
                leaving = connect()
                leaving.sendall(b"GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path)
                leaving.close()
            leaving = connect(SO_LINGER=struct.pack("ii", 1, 0))  # its end is a reset
            leaving.sendall(ASK)
            assert b" 200 " in leaving.recv(4096)
            leaving.close()
        assert is_open(connect())
        wait_until(lambda: held() <= 1)


@pytest.mark.parametrize("waiting", [1, 2, 3])
def test_requests_that_nobody_began_go_with_their_connection(start, wait_until, waiting):
    def held() -> int:
        return sum(issubclass(type(one), RequestResponseCycle) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        with start(write_timeout_s=300) as connect:
            for _ in range(10):
                leaving = connect(SO_RCVBUF=4096, SO_LINGER=struct.pack("ii", 1, 0))
                leaving.sendall(ASK.replace(b"small", b"large") + ASK * waiting)
                time.sleep(0.05)
                leaving.close()
            wait_until(lambda: held() <= 1)
    finally:
        gc.enable()


def test_a_long_answer_to_a_request_whose_body_comes_late_is_read_whole(start):
    ask = b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    with start() as connect:
        slow = connect(SO_RCVBUF=4096)
        slow.sendall(ask)
        time.sleep(0.1)
        slow.sendall(b"{}")
        time.sleep(LINGER_S + 0.5)  # it reads, and not at once
        received = everything(slow)
    assert received.partition(b"\r\n\r\n")[2] == LARGE


def test_who_reads_nothing_of_such_an_answer_is_ended_all_the_same(start, wait_until):
    ask = b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    with start(write_timeout_s=0.3) as connect:
        deaf = connect(SO_RCVBUF=4096)
        deaf.sendall(ask)
        assert ended_within(deaf, LINGER_S + 5)


def test_a_connection_ends_with_a_request_that_nobody_answers(start, wait_until):
    with start(max_connections_per_address=2) as connect:
        for _ in range(4):
            connection = connect()
            connection.sendall(b"GET /unanswered HTTP/1.1\r\nHost: a\r\n\r\n")
            assert everything(connection) == b""
