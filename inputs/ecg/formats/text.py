"""Text of unknown origin to lines and numbers, within limits: nothing is split before it has been counted.

A line is what `str.splitlines` makes one. Text is decoded a block at a time, because a file of newlines that is a few
kilobytes in a zip is a gigabyte as a list of strings.
"""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterable, Iterator

from inputs.errors import UnreadableFile
from inputs.limits import MAX_SEARCHED_BYTES, MAX_TABLE_LINE_LETTERS, MAX_TABLE_LINES

_BLOCK_BYTES = 32 * 1024
_LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""All that `str.splitlines` splits at, "\\r\\n" besides."""


def encoding_of(data: bytes) -> str:
    """UTF-8 unless a byte order mark says UTF-16."""
    return "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def text_start(data: bytes, size: int = 4096) -> str:
    """The first `size` bytes as text, whatever they hold: for recognisers."""
    return data[:size].decode(encoding_of(data), "replace")


def first_lines(data: bytes, count: int) -> list[str]:
    """The first that are neither blank nor comments, of MAX_SEARCHED_BYTES of whatever it is: for recognisers."""
    return list(itertools.islice(told(_lines(_blocks(data[:MAX_SEARCHED_BYTES], "replace"))), count))


def told(lines: Iterable[str]) -> Iterator[str]:
    """The lines that are neither blank nor comments."""
    return (line for line in lines if (text := line.lstrip()) and text[0] != "#")


def written_plainly(text: str) -> bool:
    """Whether no number in a text is one in Python's eyes alone: as `1_000`, or in another script's digits."""
    return text.isascii() and "_" not in text


def number(text: str) -> float:
    """A number as files write them, with a decimal point. Raises ValueError."""
    if not written_plainly(text := text.strip()):
        raise ValueError("no number")
    return float(text)


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
    return _lines(_blocks(data))


def _lines(blocks: Iterable[str]) -> Iterator[str]:
    rest = ""
    for block in blocks:
        text = rest + block
        lines = text.splitlines()
        rest = ""
        if text[-1:] == "\r" or text[-1:] not in _LINE_ENDS:  # the next block may go on with it, or with "\n"
            rest = lines.pop() + ("\r" if text[-1] == "\r" else "")
        yield from lines
    yield from rest.splitlines()


def _blocks(data: bytes, errors: str = "strict") -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding_of(data))(errors)
    try:
        for start in range(0, len(data), _BLOCK_BYTES):
            if block := decoder.decode(data[start : start + _BLOCK_BYTES]):
                yield block
        if block := decoder.decode(b"", final=True):
            yield block
    except UnicodeDecodeError as error:
        raise UnreadableFile("unreadable_file", "The file is not text in UTF-8 or UTF-16.") from error
