"""HDF5 files, MATLAB 7.3 among them: CODE's `tracings` of many exams, and single ECGs under the names in use.

Source: "HDF5 File Format Specification", The HDF Group; the layout of CODE-15% (Zenodo 4916206): `tracings` (E, N, L)
beside `exam_id`. h5py finds what is in a file. It follows hard links only, so that nothing outside of the file is ever
opened, and of the values only those of the wanted exam are read: chunks deflated with gzip are inflated here, because
the library gives what comes out all the room that it asks for.
"""

from __future__ import annotations

import io
import itertools
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ground.extras import ExtraMissing, require
from inputs.ecg.formats.arrays import MOST_OF_AN_AXIS, recording_from
from inputs.ecg.formats.base import EcgFormat, of_one_file
from inputs.ecg.formats.stated import MOST_FACTS, Contents, Fact, Numbers, Path, tells
from inputs.errors import InputError, UnreadableFile
from inputs.limits import MAX_UNZIPPED_BYTES, MAX_VALUES
from inputs.records import EcgRecording, ReadHints

_MAGIC = b"\x89HDF\r\n\x1a\n"
_MATLAB_BLOCK_BYTES = 512
_MOST_OBJECTS = 2000
_MOST_DEPTH = 6
_MOST_ATTRIBUTES = 256
_MOST_CHUNKS = 65_536
_MOST_IDS = 5_000_000
_MOST_LZF_BYTES = 2**20
"""Of a chunk as it is stored. LZF makes at most ninety times as much of it."""
_REFERENCE_TO_TEXT_BYTES = 16
"""In a file: the length of a text of any length, and where it stands. In memory it is a pointer."""
_DEFLATE, _SHUFFLE, _LZF = 1, 2, 32000


def looks_like_hdf5(data: bytes) -> bool:
    """By its signature, behind 512 bytes of words where MATLAB wrote it."""
    return data.startswith(_MAGIC) or (data.startswith(b"MATLAB 7.3") and data[_MATLAB_BLOCK_BYTES:].startswith(_MAGIC))


