"""The pieces of a multipart body on their way to its parser: small ones, and only of a form that is one whole form.

The parser goes on letter by letter wherever a delimiter begins that is none, ignores what follows the last delimiter,
and does not ask for one; whoever sends such a form would hold up everybody, or be answered for half of what it sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator

from app.http.problems import BadUpload

PIECE_BYTES = 64 * 2**10
_LETTERS = r"-0-9A-Za-z'()+_./:=?"
_BOUNDARY = re.compile(
    rf';\s*boundary=(?:"([{_LETTERS}, ]{{1,70}})"|([{_LETTERS}]{{1,70}}))(?=\s*(?:;|$))', re.IGNORECASE
)
"""RFC 2046, 5.1.1; several of these letters are often seen without the quotation marks that they ask for."""

_NAMES = re.compile(r";\s*boundary\s*=", re.IGNORECASE)


def boundary_of(content_type: str) -> str:
    """The word between the parts. Raises BadUpload where not one of 1 to 70 letters is named."""
    named = _BOUNDARY.findall(content_type)
    if len(named) != 1 or len(_NAMES.findall(content_type)) != 1:
        raise BadUpload("bad_multipart", "The Content-Type of this request does not name one boundary of its form.")
    return "".join(named[0])


async def checked_pieces(body: AsyncIterator[bytes], boundary: str, most_parts: int) -> AsyncGenerator[bytes, None]:
    """The body, piece by piece. Raises BadUpload for too many parts, and for a form that has no end or something after.

    Others have their turn between two pieces.
    """
    delimiter = _Sought(b"\r\n--" + boundary.encode())
    end = _Sought(delimiter.word + b"--")
    tail = b"\r\n"
    async for chunk in body:
        for start in range(0, len(chunk), PIECE_BYTES):
            piece = chunk[start : start + PIECE_BYTES]
            if delimiter.count(piece) > most_parts + 1:
                raise BadUpload("bad_multipart", f"The form has more than {most_parts} parts.")
            yield piece
            end.count(piece)
            tail = (tail + piece)[-len(end.word) - 4 :]
            await asyncio.sleep(0)
    if end.found != 1 or not tail.rstrip(b" \t\r\n").endswith(end.word):
        raise BadUpload("bad_multipart", "The form is not whole: it must end with its last delimiter.")


class _Sought:
    """Counts a word in bytes that come in pieces. A body begins as a line does."""

    def __init__(self, word: bytes) -> None:
        self.word, self.found, self._before = word, 0, b"\r\n"

    def count(self, piece: bytes) -> int:
        seen = self._before + piece
        self.found += seen.count(self.word)
        self._before = seen[-len(self.word) + 1 :]
        return self.found
