"""Text of unknown origin to lines, within limits: nothing is split before it has been counted.

A line is what `str.splitlines` makes one. Text is decoded a block at a time, because a file of newlines that is a few
kilobytes in a zip is a gigabyte as a list of strings.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from inputs.errors import UnreadableFile
from inputs.limits import MAX_TABLE_LINE_LETTERS, MAX_TABLE_LINES

_BLOCK_BYTES = 32 * 1024
_LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""All that `str.splitlines` splits at, "\\r\\n" besides."""


def encoding_of(data: bytes) -> str:
    """UTF-8 unless a byte order mark says UTF-16."""
    return "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def text_start(data: bytes, size: int = 4096) -> str:
    """The first `size` bytes as text, whatever they hold: for recognisers."""
    return data[:size].decode(encoding_of(data), "replace")


def check_lines(data: bytes) -> None:
    """Refuse too many lines, lines that are too long and what is no text, at the price of counting."""
    lines = letters = 0
    for block in _blocks(data):
        ends = sum(map(block.count, _LINE_ENDS)) - block.count("\r\n")
        lines += ends
        if lines > MAX_TABLE_LINES:
            raise UnreadableFile("too_long", f"The table has more than {MAX_TABLE_LINES} lines.")
        letters = 0 if ends else letters + len(block)
        if letters > MAX_TABLE_LINE_LETTERS:
            raise UnreadableFile("unreadable_file", "A line of the table is impossibly long.")


def lines_of(data: bytes) -> Iterator[str]:
    """The lines of what `check_lines` let pass, a few at a time. Raises UnreadableFile for what is no text."""
    rest = ""
    for block in _blocks(data):
        text = rest + block
        lines = text.splitlines()
        rest = ""
        if text[-1:] == "\r" or text[-1:] not in _LINE_ENDS:  # the next block may go on with it, or with "\n"
            rest = lines.pop() + ("\r" if text[-1] == "\r" else "")
        yield from lines
    yield from rest.splitlines()


def _blocks(data: bytes) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding_of(data))()
    try:
        for start in range(0, len(data), _BLOCK_BYTES):
            if block := decoder.decode(data[start : start + _BLOCK_BYTES]):
                yield block
        if block := decoder.decode(b"", final=True):
            yield block
    except UnicodeDecodeError as error:
        raise UnreadableFile("unreadable_file", "The file is not text in UTF-8 or UTF-16.") from error
