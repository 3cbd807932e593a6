"""The Huffman code of SCP-ECG (EN 1064 / ISO 11073-91064, section 2 and annex C) to numbers, within a budget.

A code is a prefix, perhaps with bits of a number behind it; the file has tables of its own or names the default one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.errors import UnreadableFile

MAX_HUFFMAN_BYTES = 1 << 20
"""Of all leads of a file: 16 at the most that SCP-ECG has room for. They take a second to decode."""
_MAX_CODES = 4096
_MAX_PREFIX_BITS = 32
_MAX_NUMBER_BITS = 32
_DEFAULT = 19999


@dataclass(frozen=True)
class Code:
    """What a prefix stands for: `base` plus a signed number of so many bits behind it, or a switch to another table."""

    base: int
    number_bits: int = 0
    switches: bool = False


Table = Mapping[int, Code]
"""By the prefix with a 1 before its first bit, so that 01 and 001 differ."""


def default_table() -> Table:
    """0 is `0`; 1 to 8 are as many ones, a zero and the sign; beyond come 8 or 16 bits behind ten."""
    table = {0b10: Code(0)}
    for size in range(1, 9):
        ones = (2 << size) - 1
        table |= {ones << 2: Code(size), ones << 2 | 1: Code(-size)}
    return table | {0b1_11111_11110: Code(0, 8), 0b1_11111_11111: Code(0, 16)}


def read_tables(section: bytes) -> Sequence[Table]:
    """The tables of section 2, without its header. Raises UnreadableFile."""
    try:
        (count,) = struct.unpack_from("<H", section)
        if count == _DEFAULT:
            return [default_table()]
        tables, place, codes = [], 2, 0
        for _ in range(count):
            (size,) = struct.unpack_from("<H", section, place)
            codes += size
            if codes > _MAX_CODES:
                raise UnreadableFile("unreadable_file", "The SCP-ECG file has impossibly many Huffman codes.")
            entries = struct.iter_unpack("<BBBhI", section[place + 2 : place + 2 + 9 * size])
            tables.append(dict(_code(*entry) for entry in entries))
            place += 2 + 9 * size
    except struct.error as error:
        raise _damaged() from error
    if place > len(section) or not tables or not all(tables):
        raise _damaged()
    return tables


def decode(data: bytes, count: int, tables: Sequence[Table]) -> NDArray[np.int64]:
    """The first `count` numbers of one lead's bytes. Raises UnreadableFile where they are fewer or no code at all.

    Every turn of the loop takes a bit, so that MAX_HUFFMAN_BYTES, which the caller counts, bounds the work.
    """
    if count > 8 * len(data):
        raise _ends_early()
    bits = bin(int.from_bytes(b"\1" + data, "big"))[3:]
    numbers: list[int] = []
    table, longest, key, place = tables[0], _longest(tables[0]), 1, 0
    while len(numbers) < count:
        if place == len(bits):
            raise _ends_early()
        key = key << 1 | (bits[place] == "1")
        place += 1
        code = table.get(key)
        if code is None:
            if key >= longest:
                raise _damaged()
            continue
        key = 1
        if code.switches:
            if not 1 <= code.base <= len(tables):
                raise _damaged()
            table, longest = tables[code.base - 1], _longest(tables[code.base - 1])
            continue
        number = code.base
        if code.number_bits:
            text = bits[place : place + code.number_bits]
            place += code.number_bits
            if place > len(bits):
                raise _ends_early()
            number += int(text, 2) - (int(text[0]) << code.number_bits)
        numbers.append(number)
    return np.array(numbers, np.int64)


def _code(prefix_bits: int, all_bits: int, mode: int, base: int, prefix: int) -> tuple[int, Code]:
    """An entry of a table; files have the prefix with its first bit as the lowest."""
    number_bits = all_bits - prefix_bits
    if not 1 <= prefix_bits <= _MAX_PREFIX_BITS or not 0 <= number_bits <= _MAX_NUMBER_BITS or mode not in (0, 1):
        raise _damaged()
    first_bit_first = f"{prefix:032b}"[::-1][:prefix_bits]
    return int("1" + first_bit_first, 2), Code(base, number_bits if mode else 0, switches=not mode)


def _longest(table: Table) -> int:
    """The least key that has as many bits as the longest prefix of a table."""
    return 1 << (max(table).bit_length() - 1)


def _damaged() -> UnreadableFile:
    return UnreadableFile("unreadable_file", "The Huffman code of the SCP-ECG file is damaged.")


def _ends_early() -> UnreadableFile:
    return UnreadableFile("truncated", "The SCP-ECG file has fewer samples than it states.")
