"""What a connection may hold, for how long, and how many there may be: against a real server on loopback."""

from __future__ import annotations

import gc
import json
import re
import socket
import struct
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from fastapi import FastAPI, Request

from app.http.connections import MAX_HEADER_BYTES, MAX_HEADER_LINES, MAX_PIPELINED, BoundedProtocol, origin_of
from app.http.frame import add_frame
from app.http.problems import install_handlers
from app.main import OTHER_DESCRIPTORS, connection_limits
from app.metrics import Metrics
from app.settings import Settings

LARGE = b"x" * 4_000_000
ASK = b"GET /small HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def start(serve_app):
    """`with start(**settings) as connect:` gives connections to a small application; `connect.url` is its address."""

    @contextmanager
    def start(**changes):
        settings = Settings(bundle_dir="b", index_dir="i", **changes)
        app = FastAPI()

        @app.get("/small")
        async def small():
            return {"small": True}

        @app.get("/large")
        async def large():
            from fastapi import Response

            return Response(LARGE)

        @app.post("/seen")
        async def seen(request: Request):
            return sorted(request.headers)

        @app.post("/body")
        async def body(request: Request):
            return len(await request.body())

        install_handlers(app)
        add_frame(app, settings, Metrics())
        with serve_app(app, settings) as url, ExitStack() as opened:
            address = httpx.URL(url)

            def connect(timeout_s=10.0, source="127.0.0.1", **options):
                connection = opened.enter_context(socket.socket())
                for name, value in options.items():
                    connection.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
                connection.settimeout(timeout_s)
                connection.bind((source, 0))
                connection.connect((address.host, address.port))
                return connection

            connect.url = url
            yield connect

    return start


def everything(connection) -> bytes:
    """What comes until the other side closes, however it does so."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def is_open(connection) -> bool:
    """Whether a request on it is answered."""
    try:
        connection.sendall(ASK)
        return b" 200 " in connection.recv(4096)
    except OSError:
        return False


def ended_within(connection, seconds) -> bool:
    """Without reading what came before the end: the other side's reset is seen on writing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            connection.send(b"G")
        except (BrokenPipeError, ConnectionResetError):
            return True
        time.sleep(0.02)
    return False


HEAD = b"GET /small HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = b"POST /body HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (HEAD + b"X-A: " + b"a" * (MAX_HEADER_BYTES + 2**20), 431, "header_too_large"),
        (HEAD + b"X-A: " + b"a" * MAX_HEADER_BYTES + b"\r\n\r\n", 431, "header_too_large"),
        (HEAD + b"a: b\r\n" * (MAX_HEADER_LINES + 1), 431, "header_too_large"),
        (HEAD + b"a" * (MAX_HEADER_BYTES + 2**20), 431, "header_too_large"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 414, "address_too_long"),
        (b"GET /" + b"a" * (MAX_HEADER_BYTES + 2**20), 414, "address_too_long"),
        (CHUNKED + b"0\r\n" + b"X-T: a\r\n" * (MAX_HEADER_LINES + 1), 431, "header_too_large"),
        (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400, "bad_request"),
        (CHUNKED + b"0\r\nX-T: " + b"a" * (MAX_HEADER_BYTES + 2**20), 431, "header_too_large"),
        (HEAD + b"Content-Length: " + b"0" * 5000 + b"\r\n\r\n", 400, "bad_length"),
        (b"no request at all\r\n\r\n", 400, "bad_request"),
    ],
    ids=[
        "endless value",
        "large value",
        "many lines",
        "endless name",
        "long address",
        "endless address",
        "many trailers",
        "a proxy's request",
        "endless trailer",
        "a length of five thousand digits",
        "nonsense",
    ],
)
def test_what_is_too_large_to_be_a_request_is_refused_in_the_form_of_every_refusal(start, sent, status, code):
    with start(header_timeout_s=5) as connect:
        connection = connect()
        connection.sendall(sent)
        head, _, body = everything(connection).partition(b"\r\n\r\n")
        problem = json.loads(body)
        assert (problem["status"], problem["code"]) == (status, code)
        assert b" %d " % status in head.splitlines()[0]
        assert b"application/problem+json" in head
        assert problem["request_id"].encode() in head
        assert is_open(connect())


def answers(connection) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d{3})", everything(connection))]


CLOSE = ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@pytest.mark.parametrize("packets", [1, 2])
def test_an_offer_of_another_protocol_is_passed_over_and_a_body_stays_a_body(start, packets):
    request = b"POST /body HTTP/1.1\r\nHost: 127.0.0.1\r\n" + OFFER + b"Content-Length: %d\r\n\r\n" % len(ASK)
    with start() as connect:
        connection = connect()
        for part in [request, ASK, CLOSE] if packets == 2 else [request + ASK + CLOSE]:
            connection.sendall(part)
            time.sleep(0.05)
        received = everything(connection)
        assert re.findall(rb"HTTP/1.1 (\d{3})", received) == [b"200", b"200"]
        assert b"\r\n\r\n%d" % len(ASK) in received


