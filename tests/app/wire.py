"""Bytes to a server and back, as a caller of any kind sends and reads them."""

from __future__ import annotations

import re
import time

LARGE = b"x" * 4_000_000
ASK = b"GET /small HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HEAD = b"GET /small HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = b"POST /body HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE = ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
_FORM = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n1\r\n--x--\r\n'
UPLOAD = (
    b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % len(_FORM)
    + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    + _FORM
)
"""An ECG that the stand-in for the reader takes."""


def everything(connection) -> bytes:
    """What comes until the other side closes, however it does so."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def one_answer(connection) -> bytes:
    """An answer of a stated length, which may come in pieces; what there was where the connection ends."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if end and length and len(body) >= int(length[1]):
            break
    return received


def is_open(connection) -> bool:
    """Whether a request on it is answered."""
    try:
        connection.sendall(ASK)
        return b" 200 " in one_answer(connection)
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


def answers(connection) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d{3})", everything(connection))]
