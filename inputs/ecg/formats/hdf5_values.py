"""The values of an HDF5 dataset, within limits: chunks deflated with gzip are inflated here, because the library gives
what comes out all the room that it asks for.

Source: "HDF5 File Format Specification", The HDF Group, filters 1 (deflate), 2 (shuffle) and 3 (Fletcher's checksum).
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inputs.errors import UnreadableFile
from inputs.limits import MAX_UNZIPPED_BYTES, MAX_VALUES

_MOST_CHUNKS = 65_536
_MOST_LZF_BYTES = 2**20
"""Of a chunk as it is stored. LZF makes at most ninety times as much of it."""
_REFERENCE_TO_TEXT_BYTES = 16
"""In a file: the length of a text of any length, and where it stands. In memory it is a pointer."""
_DEFLATE, _SHUFFLE, _FLETCHER, _LZF = 1, 2, 3, 32000
_NOT_READ = {
    4: "szip", 5: "n-bit", 6: "scale-offset", 307: "bzip2", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle",
    32013: "ZFP", 32015: "Zstandard", 32026: "Blosc2",
}  # fmt: skip
_CHECKSUM_BYTES = 4
_WORDS_AT_A_TIME = 2**18
"""So few that sums of products of two words do not overflow, and hardly any room is taken."""


def lies_elsewhere(h5py: ModuleType, dataset: Any) -> bool:
    """Whether a dataset names other files that hold its values. To be asked before its shape, which would open them."""
    return bool(dataset.id.get_create_plist().get_layout() == h5py.h5d.VIRTUAL or dataset.external)


def damaged() -> UnreadableFile:
    return UnreadableFile("unreadable_file", "The HDF5 file is damaged or cut off.")


@dataclass(frozen=True)
class Loading:
    """Reads the values of a dataset, or those of one exam in it, within limits.

    What lies in other files is never opened, however its dataset was come by: whoever sends a file would read the
    machine's with it. reverse: whether its axes are those of MATLAB. missing: what stands where a sample is missing,
    NaN in what is read.
    """

    h5py: ModuleType
    dataset: Any
    file_size: int
    reverse: bool
    missing: float | None = None

    def __post_init__(self) -> None:
        if lies_elsewhere(self.h5py, self.dataset):
            raise damaged()

    def load(self, exam: int | None) -> NDArray[Any]:
        """Raises UnreadableFile for more values than an ECG has, and for filters that are not read."""
        shape = self.dataset.shape
        region = [slice(0, size) for size in shape]
        if exam is not None:
            region[-1 if self.reverse else 0] = slice(exam, exam + 1)
        if math.prod(part.stop - part.start for part in region) > MAX_VALUES:
            raise UnreadableFile(
                "too_long", f"The array has more than {MAX_VALUES} values.", hint="Cut a stretch of 10 s out of it."
            )
        values = self._read(region)
        if self.missing is not None and np.any(gone := values == self.missing):
            values = np.where(gone, np.nan, values)
        values = values.T if self.reverse else values
        return values if exam is None else values[0]

    def all_by_library(self) -> Any:
        """All values, of whatever type, read by h5py after it is known that no chunk is a bomb."""
        region = [slice(0, size) for size in self.dataset.shape]
        if self.dataset.size * self.dataset.dtype.itemsize > 4 * MAX_UNZIPPED_BYTES:
            raise damaged()  # a text may claim to be as long as it likes
        if self.dataset.chunks is not None:
            self._check_chunks(region)
        return self.dataset[()]

    def _read(self, region: list[slice]) -> NDArray[Any]:
        dataset = self.dataset
        if not dataset.id.get_type().equal(self.h5py.h5t.py_create(dataset.dtype)):
            raise UnreadableFile("unsupported_format", "The HDF5 file holds numbers of an unusual width.")
        if dataset.chunks is None:
            self._check_stored(dataset.id.get_offset(), dataset.id.get_storage_size())
            return np.asarray(dataset[tuple(region)])
        filters = self._filters()
        if _LZF in filters:
            self._check_chunks(region)
            return np.asarray(dataset[tuple(region)])
        values = np.full([part.stop - part.start for part in region], dataset.fillvalue, dataset.dtype)
        for _, start in self._chunks(region):
            chunk = np.frombuffer(self._chunk(start, filters), dataset.dtype).reshape(dataset.chunks)
            _place(values, region, start, chunk)
        return values

    def _check_chunks(self, region: list[slice]) -> None:
        """Refuse chunks that would unpack to more than they say."""
        filters = self._filters()
        for chunk, start in self._chunks(region):
            if _LZF in filters and chunk.size > _MOST_LZF_BYTES:
                raise UnreadableFile(
                    "too_long", "A chunk of the HDF5 file is too large to be unpacked.", hint="Save it with gzip."
                )
            if _LZF not in filters:
                self._chunk(start, filters)
            elif _FLETCHER in filters and chunk.size < _CHECKSUM_BYTES:
                raise damaged()  # the library takes the sum off without looking

    def _filters(self) -> list[int]:
        """In the order in which they were applied."""
        plist = self.dataset.id.get_create_plist()
        filters = [plist.get_filter(place)[0] for place in range(plist.get_nfilters())]
        read = {_LZF, _SHUFFLE, _FLETCHER} if _LZF in filters else {_DEFLATE, _SHUFFLE, _FLETCHER}
        if set(filters) - read or len(filters) > len(set(filters)):
            name = next((_NOT_READ[each] for each in filters if each in _NOT_READ), "a filter of its own")
            raise UnreadableFile(
                "unsupported_format",
                f"The HDF5 file is compressed in a way that is not read ({name}).",
                hint="Save it with gzip or without compression, as `h5repack -f GZIP=4` does.",
            )
        return filters

    def _chunks(self, region: list[slice]) -> Iterator[tuple[Any, tuple[int, ...]]]:
        """What the file says of each stored chunk of a region, and where it begins. One that is not stored is fill."""
        if self._chunk_bytes() > MAX_UNZIPPED_BYTES:
            raise UnreadableFile(
                "too_long",
                f"A chunk of the HDF5 file is larger than {MAX_UNZIPPED_BYTES >> 20} MiB.",
                hint="Save it with smaller chunks.",
            )
        steps = [
            range(part.start // size * size, part.stop, size)
            for part, size in zip(region, self.dataset.chunks, strict=True)
        ]
        if math.prod(map(len, steps)) > _MOST_CHUNKS:
            raise UnreadableFile(
                "too_long", "The array lies in too many chunks.", hint="Save it with larger chunks or without."
            )
        for start in itertools.product(*steps):
            chunk = self.dataset.id.get_chunk_info_by_coord(start)
            if chunk.byte_offset is not None:
                self._check_stored(chunk.byte_offset, chunk.size)
                yield chunk, start

    def _check_stored(self, offset: int | None, size: int) -> None:
        if (offset or 0) + size > self.file_size:
            raise damaged()

    def _chunk_bytes(self) -> int:
        return int(math.prod(self.dataset.chunks)) * self._value_bytes()

    def _value_bytes(self) -> int:
        text = self.h5py.check_string_dtype(self.dataset.dtype)
        if text is not None and text.length is None:
            return _REFERENCE_TO_TEXT_BYTES
        return int(self.dataset.id.get_type().get_size())

    def _chunk(self, start: tuple[int, ...], filters: list[int]) -> bytes:
        """The bytes of a chunk, its filters undone in their order backwards."""
        expected = self._chunk_bytes()
        skipped, stored = self.dataset.id.read_direct_chunk(start)
        content = bytes(stored)
        for place, which in reversed(list(enumerate(filters))):
            if skipped >> place & 1:
                continue
            if which == _DEFLATE:
                inflater = zlib.decompressobj()
                content = inflater.decompress(content, expected + _CHECKSUM_BYTES + 1)
                content = content if inflater.eof else b""
            elif which == _FLETCHER:
                content, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
                if not _checksum_holds(content, checksum):
                    raise damaged()
            elif len(content) == expected:  # shuffled: first bytes of all values, second bytes of all values, ...
                content = np.frombuffer(content, "u1").reshape(self._value_bytes(), -1).T.tobytes()
        if len(content) != expected:
            raise damaged()
        return content


def _place(values: NDArray[Any], region: list[slice], start: tuple[int, ...], chunk: NDArray[Any]) -> None:
    """Copy what a chunk holds of a region; chunks at the edges reach beyond the array."""
    into, of = [], []
    for part, begin, size in zip(region, start, chunk.shape, strict=True):
        first, last = max(part.start, begin), min(part.stop, begin + size)
        into.append(slice(first - part.start, last - part.start))
        of.append(slice(first - begin, last - begin))
    values[tuple(into)] = chunk[tuple(of)]


def _checksum_holds(content: bytes, checksum: bytes) -> bool:
    """Fletcher's two sums of words, the first byte of each above the second, are those stored behind a chunk."""
    words = np.frombuffer(content + bytes(len(content) % 2), ">u2")
    first = second = 0
    for start in range(0, len(words), _WORDS_AT_A_TIME):
        some = words[start : start + _WORDS_AT_A_TIME].astype(np.uint64)
        second += len(some) * first + int((some * np.arange(len(some), 0, -1, dtype=np.uint64)).sum())
        first += int(some.sum())
    stored = int.from_bytes(checksum, "little")
    return (
        len(checksum) == _CHECKSUM_BYTES
        and not ((stored & 0xFFFF) - first) % 65535
        and not ((stored >> 16) - second) % 65535
    )