def test_a_trailer_is_no_header(start):
    with start() as connect:
        request = b"POST /seen HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        connection = connect()
        connection.sendall(request + b"0\r\nX-API-Key: SECRET\r\n\r\n")
        received = everything(connection)
        assert b" 200 " in received
        assert b"x-api-key" not in received


def test_a_body_in_crumbs_is_refused_and_one_in_chunks_is_not(start):
    with start() as connect:
        for path in (b"body", b"nowhere"):
            connection = connect()
            head = b"POST /%s HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n" % path
            connection.sendall(head + b"1\r\na\r\n" * 50_000)
            assert 400 in answers(connection) or path == b"nowhere"
            assert is_open(connect())
        connection = connect()
        chunks = b"c8\r\n" + b"a" * 200 + b"\r\n"
        connection.sendall(CHUNKED + chunks * 300 + b"0\r\n\r\n" + CLOSE)
        assert answers(connection) == [200, 200]


def test_no_body_is_taken_in_behind_a_request_that_is_still_in_work(start_app, wait_until):
    with start_app() as running:
        running.bundle.go_on.clear()
        url = running.client.base_url
        with socket.create_connection((url.host, url.port), timeout=10) as connection:
            body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n1\r\n--x--\r\n'
            head = b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % len(body)
            upload = head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body
            connection.sendall(upload * 3)
            wait_until(lambda: running.bundle.batches)
            running.bundle.go_on.set()
            assert answers(connection) == [200]


def test_who_leaves_with_more_requests_waiting_is_noticed(start_app, wait_until):
    with start_app() as running:
        running.bundle.go_on.clear()
        held = running.client.base_url
        with socket.create_connection((held.host, held.port), timeout=10) as first:
            body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n1\r\n--x--\r\n'
            head = b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % len(body)
            upload = head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body
            first.sendall(upload)
            wait_until(lambda: running.bundle.batches)
            leaving = socket.create_connection((held.host, held.port), timeout=10)
            leaving.sendall(upload + ASK)
            wait_until(lambda: running.service.batcher.waiting == 1)
            leaving.close()
            wait_until(lambda: running.service.batcher.waiting == 0)
            running.bundle.go_on.set()


def test_a_connection_whose_refused_body_came_all_the_same_does_not_stay_for_ever(start, monkeypatch):
    monkeypatch.setattr("app.main.KEEP_ALIVE_S", 1)
    with start() as connect:
        connection = connect()
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n")
        assert b" 404 " in connection.recv(4096)
        connection.sendall(b"hello")
        assert everything(connection) == b""


def test_an_ordinary_large_header_is_served(start):
    with start() as connect:
        headers = {f"X-{number}": "a" * 600 for number in range(90)}
        assert httpx.get(f"{connect.url}/small", headers=headers).status_code == 200


def test_a_length_with_leading_zeros_is_a_length(start):
    with start() as connect:
        response = httpx.post(f"{connect.url}/body", content=b"hello", headers={"Content-Length": "0" * 10 + "5"})
        assert (response.status_code, response.text) == (200, "5")


def test_a_few_pipelined_requests_are_answered_in_order_and_many_are_not_queued(start):
    with start() as connect:
        connection = connect()
        connection.sendall(ASK * (MAX_PIPELINED + 1))
        received = b""
        while received.count(b'{"small":true}') < MAX_PIPELINED + 1:
            received += connection.recv(65536)
        assert is_open(connection)
        connection.sendall(ASK * 500)
        assert everything(connection).count(b" 200 ") == MAX_PIPELINED + 1


@pytest.mark.parametrize("requests", [1, MAX_PIPELINED])
def test_an_answer_that_nobody_reads_is_given_up(start, requests):
    with start(write_timeout_s=0.3) as connect:
        connection = connect(SO_RCVBUF=4096)
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * requests)
        assert ended_within(connection, 5)
        assert is_open(connect())


def test_an_answer_that_is_read_slowly_but_steadily_arrives(start):
    with start(write_timeout_s=0.5) as connect:
        connection = connect(SO_RCVBUF=4096)
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        received, started = 0, time.monotonic()
        while chunk := connection.recv(100_000):
            received += len(chunk)
            time.sleep(0.003)
        assert received > len(LARGE)
        assert time.monotonic() - started > 0.1


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
        body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n1\r\n--x--\r\n'
        head = b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % len(body)
        for _ in range(2):
            connections.append(socket.create_connection((url.host, url.port), timeout=10))
            connections[-1].sendall(head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body)
        wait_until(lambda: running.bundle.batches and running.service.batcher.waiting)
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
