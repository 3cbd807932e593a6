"""What a stranger, a key holder and an operator can do to the running service, over HTTP.

While each goes on, health is answered within 100 ms (99 of 100) and the serving process grows by less than 100 MB.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from served import TABLE, free_port, multipart, serving, start

from app.access.keys import create_key
from app.http.connections import MAX_PIPELINED

pytestmark = pytest.mark.drill

HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("doors")) as served:
        assert served.ask()[0] == 200  # what first requests need is at rest
        yield served


@pytest.mark.parametrize("block", [b"a" * 2**20, b"a: b\r\n" * 2**17], ids=["one endless line", "endless lines"])
def test_endless_headers(service, block):
    def flood(_):
        sent = 0
        with service.connect() as connection:
            try:
                connection.sendall(HEAD + b"X-A: ")
                while sent < 200:
                    connection.sendall(block)
                    sent += 1
            except OSError:
                pass
        return sent

    with service.watched(), ThreadPoolExecutor(3) as pool:
        for _ in range(5):
            assert max(pool.map(flood, range(3))) < 100


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=B", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("charset", ["idna", "punycode", "utf-8"])
def test_a_log_in_form_in_a_slow_charset(service, content_type, charset):
    body = b'--B\r\nContent-Disposition: form-data; name="key"\r\n\r\nxn--' + b"a" * 60_000 + b"\r\n--B--\r\n"
    headers = {"Content-Type": f"{content_type}; charset={charset}"}
    end, statuses = time.monotonic() + 5, Counter()

    def flood(_):
        while time.monotonic() < end:
            statuses[service.request("POST", "/login", body, headers)[0]] += 1

    with service.watched(), ThreadPoolExecutor(3) as pool:
        list(pool.map(flood, range(3)))
    assert set(statuses) <= {0, 400, 413}  # 0: the refusal came while the body was still being sent


@pytest.mark.parametrize("path", ["/openapi.json", "/metrics", "/docs", "/"])
def test_two_hundred_callers_ask_and_never_read(tmp_path, path):
    with serving(tmp_path, write_timeout_s="3") as served:
        at_rest = served.descriptors
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        connections = []
        with served.watched():
            for _ in range(200):
                connections.append(served.connect(receive_buffer=2304))
                with contextlib.suppress(OSError):
                    connections[-1].sendall(request * 200)
            time.sleep(10)
        assert served.descriptors <= at_rest + 2
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    "said", [b"", b"GET /healthz HT", HEAD + b"\r\n"], ids=["nothing", "half a line", "one request"]
)
def test_more_connections_than_the_process_may_open_files(tmp_path, said):
    with serving(tmp_path, files=1024) as served:
        connections = []
        with served.watched():
            for _ in range(1500):
                connections.append(served.connect())
                connections[-1].sendall(said)
            time.sleep(12)
            assert served.ask()[0] == 200
        for connection in connections:
            connection.close()


def test_uploads_that_arrive_slowly_and_all_at_once(service):
    size = 30 * 2**20
    head = b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.dat"\r\n\r\n'
    length = len(head) + size + len(b"\r\n--B--\r\n")
    statuses = Counter()

    def upload(_):
        with service.connect() as connection:
            connection.settimeout(60)
            try:
                connection.sendall(
                    b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=B\r\n"
                    + b"Content-Length: %d\r\n\r\n%s" % (length, head)
                )
                for _ in range(20):
                    connection.sendall(os.urandom(size // 20))
                    time.sleep(0.5)
                connection.sendall(b"\r\n--B--\r\n")
                statuses[connection.recv(100)[9:12].decode()] += 1
            except OSError:
                statuses["refused while sending"] += 1

    with service.watched(growth_mb=256), ThreadPoolExecutor(20) as pool:
        uploads = [pool.submit(upload, number) for number in range(20)]
        time.sleep(2)
        while not all(one.done() for one in uploads):
            assert service.ask()[0] == 200
            time.sleep(0.5)
    assert set(statuses) <= {"422", "429", "refused while sending"}


def test_one_keys_flood_and_anothers_query(tmp_path):
    flood, ward = (create_key(tmp_path / "keys.json", ("query",), name) for name in ("flood", "ward"))
    with serving(tmp_path, keys_file=str(tmp_path / "keys.json")) as served:
        statuses, end = Counter(), time.monotonic() + 10

        def ask_for_ever(_):
            while time.monotonic() < end:
                statuses[served.search(TABLE, key=flood)[0]] += 1

        with ThreadPoolExecutor(80) as pool:
            asking = [pool.submit(ask_for_ever, number) for number in range(80)]
            time.sleep(2)
            waited = []
            while time.monotonic() < end:
                started = time.monotonic()
                assert served.search(TABLE, key=ward)[0] == 200
                waited.append(time.monotonic() - started)
            for one in asking:
                one.result()
        assert set(statuses) == {200, 429}


def test_a_thousand_log_ins_end_nobody_elses(tmp_path):
    flood, ward = (create_key(tmp_path / "keys.json", ("query",), name) for name in ("flood", "ward"))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with serving(tmp_path, keys_file=str(tmp_path / "keys.json"), session_cookie_secure="false") as served:
        with served.connect() as connection:
            body = f"key={ward}".encode()
            connection.sendall(b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % len(body))
            connection.sendall(b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + body)
            answer = connection.recv(65536).decode()
        cookie = answer.split("echo2ecg_session=")[1].split(";")[0]
        with served.watched(), ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: served.request("POST", "/login", f"key={flood}".encode(), form), range(1000)))
        assert served.request("GET", "/v1/index", headers={"Cookie": f"echo2ecg_session={cookie}"})[0] == 200


def test_a_service_that_was_meant_to_be_closed_does_not_start_open(tmp_path):
    (tmp_path / "index").mkdir()
    process = start(tmp_path, free_port(), tmp_path / "log", keys_file=str(tmp_path / "away" / "keys.json"))
    assert process.wait(60) == 1
    (sentence,) = (tmp_path / "log").read_text().splitlines()
    assert "keys_file" in sentence
    assert str(tmp_path) not in sentence


def test_odd_requests_byte_by_byte(service):
    def answers(sent: bytes) -> list[int]:
        with service.connect() as connection:
            connection.settimeout(2)
            received = b""
            try:
                connection.sendall(sent)
                while chunk := connection.recv(65536):
                    received += chunk
            except OSError:
                pass
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", received)]

    post = b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    smuggled = HEAD + b"\r\n"
    with service.watched():
        for odd in (
            b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            b"Content-Length: 5,5\r\n\r\nhello",
            b"Content-Length: +5\r\n\r\nhello",
            b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
            b"Content-Length: " + b"0" * 5000 + b"5\r\n\r\nhello",
            b"Content-Length: 18446744073709551616\r\n\r\n",
            b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        ):
            assert answers(post + odd + smuggled) == [400], odd
        chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
        assert answers(chunked + b"0\r\n" + b"X-T: a\r\n" * 25_000) in ([400], [400, 431], [431])
        assert answers(chunked + b"5;" + b"a" * 100_000)[:1] in ([400], [431])
        assert answers(HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(20_000))) == [431]
        assert answers(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == [414]
        assert answers(b"GET /v1/info/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n") == [404]
        assert answers(smuggled * 300) == [200] * (1 + MAX_PIPELINED)
    assert service.ask()[0] == 200
    assert not [line for line in service.log.read_text().splitlines() if json.loads(line)["level"] == "error"]


def test_callers_who_leave_in_the_middle_leave_nothing(service):
    body, headers = multipart(TABLE)
    head = b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % len(body)
    head += f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    at_rest = service.descriptors
    with service.watched():
        for number in range(300):
            with service.connect() as connection:
                connection.sendall((head + body)[: 1 + number * len(head + body) // 300])
                if number % 2:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            time.sleep(0.01)
    assert service.ask()[0] == 200
    assert service.descriptors <= at_rest + 2
    assert threading.active_count() < 20
