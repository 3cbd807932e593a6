"""What the head of one request may be: its address and header lines, and what keeping it costs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.access.sessions import OWN_COOKIES
from app.http.problems import RefusedHeader

MAX_HEADER_BYTES = 64 * 2**10
MAX_HEADER_LINES = 100
MAX_ADDRESS_BYTES = 4 * 2**10
MAX_PARAMETERS = 64
"""In an address: taking one apart takes longer than all else that a small request does."""
MAX_LENGTH_DIGITS = 18
MAX_HOST_LETTERS = 300
_REQUEST_BYTES, _LINE_BYTES, _LETTER_BYTES = 4096, 160, 6
"""What a request takes of memory besides the bytes of its header: itself, each line, and each letter of its address, of
which two copies are kept, one of them as text."""
_OWN_COOKIE = re.compile(rb"(?:^|;)\s*((%s)=[\w-]{1,64})(?=;|$)" % "|".join(OWN_COOKIES).encode())
"""All that is kept of cookies: others may be a riddle for the parser that every request's cookies go through."""
_TOO_LARGE = RefusedHeader("header_too_large", 431, "The request's header is too large.")


def complaint_of_address(url: bytes) -> RefusedHeader | None:
    if len(url) > MAX_ADDRESS_BYTES:
        return RefusedHeader("address_too_long", 414, "The request's address is too long.")
    if url.count(b"&") >= MAX_PARAMETERS:
        return RefusedHeader("too_many_parameters", 400, "The request's address has too many parameters.")
    if b"#" in url:  # what follows it would be dropped without a word, a parameter or half of a name
        return RefusedHeader("bad_request", 400, "A request's address has no fragment: write # as %23.")
    return None


@dataclass
class Head:
    """The head of one request as it comes in, and the trailers behind its body."""

    lines: int = 0
    bytes_: int = 0
    is_coming: bool = True
    has_body: bool = False
    _has_host: bool = False

    def complaint_of_line(self, name: bytes, value: bytes) -> RefusedHeader | None:
        """What is wrong with the next line, names in lower case."""
        self.lines += 1
        self.bytes_ += len(name) + len(value)
        if self.lines > MAX_HEADER_LINES or self.bytes_ > MAX_HEADER_BYTES:
            return _TOO_LARGE
        if not self.is_coming:  # a trailer of a chunked body: counted, and no header, but for the parser
            if name in (b"connection", b"proxy-connection", b"upgrade"):
                return RefusedHeader("bad_request", 400, "A trailer cannot say what becomes of a connection.")
            return None
        if name in (b"host", b"origin") and (len(value) > MAX_HOST_LETTERS or not value.isascii()):
            # Names in other letters come as ASCII; taking others apart takes a thousand times longer.
            return RefusedHeader("bad_request", 400, "The Host or Origin of this request is not an address.")
        if name == b"host":
            if self._has_host:  # a proxy may go by another
                return RefusedHeader("bad_request", 400, "A request names one Host.")
            self._has_host = True
        if name == b"content-length" and len(value) > MAX_LENGTH_DIGITS:
            return RefusedHeader("bad_length", 400, "The Content-Length of this request is not a length.")
        self.has_body |= name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
        return None

    def cost_bytes(self, url: bytes) -> int:
        """About what the request takes of memory without its body."""
        return _REQUEST_BYTES + self.bytes_ + _LINE_BYTES * self.lines + _LETTER_BYTES * len(url)


def own_cookie(value: bytes) -> bytes | None:
    """What of a Cookie line is this service's, the first of each name; None where nothing is."""
    own: dict[bytes, bytes] = {}
    for found in _OWN_COOKIE.finditer(value):
        own.setdefault(found[2], found[1])
    return b"; ".join(own.values()) or None