def read_hdf5(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read the one ECG among the arrays of a file, or the one that `hints.exam` chooses of an array of many.

    `hints` must give rate and unit unless datasets or attributes such as `fs` and `units` do; `hints.leads` the names
    of the leads in any other order than the usual unless one such as `leads` does. Raises UnreadableFile.
    """
    try:
        h5py = require("h5py", "Reading an HDF5 file")
    except ExtraMissing as error:
        raise UnreadableFile("format_not_installed", error.sentence, hint=error.hint) from error
    if _texts_loop(data):
        raise _damaged()
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            walk = _Walk(h5py, len(data), of_matlab=data.startswith(b"MATLAB"))
            walk.group(file, ())
            walk.check_found()
            return recording_from(Contents(walk.kind, "hdf5", walk.arrays, walk.facts), hints)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # h5py has a dozen for damaged files, OSError and RuntimeError among them
        raise _damaged() from error


def _texts_loop(data: bytes) -> bool:
    """Whether a heap of texts holds a free space of no bytes: the library would go on from there for ever."""
    at = data.find(b"GCOL")
    while at >= 0:
        place, end = at + 16, min(at + int.from_bytes(data[at + 8 : at + 16], "little"), len(data))
        while place + 16 <= end:
            free = data[place : place + 2] == bytes(2)
            size = int.from_bytes(data[place + 8 : place + 16], "little")
            if free and size == 0:
                return True
            place += size if free else 16 + (size + 7) // 8 * 8
        at = data.find(b"GCOL", max(place, at + 4))  # not again through what was walked
    return False


def _damaged() -> UnreadableFile:
    return UnreadableFile("unreadable_file", "The HDF5 file is damaged or cut off.")


@dataclass
class _Walk:
    """Goes through the groups of a file and gathers its arrays and facts."""

    h5py: ModuleType
    size: int
    of_matlab: bool
    arrays: list[Numbers] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    objects: int = 0
    elsewhere: int = 0
    tables: int = 0
    seen: set[int] = field(default_factory=set)

    @property
    def kind(self) -> str:
        return "MATLAB 7.3" if self.of_matlab else "HDF5"

    def check_found(self) -> None:
        """Refuse a file without an array of numbers of its own."""
        if self.arrays:
            return
        what = "no array of numbers"
        if self.elsewhere:
            what = "no array of its own: it points to others"
        elif self.tables:
            what = "tables instead of arrays of numbers"
        raise UnreadableFile(
            "unsupported_format",
            f"The {self.kind} file holds {what}.",
            hint="Save the samples as one dataset of (leads, samples).",
        )

    def group(self, group: Any, path: Path) -> None:
        """What hard links of a group lead to. Soft and external ones, and links of other kinds, are not followed."""
        self._attributes(group, path)
        if "pandas_type" in group.attrs:
            raise UnreadableFile(
                "unsupported_format",
                "The HDF5 file holds a pandas table, which is not read.",
                hint="Save the values as an array: h5py's create_dataset, NPY or CSV.",
            )
        if len(path) >= _MOST_DEPTH:
            return
        for name in itertools.islice(group, _MOST_OBJECTS + 1):
            self.objects += 1
            if self.objects > _MOST_OBJECTS:
                raise UnreadableFile(
                    "too_long",
                    f"The {self.kind} file holds more than {_MOST_OBJECTS} datasets and groups.",
                    hint="Save the one ECG alone.",
                )
            if not isinstance(group.get(name, getlink=True), self.h5py.HardLink):
                self.elsewhere += 1
                continue
            if name.startswith("#"):  # what MATLAB keeps for cells and objects
                continue
            below = group[name]
            address = self.h5py.h5o.get_info(below.id).addr
            if address in self.seen:  # one thing under two names, or a group within itself
                continue
            self.seen.add(address)
            if isinstance(below, self.h5py.Group):
                self.group(below, (*path, name))
            elif isinstance(below, self.h5py.Dataset):
                self._dataset(below, (*path, name))

    def _dataset(self, dataset: Any, path: Path) -> None:
        if dataset.id.get_create_plist().get_layout() == self.h5py.h5d.VIRTUAL or dataset.external:
            self.elsewhere += 1  # before its shape is asked for, which would open the files that it names
            return
        dtype = dataset.dtype
        if dtype.kind == "V":
            self.tables += 1
            return
        self._attributes(dataset, path)
        self._fact(dataset, path)
        shape = dataset.shape
        if dtype.kind not in "fiu" or shape is None or not all(size < MOST_OF_AN_AXIS for size in shape):
            return
        if self.h5py.check_enum_dtype(dtype) is not None or self._class_of(dataset) in ("char", "logical", "cell"):
            return
        if self.of_matlab:  # which writes its arrays column by column: to HDF5 their axes are reversed
            shape = shape[::-1]
        loading = _Loading(self.h5py, dataset, self.size, reverse=self.of_matlab)
        self.arrays.append(Numbers(path, shape, dtype, loading.load))

    def _class_of(self, dataset: Any) -> str:
        found = dataset.attrs.get("MATLAB_class", b"") if self.of_matlab else b""
        return found.decode("latin-1") if isinstance(found, bytes) else ""

    def _fact(self, dataset: Any, path: Path) -> None:
        """The few values of a dataset whose name tells: numbers, texts, MATLAB's letters and cells of them."""
        most = _MOST_IDS if dataset.dtype.kind in "SO" and len(dataset.shape or ()) == 1 else MOST_FACTS
        if not tells(path[-1]) or dataset.shape is None or not 0 < dataset.size <= most:
            return
        if self.of_matlab and dataset.attrs.get("MATLAB_empty"):
            return
        values: tuple[str | float, ...]
        if self.h5py.check_ref_dtype(dataset.dtype) is not None:
            values = tuple(self._letters(dataset.file[reference]) for reference in np.ravel(self._all(dataset)))
            values = values if all(values) else ()
        elif self._class_of(dataset) == "char":
            values = (self._letters(dataset),)
        else:
            values = _values(self._all(dataset))
        self.facts.append(Fact(path, values))

    def _letters(self, dataset: Any) -> str:
        """A text that MATLAB stored as one number for each letter; empty where it is none."""
        if not isinstance(dataset, self.h5py.Dataset) or self._class_of(dataset) != "char":
            return ""
        if dataset.dtype != np.uint16 or not 0 < dataset.size <= 64 * MOST_FACTS:
            return ""
        return "".join(chr(letter) for letter in np.ravel(self._all(dataset))).strip()

    def _all(self, dataset: Any) -> Any:
        return _Loading(self.h5py, dataset, self.size, reverse=False).all_by_library()

    def _attributes(self, owner: Any, path: Path) -> None:
        if len(owner.attrs) > _MOST_ATTRIBUTES:
            return
        for name in owner.attrs:
            attribute = owner.attrs.get_id(name) if tells(name) else None
            if attribute is None or attribute.dtype.kind not in "fiuSO" or math.prod(attribute.shape) > MOST_FACTS:
                continue
            if self.h5py.check_ref_dtype(attribute.dtype) is None and (values := _values(owner.attrs[name])):
                self.facts.append(Fact((*path, name), values))


def _values(found: Any) -> tuple[str | float, ...]:
    """Numbers as floats and texts as str; nothing where there is something else among them."""
    values = np.ravel(found).tolist() if isinstance(found, np.ndarray) else [found]
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    if not all(isinstance(value, str | int | float | np.integer | np.floating) for value in texts):
        return ()
    return tuple(value if isinstance(value, str) else float(value) for value in texts)


@dataclass(frozen=True)
class _Loading:
    """Reads the values of a dataset, or those of one exam in it, within limits."""

    h5py: ModuleType
    dataset: Any
    file_size: int
    reverse: bool

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
        values = values.T if self.reverse else values
        return values if exam is None else values[0]

    def all_by_library(self) -> Any:
        """All values, of whatever type, read by h5py after it is known that no chunk is a bomb."""
        region = [slice(0, size) for size in self.dataset.shape]
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

    def _filters(self) -> list[int]:
        """In the order in which they were applied."""
        plist = self.dataset.id.get_create_plist()
        filters = [plist.get_filter(place)[0] for place in range(plist.get_nfilters())]
        known = {_LZF, _SHUFFLE} if _LZF in filters else {_DEFLATE, _SHUFFLE}
        if set(filters) - known or len(filters) > len(set(filters)):
            raise UnreadableFile(
                "unsupported_format",
                "The HDF5 file is compressed in a way that is not read.",
                hint="Save it with gzip or without compression.",
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
            raise _damaged()

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
                content = inflater.decompress(content, expected + 1)
                content = content if inflater.eof else b""
            elif len(content) == expected:  # shuffled: first bytes of all values, second bytes of all values, ...
                content = np.frombuffer(content, "u1").reshape(self._value_bytes(), -1).T.tobytes()
        if len(content) != expected:
            raise _damaged()
        return content


def _place(values: NDArray[Any], region: list[slice], start: tuple[int, ...], chunk: NDArray[Any]) -> None:
    """Copy what a chunk holds of a region; chunks at the edges reach beyond the array."""
    into, of = [], []
    for part, begin, size in zip(region, start, chunk.shape, strict=True):
        first, last = max(part.start, begin), min(part.stop, begin + size)
        into.append(slice(first - part.start, last - part.start))
        of.append(slice(first - begin, last - begin))
    values[tuple(into)] = chunk[tuple(of)]


HDF5 = EcgFormat("hdf5", looks_like_hdf5, of_one_file(read_hdf5), states_itself=False, chooses=frozenset({"exam"}))
