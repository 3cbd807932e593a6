"""The pieces of a multipart body on their way to its parser: small ones, and only of a form that is one whole form.

The parser goes on letter by letter wherever a delimiter begins that is none or has spaces behind it, ignores what
follows the last delimiter, and does not ask for one; whoever sends such a form would hold up everybody, or be answered
for half of what it sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from io import BytesIO

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.http.problems import BadUpload

PIECE_BYTES = 64 * 2**10
MAX_PART_HEADER_BYTES = 2048
_ROUND_ABOUT, _PADDED = 256, b":" + 17 * b" "
"""What colons and line ends add to the former as it is sent; and spaces before a value, of which one is usual."""
MAX_DISPOSITION_WORDS = 16
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


def content_of(file: UploadFile) -> bytes:
    """All of a file of `WholeFormParser`'s, which lies in memory: its own buffer, where a read would copy it.

    Copying 32 MiB takes 50 ms, and nobody else has a turn meanwhile.
    """
    buffer = file.file._file  # type: ignore[attr-defined]  # of a SpooledTemporaryFile, which gives it by no other name
    assert isinstance(buffer, BytesIO)
    return buffer.getvalue()


class WholeFormParser(MultiPartParser):
    """Keeps files in memory, and is not content with a form whose end or one of whose parts it has not seen.

    A delimiter may stand where it is none, such as among the header lines of a part, and right behind a header, where
    RFC 2046 has it and the parser takes it, and the whole next part, for the content of this one.
    """

    spool_max_size = 0  # never to a temporary file: nothing of a patient is written
    _ended = False
    _parts = 0
    _header_bytes = 0

    def on_part_begin(self) -> None:
        super().on_part_begin()
        self._parts += 1
        self._header_bytes = 0

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        super().on_header_field(data, start, end)

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        super().on_header_value(data, start, end)

    def on_headers_finished(self) -> None:
        # What takes a disposition apart takes time that grows with the square of its semicolons.
        if (self._current_part.content_disposition or b"").count(b";") > MAX_DISPOSITION_WORDS:
            raise MultiPartException("A part's disposition has too many words.")
        super().on_headers_finished()

    def _count(self, n_bytes: int) -> None:
        self._header_bytes += n_bytes
        if self._header_bytes > MAX_PART_HEADER_BYTES:
            raise MultiPartException("A part's header is too large.")

    def on_end(self) -> None:
        self._ended = True

    async def parse_all(self, delimiter: Sought) -> FormData:
        """As `parse`, of a body whose delimiters were counted as it came. Raises BadUpload, too."""
        form = await self.parse()
        if not self._ended:
            await form.close()
            raise MultiPartException("The form's last part has no end.")
        if self._parts != delimiter.found - 1:
            await form.close()
            raise BadUpload(
                "bad_multipart",
                "A part of the form has no content, not even an empty line.",
                hint="End the header of each part with an empty line, and its content with the end of a line.",
            )
        return form


def delimiter_of(boundary: str) -> Sought:
    """What stands before each part and behind the last one."""
    return Sought(b"\r\n--" + boundary.encode())


async def checked_pieces(body: AsyncIterator[bytes], delimiter: Sought, most_parts: int) -> AsyncGenerator[bytes, None]:
    """The body, piece by piece. Raises BadUpload for too many parts, and for a form that has no end or something after.

    Others have their turn between two pieces.
    """
    end = Sought(delimiter.word + b"--")
    lines, headers = _DelimiterLines(delimiter.word), _PartHeaders(delimiter.word)
    begin, tail = b"", b"\r\n"
    async for chunk in body:
        for start in range(0, len(chunk), PIECE_BYTES):
            piece = chunk[start : start + PIECE_BYTES]
            if delimiter.count(piece) > most_parts + 1:
                raise BadUpload("bad_multipart", f"The form has more than {most_parts} parts.")
            if lines.one_goes_on(piece):
                raise BadUpload("bad_multipart", "The form's boundary stands where it is none: its line goes on.")
            if headers.are_too_much(piece):
                raise BadUpload("bad_multipart", "The header of a part of the form is too large, or padded.")
            begin = (begin + piece)[: len(delimiter.word)]
            yield piece
            end.count(piece)
            tail = (tail + piece)[-len(end.word) - 4 :]
            await asyncio.sleep(0)
    if not begin.startswith((delimiter.word, delimiter.word[2:])):
        # The parser passes over other beginnings, and then sees a delimiter that was not counted.
        raise BadUpload("bad_multipart", "The form is not whole: it must begin with its boundary.")
    if end.found != 1 or not tail.rstrip(b" \t\r\n").endswith(end.word):
        raise BadUpload("bad_multipart", "The form is not whole: it must end with its last delimiter.")


class _DelimiterLines:
    """Looks at the two letters behind each delimiter, in bytes that come in pieces: they end its line, or the form."""

    def __init__(self, delimiter: bytes) -> None:
        self._going_on = re.compile(re.escape(delimiter) + rb"(?!\r\n|--|[\r-]?\Z)")
        self._letters, self._before = len(delimiter) + 1, b"\r\n"

    def one_goes_on(self, piece: bytes) -> bool:
        seen = self._before + piece
        self._before = seen[-self._letters :]
        return self._going_on.search(seen) is not None


class _PartHeaders:
    """Sees each part's header as it was sent, spaces and all, in bytes that come in pieces.

    The parser takes the spaces before a value one by one, and tells nobody of them.
    """

    def __init__(self, delimiter: bytes) -> None:
        self._line, self._seen, self._inside = delimiter + b"\r\n", b"\r\n", False

    def are_too_much(self, piece: bytes) -> bool:
        seen, at = self._seen + piece, 0
        while True:
            if not self._inside:
                at = seen.find(self._line, at)
                if at < 0:
                    self._seen = seen[-len(self._line) + 1 :]
                    return False
                at += len(self._line) - 2  # with the line's end: a header may be empty
                self._inside = True
            end = seen.find(b"\r\n\r\n", at)
            header = seen[at : end if end >= 0 else len(seen)]
            if len(header) > MAX_PART_HEADER_BYTES + _ROUND_ABOUT or _PADDED in header:
                return True
            if end < 0:
                self._seen = seen[at:]
                return False
            at, self._inside = end + 2, False


class Sought:
    """Counts a word in bytes that come in pieces. A body begins as a line does."""

    def __init__(self, word: bytes) -> None:
        self.word, self.found, self._before = word, 0, b"\r\n"

    def count(self, piece: bytes) -> int:
        seen = self._before + piece
        self.found += seen.count(self.word)
        self._before = seen[-len(self.word) + 1 :]
        return self.found
