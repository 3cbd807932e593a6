"""Batches, full queues, callers who leave, slow bodies: against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import httpx
import pytest
from wire import UPLOAD, one_answer


def hold_lane(running, wait_until):
    """Occupy the lane with one search that does not end before `go_on` is set."""
    running.bundle.go_on.clear()
    connection = begin_search(running)
    wait_until(lambda: running.bundle.batches)
    return connection


def begin_search(running) -> socket.socket:
    connection = connect(running)
    connection.sendall(UPLOAD)
    return connection


def connect(running) -> socket.socket:
    url = running.client.base_url
    return socket.create_connection((url.host, url.port), timeout=10)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def test_requests_that_wait_together_go_through_the_models_together(start_app, wait_until):
    with start_app() as running:
        held = hold_lane(running, wait_until)
        with held:

            async def ask_then_release():
                async with httpx.AsyncClient(base_url=running.client.base_url, timeout=20) as client:
                    posts = [
                        asyncio.create_task(client.post("/v1/search", files={"files": b"%d" % number}))
                        for number in (1, 2, 3)
                    ]
                    while running.service.batcher.waiting < 3:
                        await asyncio.sleep(0.01)
                    running.bundle.go_on.set()
                    return await asyncio.gather(*posts)

            answers = asyncio.run(ask_then_release())
        assert [answer.status_code for answer in answers] == [200] * 3
        assert running.bundle.batches == [1, 3]
        assert len({answer.json()["neighbours"][0]["similarity"] for answer in answers}) == 3


def test_a_full_queue_is_429_with_retry_after_for_all_three_routes(start_app, wait_until):
    with start_app(queue_size=4) as running:  # one caller has three of four places
        with hold_lane(running, wait_until), begin_search(running), begin_search(running):
            wait_until(lambda: running.service.batcher.waiting == 2)
            for route in ("search", "predict", "embed"):
                response = running.client.post(f"/v1/{route}", files={"files": b"1"})
                assert (response.status_code, response.json()["code"]) == (429, "busy")
                assert int(response.headers["retry-after"]) >= 1
            assert running.client.get("/healthz").status_code == 200
            assert 'echo2ecg_waiting{queue="models"} 2.0' in running.client.get("/metrics").text
            running.bundle.go_on.set()
            wait_until(lambda: running.service.batcher.waiting == 0)
        wait_until(lambda: running.search(1).status_code == 200)  # the two that left may be in work still


def test_a_caller_that_leaves_never_reaches_the_models(start_app, wait_until):
    with start_app() as running:
        with hold_lane(running, wait_until):
            leaving = begin_search(running)
            wait_until(lambda: running.service.batcher.waiting == 1)
            leaving.close()
            wait_until(lambda: running.service.batcher.waiting == 0)
            running.bundle.go_on.set()
        assert running.search(2).status_code == 200
        assert running.bundle.batches == [1, 1]


def test_an_answer_that_takes_too_long_is_given_up(start_app, wait_until):
    with start_app(answer_timeout_s=1.0) as running, hold_lane(running, wait_until):
        response = running.search(1)
        assert (response.status_code, response.json()["code"]) == (503, "took_too_long")
        running.bundle.go_on.set()


def test_a_body_over_the_limit_is_413_and_the_answer_arrives(start_app):
    with start_app(max_body_bytes=20_000) as running:
        for _ in range(5):
            response = running.client.post("/v1/search", files={"files": b"1" * 5_000_000})
            assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_an_endless_chunked_body_is_413_and_the_connection_ends(start_app):
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    with start_app(max_body_bytes=20_000, header_timeout_s=0.5) as running, connect(running) as connection:
        connection.sendall(
            b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        started, connection_ended = time.monotonic(), False
        connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        answer = b""
        connection.settimeout(0.01)
        while not connection_ended and time.monotonic() - started < 10:
            try:
                connection.sendall(b"%x\r\n%s\r\n" % (1000, b"1" * 1000))
                answer += connection.recv(65536)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                connection_ended = True
        assert connection_ended
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 413 " in head.splitlines()[0]
        assert json.loads(body)["code"] == "body_too_large"


def test_a_body_that_trickles_is_408(start_app):
    with start_app(body_timeout_s=0.4) as running, connect(running) as connection:
        connection.sendall(
            b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
        )
        assert b" 408 " in read_all(connection).splitlines()[0]


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: a", b"\r\n"])
def test_a_header_that_never_ends_is_cut(start_app, sent):
    with start_app(header_timeout_s=0.4) as running, connect(running) as connection:
        connection.sendall(sent)
        assert read_all(connection) == b""
        assert running.client.get("/healthz").status_code == 200


def test_a_second_trickling_header_on_one_connection_is_cut_too(start_app):
    with start_app(header_timeout_s=0.4) as running, connect(running) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b" 200 " in one_answer(connection)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        assert read_all(connection) == b"", "the connection's own limit would fail here"


def test_a_long_answer_is_not_cut_by_the_header_limit(start_app, wait_until):
    with start_app(header_timeout_s=0.3) as running, hold_lane(running, wait_until) as held:
        time.sleep(0.6)
        running.bundle.go_on.set()
        assert b" 200 " in held.recv(4096)
