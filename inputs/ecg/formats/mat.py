"""MATLAB files: level 5 (version 5 to 7), and level 4 as far as it is no half of a PhysioNet record.

Source: "MAT-File Format", The MathWorks: level 5 is a header of 128 bytes and tagged elements, each one variable, which
may be deflated; level 4 is a header of 20 bytes, a name and the values for each. Read here, so that what is inflated is
counted while it comes out and objects, function handles and what else runs code is never made. Version 7.3 is HDF5.

A file does not say how many variables it has: one that is cut between two of them reads as a file without the later
ones. Cut anywhere else it is refused.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.arrays import MOST_OF_AN_AXIS, recording_from
from inputs.ecg.formats.base import EcgFormat, of_one_file
from inputs.ecg.formats.labchart_mat import channels_of_labchart
from inputs.ecg.formats.lead_lists import MOST_LETTERS
from inputs.ecg.formats.stated import MOST_FACTS, Contents, Fact, Numbers, Path, tells
from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS, MAX_UNZIPPED_BYTES
from inputs.records import EcgRecording, ReadHints

_HEADER_BYTES = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 16: "utf-8", 17: "utf-16", 18: "utf-32", 4: "utf-16"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Classes of arrays, whose values may be stored in a smaller type. Not read: 3 (object), 5 (sparse), 16 (code)."""
_OPAQUE = 17
"""What MATLAB writes for its tables, strings and other objects: a name, and no dimensions."""
_COMPLEX, _LOGICAL = 0x800, 0x200
_MOST_ARRAYS = 20_000
_MOST_DEPTH = 8
_MOST_DIMENSIONS = 8

_LEVEL_4_TYPES = ("f8", "f4", "i4", "i2", "u2", "u1")
_LEVEL_4_NAME = re.compile(rb"[A-Za-z]\w{0,62}\0")


def looks_like_mat(data: bytes) -> bool:
    """A level 5 header, by its words or its version and byte order, or a first variable of level 4."""
    if data.startswith(b"MATLAB 7.3"):
        return False
    if data.startswith(b"MATLAB 5.0"):
        return True
    return (data[124:128] in (b"\0\1IM", b"\1\0MI") and b"\0" not in data[:4]) or _is_level_4(data)


