"""Text of unknown origin to lines and numbers, within limits: nothing is split before it has been counted.

A line is what `str.splitlines` makes one. Text is decoded a block at a time, because a file of newlines that is a few
kilobytes in a zip is a gigabyte as a list of strings.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterable, Iterator

from inputs.errors import UnreadableFile
from inputs.limits import MAX_SEARCHED_BYTES, MAX_TABLE_LINE_LETTERS, MAX_TABLE_LINES

_BLOCK_BYTES = 32 * 1024
_LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""All that `str.splitlines` splits at, "\\r\\n" besides."""
_NO_LETTERS = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
"""Bytes that no text in Latin-1 has."""
_COMMENTS = ("#", "%")
_MOST_COMMENTS = 200
_NUMERIC = re.compile(
    r"[-+]?(?:[0-9]{1,20}(?:[.,][0-9]{0,20})?|[.,][0-9]{1,20})(?:e[-+]?[0-9]{1,3})?|nan", re.IGNORECASE
)


def encoding_of(data: bytes) -> str:
    """UTF-8 unless a byte order mark says UTF-16 or the start is text in Latin-1, whose µ is none in UTF-8."""
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    start = data[:MAX_SEARCHED_BYTES]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        if _NO_LETTERS.search(start) is None:
            return "latin-1"
    return "utf-8-sig"


def text_start(data: bytes, size: int = 4096) -> str:
    """The first `size` bytes as text, whatever they hold: for recognisers."""
    return data[:size].decode(encoding_of(data), "replace")


def first_lines(data: bytes, count: int) -> list[str]:
    """The first that are neither blank nor comments, of MAX_SEARCHED_BYTES of whatever it is: for recognisers."""
    return list(itertools.islice(told(_lines(_blocks(data[:MAX_SEARCHED_BYTES], "replace"))), count))


def told(lines: Iterable[str]) -> Iterator[str]:
    """The lines that are neither blank nor comments."""
    return (line for line in lines if (text := line.lstrip()) and text[0] not in _COMMENTS)


def first_comments(data: bytes) -> list[str]:
    """The comments of MAX_SEARCHED_BYTES of a text, without their marks: the first, for a text may hold thousands."""
    lines = _lines(_blocks(data[:MAX_SEARCHED_BYTES], "replace"))
    comments = (text.lstrip("#% \t") for line in lines if (text := line.lstrip())[:1] in _COMMENTS)
    return list(itertools.islice(comments, _MOST_COMMENTS))


def rows_of_numbers(data: bytes) -> bool:
    """Whether the first two lines are numbers alone, as many in the one as in the other, with blanks between them.

    Or names with tabs between them, `Lead 1` among them, above as many numbers.
    """
    lines = first_lines(data, 2)
    rows = [line.split() for line in lines]
    if len(rows) != 2:
        return False
    if len(rows[0]) == len(rows[1]) > 1 and all(is_numeric(cell) for row in rows for cell in row):
        return True
    names, numbers = (line.rstrip().split("\t") for line in lines)
    return len(names) == len(numbers) > 1 and all(map(is_numeric, numbers))


def is_numeric(cell: str) -> bool:
    """Whether a cell is a number in digits, with a decimal point or comma."""
    return _NUMERIC.fullmatch(cell.strip()) is not None


def written_plainly(text: str) -> bool:
    """Whether no number in a text is one in Python's eyes alone: as `1_000`, or in another script's digits."""
    return text.isascii() and "_" not in text


def number(text: str) -> float:
    """A number as files write them, with a decimal point. Raises ValueError."""
    if not written_plainly(text := text.strip()):
        raise ValueError("no number")
    return float(text)


def check_lines(data: bytes, most_letters: int = MAX_TABLE_LINE_LETTERS) -> None:
    """Refuse too many lines, lines that are too long and what is no text, at the price of counting."""
    lines = letters = 0
    for block in _blocks(data):
        ends = sum(map(block.count, _LINE_ENDS)) - block.count("\r\n")
        lines += ends
        if lines > MAX_TABLE_LINES:
            raise UnreadableFile("too_long", f"The table has more than {MAX_TABLE_LINES} lines.")
        letters = 0 if ends else letters + len(block)
        if letters > most_letters:
            raise UnreadableFile("unreadable_file", "A line of the table is impossibly long.")


def lines_of(data: bytes) -> Iterator[str]:
    """The lines of what `check_lines` let pass, a few at a time. Raises UnreadableFile for what is no text."""
    return _lines(_blocks(data))


def _lines(blocks: Iterable[str]) -> Iterator[str]:
    begun: list[str] = []  # a line that goes on, block by block: what is long is joined once
    for block in blocks:
        begun.append(block)
        if not (len(begun) > 1 and begun[-2][-1:] == "\r") and not any(end in block for end in _LINE_ENDS):
            continue
        text = "".join(begun)
        lines = text.splitlines()
        begun = []
        if text[-1:] == "\r" or text[-1:] not in _LINE_ENDS:  # the next block may go on with it, or with "\n"
            begun = [lines.pop() + ("\r" if text[-1] == "\r" else "")]
        yield from lines
    yield from "".join(begun).splitlines()


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
