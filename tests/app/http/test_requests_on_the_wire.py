"""What one connection may send and hold, byte by byte: against a real server on loopback."""

from __future__ import annotations

import json
import re
import socket
import time

import httpx
import pytest
from wire import ASK, CHUNKED, CLOSE, HEAD, LARGE, OFFER, UPLOAD, answers, ended_within, everything, is_open, one_answer

from app.http.connections import MAX_PIPELINED
from app.http.heads import MAX_HEADER_BYTES, MAX_HEADER_LINES


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (HEAD + b"X-A: " + b"a" * (MAX_HEADER_BYTES + 2**20), 431, "header_too_large"),
        (HEAD + b"X-A: " + b"a" * MAX_HEADER_BYTES + b"\r\n\r\n", 431, "header_too_large"),
        (HEAD + b"a: b\r\n" * (MAX_HEADER_LINES + 1), 431, "header_too_large"),
        (HEAD + b"a" * (MAX_HEADER_BYTES + 2**20), 431, "header_too_large"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 414, "address_too_long"),
        (b"GET /" + b"a" * (MAX_HEADER_BYTES + 2**20), 414, "address_too_long"),
        (b"GET /small?" + b"a&" * 64 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400, "too_many_parameters"),
        (CHUNKED + b"0\r\n" + b"X-T: a\r\n" * (MAX_HEADER_LINES + 1), 431, "header_too_large"),
        (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400, "bad_request"),
        (CHUNKED + b"0\r\nX-T: " + b"a" * (MAX_HEADER_BYTES + 2**20), 431, "header_too_large"),
        (HEAD + b"Content-Length: " + b"0" * 5000 + b"\r\n\r\n", 400, "bad_length"),
        (b"no request at all\r\n\r\n", 400, "bad_request"),
        (HEAD + b"Host: elsewhere\r\n\r\n", 400, "bad_request"),
        (HEAD + b"Origin: http://" + "\u00bd".encode() * 20 + b"\r\n\r\n", 400, "bad_request"),
        (HEAD + b"Origin: http://" + b"a" * 300 + b"\r\n\r\n", 400, "bad_request"),
        (HEAD + OFFER + b"hOST: 127.0.0.1\r\n\r\n", 400, "bad_request"),
    ],
    ids=[
        "endless value",
        "large value",
        "many lines",
        "endless name",
        "long address",
        "endless address",
        "an address of many parameters",
        "many trailers",
        "a proxy's request",
        "endless trailer",
        "a length of five thousand digits",
        "nonsense",
        "two hosts",
        "an origin in other letters",
        "a long origin",
        "two hosts and an offer",
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


@pytest.mark.parametrize(
    "head",
    [
        b"GET /small HTTP/1.1\r\nConnection: close, Upgrade\r\n",
        b"GET /small HTTP/1.1\r\nConnection: Upgrade\r\nConnection: close\r\n",
        b"GET /small HTTP/1.0\r\nConnection: Upgrade\r\n",
    ],
)
def test_who_offers_another_protocol_and_wants_the_end_gets_it(start, head):
    with start() as connect:
        connection = connect(timeout_s=2)
        connection.sendall(head + b"Upgrade: h2c\r\nHost: 127.0.0.1\r\n\r\n")
        assert answers(connection) == [200]


@pytest.mark.parametrize("first", [b"", ASK.replace(b"\r\n\r\n", b"\r\n" + OFFER + b"\r\n")], ids=["plain", "offer"])
def test_what_lies_behind_a_whole_request_does_not_cost_its_answer(start, first):
    with start() as connect:
        for last in (CLOSE, ASK):
            connection = connect()
            connection.sendall(first + last + b"\r\nno request")
            assert answers(connection)[: 1 + bool(first)] == [200] * (1 + bool(first))


@pytest.mark.parametrize("trailer", [b"Upgrade: h2c\r\nConnection: Upgrade, close", b"Proxy-Connection: close"])
def test_a_trailer_does_not_say_what_becomes_of_the_connection(start, trailer):
    with start() as connect:
        connection = connect()
        connection.sendall(CHUNKED + b"0\r\n" + trailer + b"\r\n\r\n" + ASK)
        assert answers(connection) == [400]


def test_no_cookie_is_looked_at_but_our_own(start):
    with start() as connect:
        riddle = b'a="' + b"\\" * 60_000 + b'"'
        token = "A-_" * 14
        for cookies, kept in (
            ([riddle], []),
            ([b"other=1"], []),
            ([b"echo2ecg_session=" + token.encode()], [f"echo2ecg_session={token}"]),
            ([b"a=1; echo2ecg_session=" + token.encode() + b"; b=2"], [f"echo2ecg_session={token}"]),
            ([b"xecho2ecg_session=1", b'echo2ecg_session="1"'], []),
            ([b"echo2ecg_admin=1;a=2;echo2ecg_session=3"], ["echo2ecg_admin=1; echo2ecg_session=3"]),
            ([b"echo2ecg_admin=1; echo2ecg_admin=2; " * 1000], ["echo2ecg_admin=1"]),
        ):
            connection = connect()
            lines = b"".join(b"Cookie: " + cookie + b"\r\n" for cookie in cookies)
            connection.sendall(b"GET /cookies HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + lines + b"\r\n")
            assert json.loads(everything(connection).partition(b"\r\n\r\n")[2]) == kept


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
            connection.sendall(UPLOAD * 3)
            wait_until(lambda: running.bundle.batches)
            running.bundle.go_on.set()
            assert answers(connection) == [200]


@pytest.mark.parametrize("at_once", [True, False])
def test_who_leaves_with_more_requests_waiting_is_noticed(start_app, wait_until, at_once):
    with start_app(answer_timeout_s=60) as running:
        running.bundle.go_on.clear()
        held = running.client.base_url
        with socket.create_connection((held.host, held.port), timeout=10) as first:
            first.sendall(UPLOAD)
            wait_until(lambda: running.bundle.batches)
            leaving = socket.create_connection((held.host, held.port), timeout=10)
            leaving.sendall(UPLOAD + ASK if at_once else UPLOAD)
            wait_until(lambda: running.service.batcher.waiting == 1)
            if not at_once:
                leaving.sendall(ASK)
                time.sleep(0.05)
            leaving.close()
            wait_until(lambda: running.service.batcher.waiting == 0, 5)  # the connection's own limits take longer
            running.bundle.go_on.set()


def test_a_caller_that_asked_for_the_end_of_the_connection_can_read_why_its_body_is_refused(start):
    with start(max_body_bytes=1000) as connect:
        connection = connect()
        connection.sendall(CLOSE.replace(b"GET /small", b"POST /body")[:-2] + b"Content-Length: 4000000\r\n\r\n")
        for _ in range(8):
            connection.sendall(bytes(100_000))
            time.sleep(0.02)
        assert answers(connection) == [413]


def test_a_connection_whose_refused_body_came_all_the_same_does_not_stay_for_ever(start, monkeypatch):
    monkeypatch.setattr("app.main.KEEP_ALIVE_S", 1)
    with start() as connect:
        connection = connect()
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n")
        assert b" 404 " in one_answer(connection)
        connection.sendall(b"hello")
        assert everything(connection) == b""


def test_a_refused_caller_who_reads_what_lay_ready_before_is_ended_all_the_same(start):
    with start(write_timeout_s=300) as connect:
        connection = connect(SO_RCVBUF=4096)
        for sent in (ASK.replace(b"small", b"large"), b"no request at all\r\n\r\n"):
            connection.sendall(sent)
            time.sleep(0.2)
        received = everything(connection)  # to the server's end of it; ours stays open
        assert received.count(b"HTTP/1.1 ") == 2
        assert b" 400 " in received[-1000:]
        assert ended_within(connection, 5)


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


@pytest.mark.parametrize(("words", "goes_on"), [(b"", "keep-alive"), (b"close,", "close")])
def test_of_an_offer_nothing_else_that_it_says_of_the_connection_is_taken_apart(start, words, goes_on):
    """It may be tens of thousands of words, and costs them before anybody's key is looked at."""
    offer = b"Connection: upgrade, %s%s\r\nUpgrade: h2c\r\n\r\n" % (words, b"," * 50_000)
    with start() as connect:
        one = connect()
        one.sendall(b"GET /connection HTTP/1.1\r\nHost: 127.0.0.1\r\n" + offer)
        assert one_answer(one).endswith(b'["%s"]' % goes_on.encode())
        assert is_open(one) == (goes_on == "keep-alive")


@pytest.mark.parametrize("target", [b"/small#a", b"/small?a=1#b", b"#"])
def test_an_address_with_a_fragment_is_refused_and_not_cut_short(start, target):
    with start() as connect:
        one = connect()
        one.sendall(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % target)
        assert b" 400 " in everything(one)