def read_mat(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read the one ECG among the variables and fields of a file, found by name (`ecg`, `data`, `signal`) or shape.

    `hints` must give rate and unit unless variables such as `fs` and `units` do; `hints.leads` the names of the leads
    in any other order than the usual unless one such as `leads` does. Raises UnreadableFile.
    """
    if _is_level_4(data):
        arrays, facts = _level_4(data)
        level = "MATLAB 4"
    else:
        parser = _Level5(data)
        parser.read()
        arrays, facts = parser.arrays, parser.facts
        level = "MATLAB"
        if not arrays and parser.left_out:
            raise UnreadableFile(
                "unsupported_format",
                "The MATLAB file holds a table, an object or a sparse matrix instead of an array of numbers.",
                hint="Save the samples as a matrix of (leads, samples).",
            )
    if any(array.path == ("val",) and array.dtype.kind in "iu" for array in arrays):
        raise UnreadableFile(
            "file_missing",
            f"This is a {level} file of a PhysioNet record: it holds counts, and its .hea says what they mean.",
            hint="Send its .hea with it.",
        )
    arrays, facts = channels_of_labchart(arrays, facts) or (arrays, facts)
    return recording_from(Contents("MATLAB", "mat", arrays, facts), hints)


def _damaged(what: str = "is damaged or cut off") -> UnreadableFile:
    return UnreadableFile("unreadable_file", f"The MATLAB file {what}.")


@dataclass
class _Budget:
    bytes_left: int = MAX_UNZIPPED_BYTES
    arrays_left: int = _MOST_ARRAYS

    def inflated(self, data: memoryview) -> memoryview:
        inflater = zlib.decompressobj()
        try:
            inflated = inflater.decompress(data, self.bytes_left + 1)
        except zlib.error as error:
            raise _damaged() from error
        self.bytes_left -= len(inflated)
        if self.bytes_left < 0:
            raise UnreadableFile(
                "too_long",
                f"The MATLAB file unpacks to more than {MAX_UNZIPPED_BYTES >> 20} MiB.",
                hint="Save the one ECG alone.",
            )
        if not inflater.eof:
            raise _damaged()
        return memoryview(inflated)

    def count_array(self) -> None:
        self.arrays_left -= 1
        if self.arrays_left < 0:
            raise UnreadableFile(
                "too_long", f"The MATLAB file has more than {_MOST_ARRAYS} arrays.", hint="Save the one ECG alone."
            )


@dataclass
class _Level5:
    """Walks the elements of a file and gathers its arrays and facts. Nothing is copied but what is inflated."""

    data: bytes
    order: str = "<"
    arrays: list[Numbers] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    left_out: int = 0
    budget: _Budget = field(default_factory=_Budget)

    def read(self) -> None:
        order = _ORDERS.get(self.data[126:128])
        if order is None or len(self.data) < _HEADER_BYTES:
            raise _damaged("has a damaged or cut header")
        self.order = order
        for kind, content in self._elements(memoryview(self.data)[_HEADER_BYTES:]):
            if kind == _COMPRESSED:
                for inner, matrix in self._elements(self.budget.inflated(content)):
                    self._variable(inner, matrix)
            else:
                self._variable(kind, content)

    def _variable(self, kind: int, content: memoryview) -> None:
        if kind != _MATRIX:
            raise _damaged()
        self._matrix(content, (), depth=0)

    def _elements(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Type and bytes of each element in turn. A small one holds its bytes within its tag."""
        at = 0
        while at < len(data):
            if at + 8 > len(data):
                raise _damaged()
            (word,) = np.frombuffer(data, self.order + "u4", 1, at)
            if word >> 16:
                kind, size, start = int(word & 0xFFFF), int(word >> 16), at + 4
                if size > 4:
                    raise _damaged()
                after = at + 8
            else:
                kind, start = int(word), at + 8
                size = int(np.frombuffer(data, self.order + "u4", 1, at + 4)[0])
                after = start + (size if kind == _COMPRESSED else size + -size % 8)
            if start + size > len(data):
                raise _damaged("is cut off")
            yield kind, data[start : start + size]
            at = after

    def _matrix(self, content: memoryview, path: Path, depth: int) -> None:
        """One array: its flags, its dimensions, its name (used unless it stands in a struct), its values."""
        self.budget.count_array()
        if not len(content):  # an empty cell or field
            return
        if depth > _MOST_DEPTH:
            raise _damaged("is nested too deep")
        parts = self._elements(content)
        flags = int(self._integers(next(parts, None), "u4", (6,))[0])
        kind = flags & 0xFF
        if kind == _OPAQUE:
            self.left_out += 1
            own = (self._text(next(parts, None)),) if depth == 0 else path
            self.facts.append(Fact(own, ("",)))  # texts perhaps, which are not read
            return
        dims = tuple(map(int, self._integers(next(parts, None), "i4", (5,))))
        if not 1 < len(dims) <= _MOST_DIMENSIONS or not all(0 <= size < MOST_OF_AN_AXIS for size in dims):
            raise _damaged()
        own_name = self._text(next(parts, None))
        if depth == 0:
            if not own_name:
                return  # what MATLAB keeps of objects
            path = (own_name,)
        if kind == _STRUCT:
            self._struct(parts, path, dims, depth)
        elif kind == _CELL:
            self._cell(parts, path, dims, depth)
        elif kind == _CHAR:
            text = self._text(next(parts, None))
            if text.strip("\0 ") and (tells(path[-1]) or len(text) <= MOST_LETTERS):
                self.facts.append(Fact(path, _rows_of(text, dims)))
        elif kind in _NUMBERS and not flags & (_COMPLEX | _LOGICAL):
            self._numbers(next(parts, None), path, dims, _NUMBERS[kind])
        else:
            self._not_read(path)

    def _not_read(self, path: Path) -> None:
        self.left_out += 1
        if path and tells(path[-1]):
            self.facts.append(Fact(path, ()))

    def _struct(self, parts: Iterator[tuple[int, memoryview]], path: Path, dims: tuple[int, ...], depth: int) -> None:
        (width,) = self._integers(next(parts, None), "i4", (5,))[:1]
        letters = next(parts, None)
        if letters is None or not 0 < width <= 64:
            raise _damaged()
        names = [bytes(letters[1][at : at + width]) for at in range(0, len(letters[1]), int(width))]
        fields = [name.split(b"\0")[0].decode("latin-1") for name in names]
        elements = math.prod(dims)
        if elements * len(fields) > _MOST_ARRAYS:
            raise _damaged("has too many fields")
        for element in range(elements):
            place = path if elements == 1 else (*path, str(element))
            for name in fields:
                part = next(parts, None)
                if part is None or part[0] != _MATRIX:
                    raise _damaged()
                self._matrix(part[1], (*place, name), depth + 1)

    def _cell(self, parts: Iterator[tuple[int, memoryview]], path: Path, dims: tuple[int, ...], depth: int) -> None:
        """Texts in a cell array may be the names of leads, or units; arrays and structs stand there by number."""
        told, elements = tells(path[-1]), math.prod(dims)
        if elements > (MOST_FACTS if told else MAX_CHANNELS):
            return
        values: list[str | float] = []
        texts = 0
        for element in range(elements):
            part = next(parts, None)
            if part is None or part[0] != _MATRIX:
                raise _damaged()
            inner = _Level5(self.data, self.order, budget=self.budget)
            inner._matrix(part[1], path, depth + 1)
            own = [fact.values for fact in inner.facts if fact.path == path]
            values += [value for some in own for value in some]
            texts += sum(len(some) == 1 and isinstance(some[0], str) for some in own)
            within = (*path, str(element))
            self.facts += [
                replace(fact, path=within + fact.path[len(path) :]) for fact in inner.facts if fact.path != path
            ]
            self.arrays += [replace(each, path=within + each.path[len(path) :]) for each in inner.arrays if not told]
        if told or texts == elements:
            self.facts.append(Fact(path, tuple(values)))

    def _numbers(self, part: tuple[int, memoryview] | None, path: Path, dims: tuple[int, ...], dtype: str) -> None:
        if part is None or part[0] not in _TYPES:
            raise _damaged()
        stored = np.dtype(self.order + _TYPES[part[0]])
        if len(part[1]) != math.prod(dims) * stored.itemsize:
            raise _damaged("has an array of another size than it states")
        values = np.frombuffer(part[1], stored).reshape(dims, order="F")
        gather(values, path, np.dtype(dtype), self.arrays, self.facts)

    def _integers(self, part: tuple[int, memoryview] | None, dtype: str, kinds: tuple[int, ...]) -> NDArray[Any]:
        size = np.dtype(dtype).itemsize
        if part is None or part[0] not in kinds or not len(part[1]) or len(part[1]) % size:
            raise _damaged()
        return np.frombuffer(part[1], self.order + dtype)

    def _text(self, part: tuple[int, memoryview] | None) -> str:
        if part is None or part[0] not in _TEXTS:
            raise _damaged()
        encoding = _TEXTS[part[0]]
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self.order == "<" else "-be"
        return bytes(part[1][: 4 * 64 * MOST_FACTS]).decode(encoding, "replace")


def gather(values: NDArray[Any], path: Path, dtype: np.dtype[Any], arrays: list[Numbers], facts: list[Fact]) -> None:
    """An array among those that may be an ECG, or its values as a fact where they are few and its name tells."""
    if tells(path[-1]) and 0 < values.size <= MOST_FACTS:
        facts.append(Fact(path, tuple(float(value) for value in values.ravel())))
    arrays.append(Numbers(path, values.shape, dtype, _loading(values, dtype)))


def _loading(values: NDArray[Any], dtype: np.dtype[Any]) -> Callable[[int | None], NDArray[Any]]:
    return lambda exam: (values if exam is None else values[exam]).astype(dtype, copy=False)


def _rows_of(text: str, dims: tuple[int, ...]) -> tuple[str, ...]:
    """A matrix of letters, which stands column by column: a text for each row."""
    rows = dims[0]
    if not 0 < rows <= MOST_FACTS:
        return ()
    return tuple(text[row::rows].replace("\0", " ").strip() for row in range(rows))


def _is_level_4(data: bytes) -> bool:
    return _level_4_variable(data, 0) is not None


def _level_4_variable(data: bytes, at: int) -> tuple[str, NDArray[Any] | None, int] | None:
    """Name, values and end of the variable that begins at a place; None where there is none. Texts have no values."""
    if len(data) < at + 21:
        return None
    for order, base in (("<", 0), (">", 1000)):
        kind, rows, columns, imaginary, letters = map(int, np.frombuffer(data, order + "i4", 5, at))
        kind -= base
        if not (0 <= kind < 60 and kind // 10 < len(_LEVEL_4_TYPES) and kind % 10 < 3 and imaginary in (0, 1)):
            continue
        name = data[at + 20 : at + 20 + max(letters, 0)]
        dtype = np.dtype(order + _LEVEL_4_TYPES[kind // 10])
        size = rows * columns
        start = at + 20 + letters
        if rows < 0 or columns < 0 or letters > 64 or not _LEVEL_4_NAME.fullmatch(name):
            continue
        end = start + size * dtype.itemsize * (1 + imaginary)
        plain = kind % 10 == 0 and not imaginary and end <= len(data)
        values = np.frombuffer(data, dtype, size, start).reshape((rows, columns), order="F") if plain else None
        return name[:-1].decode("ascii", "replace"), values, end
    return None


def _level_4(data: bytes) -> tuple[list[Numbers], list[Fact]]:
    arrays: list[Numbers] = []
    facts: list[Fact] = []
    at = 0
    while at < len(data):
        found = _level_4_variable(data, at)
        if found is None or found[2] > len(data) or len(arrays) > _MOST_ARRAYS:
            raise _damaged()
        name, values, at = found
        if values is not None:
            gather(values, (name,), values.dtype.newbyteorder("="), arrays, facts)
    return arrays, facts


MAT = EcgFormat(
    "mat",
    looks_like_mat,
    of_one_file(read_mat),
    states_itself=False,
    confirms=lambda data: not _is_level_4(data),
    chooses=frozenset({"exam"}),
)
